# SPDX-License-Identifier: Apache-2.0
"""Child processes of the embedded cloud, and the supervisor that has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcloud import children, process, session, state
from devcloud.children import Children
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT, BaseLayout

PATIENCE = 60.0

#: Says that it runs; ends by SIGTERM with exit code 7, or not at all.
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, {handler})
print("runs", flush=True)
time.sleep(600)
"""

#: Listens at a port after a while, and answers everything with one status.
SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
time.sleep(0.3)
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""

SUPERVISOR = """
import os, sys, time
from pathlib import Path
from devcloud.errors import DevcloudError
from devcloud.layout import BaseLayout
from devcloud.supervise import Supervisor, say

root, mode = Path(sys.argv[1]), sys.argv[2]

class Sleeper(Supervisor):
    def start(self):
        child = self.children.start("sleep", ["/bin/sleep", "600"], root / "sleep.log")
        say(f"child {child.pid}")
        if mode == "fails":
            raise DevcloudError("it cannot be", "for a reason")
        if mode == "dies":
            os._exit(5)
        if mode == "slow":
            time.sleep(600)

sys.exit(Sleeper(BaseLayout(root, root / "venv"), root / "clouds.yaml").run())
"""

#: Starts a supervisor and says which child that has.
CALLER = """
import sys, time
from pathlib import Path
from devcloud import session, state
from devcloud.layout import BaseLayout

layout = BaseLayout(Path(sys.argv[1]), Path("/v"))
command = [sys.executable, "-c", sys.argv[2], layout.root, sys.argv[3]]
lock = state.try_lock(layout.lock_file)
held = session.Session(command, layout, lock, lambda text: print(text, flush=True))
time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def layout(tmp_path: Path) -> BaseLayout:
    return BaseLayout(tmp_path, tmp_path / "venv")


@pytest.fixture
def running() -> Iterator[Children]:
    with Children() as found:
        yield found


@pytest.fixture
def ports() -> list[int]:
    """Two free ports."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return found


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestChildren:
    def test_output_goes_to_the_log(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        for append, expected in ((False, "x\n"), (True, "x\nx\n"), (False, "x\n")):
            command = ["/bin/sh", "-c", "echo x >&2"]
            assert children.start(command, log, append=append).wait() == 0
            assert log.read_text() == expected

    def test_a_child_reads_nothing(self, tmp_path: Path) -> None:
        assert children.start(["/bin/cat"], tmp_path / "log").wait(PATIENCE) == 0

    def test_the_block_ends_them(self, tmp_path: Path) -> None:
        with Children() as found:
            child = found.start("sleep", ["/bin/sleep", "600"], tmp_path / "log")
            assert found.processes == {"sleep": child}
        assert child.returncode == -9

    @pytest.mark.parametrize(
        ("handler", "code"), [("lambda *_: sys.exit(7)", 7), ("signal.SIG_IGN", -9)]
    )
    def test_with_grace_they_end_by_themselves_or_are_killed(
        self, tmp_path: Path, handler: str, code: int
    ) -> None:
        log = tmp_path / "log"
        child = children.start(python(STUBBORN.format(handler=handler)), log)
        await_(lambda: log.read_text() == "runs\n")
        children.end([child], grace=PATIENCE if code > 0 else 0.3)
        assert child.returncode == code

    def test_one_that_exited_is_found(self, running: Children, tmp_path: Path) -> None:
        running.start("sleep", ["/bin/sleep", "600"], tmp_path / "sleep")
        running.check()
        running.start("broken", ["/bin/sh", "-c", "echo oh; exit 3"], tmp_path / "broken").wait()
        with pytest.raises(DevcloudError, match="broken exited with code 3") as caught:
            running.check()
        assert caught.value.detail.endswith("\noh\n")

    def test_all_must_succeed(self, running: Children, tmp_path: Path) -> None:
        running.start("good", ["/bin/true"], tmp_path / "good")
        running.succeed("nothing works")
        running.start("bad", ["/bin/false"], tmp_path / "bad")
        with pytest.raises(DevcloudError, match="nothing works: bad exited with code 1"):
            running.succeed("nothing works")

    def wait(self, running: Children, ready: Callable[[], bool], log: Path, timeout: float) -> None:
        children.wait_until(ready, "never", log, timeout=timeout, check=running.check)

    def test_waiting_is_over_in_time(self, running: Children, tmp_path: Path) -> None:
        log = tmp_path / "log"
        running.start("sleep", ["/bin/sleep", "600"], log)
        looks = iter((False, False, True))
        self.wait(running, lambda: next(looks), log, PATIENCE)
        with pytest.raises(DevcloudError, match="never"):
            self.wait(running, lambda: False, log, 0.2)

    def test_waiting_is_over_when_a_child_exits(self, running: Children, tmp_path: Path) -> None:
        running.start("false", ["/bin/false"], tmp_path / "log")
        with pytest.raises(DevcloudError, match="false exited with code 1"):
            self.wait(running, lambda: False, tmp_path / "log", PATIENCE)


class TestAnswers:
    def serve(self, running: Children, log: Path, name: str, port: int, status: int) -> str:
        running.start(name, python(SERVER.format(port=port, status=status)), log)
        return f"http://127.0.0.1:{port}/"

    def test_a_refused_connection_is_tried_again(
        self, running: Children, tmp_path: Path, ports: list[int]
    ) -> None:
        urls = {
            name: self.serve(running, tmp_path / name, name, port, status)
            for name, port, status in zip(("one", "two"), ports, (200, 401), strict=True)
        }
        assert dict(running.answers(urls, PATIENCE)) == {"one": 200, "two": 401}

    def test_an_error_of_the_server_is_a_failure(
        self, running: Children, tmp_path: Path, ports: list[int]
    ) -> None:
        urls = {"one": self.serve(running, tmp_path / "log", "one", ports[0], 503)}
        with pytest.raises(DevcloudError, match="one answered 503"):
            list(running.answers(urls, PATIENCE))

    def test_a_child_that_exits_is_a_failure(
        self, running: Children, tmp_path: Path, ports: list[int]
    ) -> None:
        running.start("one", ["/bin/false"], tmp_path / "log")
        with pytest.raises(DevcloudError, match="one exited with code 1 while starting"):
            list(running.answers({"one": f"http://127.0.0.1:{ports[0]}/"}, PATIENCE))

    def test_no_answer_in_time_is_a_failure(
        self, running: Children, tmp_path: Path, ports: list[int]
    ) -> None:
        running.start("one", ["/bin/sleep", "600"], tmp_path / "log")
        with pytest.raises(DevcloudError, match="not ready after 0 s: one"):
            list(running.answers({"one": f"http://127.0.0.1:{ports[0]}/"}, 0.3))


class TestSession:
    child = 0

    def note_child(self, line: str) -> None:
        self.child = int(line.removeprefix("child "))

    def child_is_gone(self) -> bool:
        return process.start_time(self.child) is None

    def start(
        self, layout: BaseLayout, mode: str, progress: Callable[[str], None] | None = None
    ) -> session.Session:
        lock = state.try_lock(layout.lock_file)
        assert lock is not None
        command = [*python(SUPERVISOR), str(layout.root), mode]
        try:
            return session.Session(
                command, layout, lock, progress or self.note_child, cwd=SOURCE_ROOT
            )
        finally:
            os.close(lock)

    def test_it_ends_with_the_block(self, layout: BaseLayout) -> None:
        with self.start(layout, "works"):
            current = session.running(layout)
            assert current is not None
            assert current.phase == state.READY
            assert not self.child_is_gone()
        assert self.child_is_gone()
        assert session.running(layout) is None
        last = state.read(layout.state_file)
        assert last is not None
        assert last.phase == state.STOPPED

    def test_what_is_kept_runs_until_it_is_stopped(self, layout: BaseLayout) -> None:
        self.start(layout, "works").keep()
        try:
            assert state.try_lock(layout.lock_file) is None
            assert not self.child_is_gone()
        finally:
            assert session.stop(layout, PATIENCE)
        assert self.child_is_gone()
        assert not session.stop(layout, PATIENCE)

    @pytest.mark.parametrize(
        ("mode", "message", "detail"),
        [("fails", "it cannot be", "for a reason"), ("dies", "the supervisor died", "--- the end")],
    )
    def test_a_failure_is_told(
        self, layout: BaseLayout, mode: str, message: str, detail: str
    ) -> None:
        with pytest.raises(DevcloudError, match=message) as caught:
            self.start(layout, mode)
        assert caught.value.detail.startswith(detail)
        await_(self.child_is_gone)

    @pytest.mark.parametrize("mode", ["works", "slow"])
    def test_it_ends_with_a_caller_that_is_killed(self, layout: BaseLayout, mode: str) -> None:
        command = [*python(CALLER), str(layout.root), SUPERVISOR, mode]
        caller = subprocess.Popen(command, cwd=SOURCE_ROOT, stdout=subprocess.PIPE, text=True)
        with caller:
            assert caller.stdout is not None
            self.note_child(caller.stdout.readline())
            assert not self.child_is_gone()
            caller.kill()
        await_(self.child_is_gone)
        await_(lambda: session.running(layout) is None)

    def test_stopped_while_it_starts(self, layout: BaseLayout) -> None:
        def stop(line: str) -> None:
            self.note_child(line)
            assert session.stop(layout, PATIENCE)

        with pytest.raises(DevcloudError, match="stopped before it was up"):
            self.start(layout, "slow", stop)
        assert self.child_is_gone()
