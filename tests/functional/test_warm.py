# SPDX-License-Identifier: Apache-2.0
"""The warm shell, by which the other tests go: it does what the console script does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud import process
from tests.functional.cloud import ROOT, SeededCloud
from tests.functional.warm import WarmShell


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--version",), 0),
        (("unique", "serial", "audit", "--help"), 0),
        (("unique", "serial", "list", "--all-projects", "-f", "csv", "--long"), 0),
        (("flavor", "set", "--unique-serial", "seed.nowhere"), 1),
        (("unique", "serial", "show", "seed-nowhere"), 1),
        (("unique", "serial", "audit", "--nonsense"), 2),
        (("unique", "serial", "audit", "--only", "serial-shard"), 2),
        (("unique", "serial", "nonsense"), 2),
        (("unique", "serial", "audit", "--all-projects"), 3),
        (("unique", "serial", "audit", "--only", "image-may-show-host", "-f", "json"), 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_it_does_what_the_console_script_does(
    seeded: SeededCloud, args: tuple[str, ...], code: int
) -> None:
    warm, cold = (seeded.openstack(*args, check=False, cold=cold) for cold in (False, True))
    assert (warm.returncode, warm.stdout, warm.stderr) == (
        cold.returncode,
        cold.stdout,
        cold.stderr,
    )
    assert warm.returncode == code
    assert [str(each) for each in warm.args] == [str(each) for each in cold.args]


#: A console script that does what its first argument says.
SCRIPT = f"#!{sys.executable}\nimport sys\nexec(sys.argv.pop(1))\n"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A console script for any Python."""
    path = tmp_path_factory.mktemp("bin") / "script"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def shell(script: Path) -> Iterator[WarmShell]:
    """A warm shell that runs this script."""
    with WarmShell(script) as running:
        yield running


PROCESS = """
import atexit, json, os, signal, threading
atexit.register(print, "at exit")
threading.Thread(target=lambda: threading.main_thread().join() or print("thread")).start()
streams = [[stream.fileno(), stream.isatty(), stream.encoding, stream.errors,
            stream.line_buffering] for stream in (sys.stdin, sys.stdout, sys.stderr)]
print(json.dumps({
    "argv": sys.argv, "name": __name__, "path": sys.path, "environment": dict(os.environ),
    "folder": os.getcwd(), "input": sys.stdin.read(), "streams": streams,
    "files": sorted(os.listdir("/proc/self/fd")), "umask": os.umask(0),
    "group": os.getpgrp(), "session": os.getsid(0),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
}))
print("caf\\xe9\\r", file=sys.stderr)
print("no newline", end="")
"""


def cold_run(script: Path, *args: str, **own: str) -> subprocess.CompletedProcess[str]:
    """Start the script."""
    return subprocess.run(
        [str(script), *args],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_a_process_gets_all_that_a_process_gets(script: Path, shell: WarmShell) -> None:
    args = (PROCESS, "a", "", "caf\xe9", "\udcff")
    own = {"OS_CLOUD": "caf\xe9", "COLUMNS": "77"}
    runs = [shell.run(args, {**os.environ, **own}, timeout=60), cold_run(script, *args, **own)]
    warm, cold = (json.loads(run.stdout.splitlines()[0]) for run in runs)
    assert warm == cold
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stderr == runs[1].stderr == "caf\xe9\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sys.exit(None)", 0),
        ("sys.exit('said')", 1),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("raise KeyboardInterrupt", -2),
        ("import os; sys.stdout = os.fdopen(os.dup(1), 'w'); print(); os.close(3)", 120),
        # Nothing is left of an earlier call, and the plugin's modules are for the call to import.
        ("import os; assert 'LEFT' not in os.environ; os.environ['LEFT'] = sys.left = ''", 0),
        ("import os; assert 'LEFT' not in os.environ; assert not hasattr(sys, 'left')", 0),
        ("assert 'osc_uniqserial' not in sys.modules", 0),
        ("import threading; assert threading.active_count() == 1", 0),
    ],
)
def test_it_ends_as_a_process_ends(script: Path, shell: WarmShell, text: str, code: int) -> None:
    warm, cold = shell.run((text,), os.environ, timeout=60), cold_run(script, text)
    assert (warm.returncode, warm.stdout) == (cold.returncode, cold.stdout)
    assert warm.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]
    assert cold.returncode == code, cold.stderr


def test_a_call_that_takes_too_long_is_ended(shell: WarmShell) -> None:
    text = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(subprocess.TimeoutExpired) as error:
        shell.run((text,), os.environ, timeout=1)
    assert error.value.stdout is not None
    assert not Path("/proc", str(int(error.value.stdout))).exists()
    assert shell.run(("print('next')",), os.environ, timeout=60).stdout == "next\n"


@pytest.mark.parametrize("name", ["PYTHONUNBUFFERED", "LC_ALL", "HOME"])
def test_what_only_a_new_process_reads_is_refused(shell: WarmShell, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        shell.run(("",), {**os.environ, name: "something else"}, timeout=60)


def test_it_ends_with_its_user(script: Path, tmp_path: Path) -> None:
    """A test run that is killed leaves nothing behind, not even a call that is under way."""
    text = (
        "import os, pathlib, time\n"
        "pathlib.Path(sys.argv[1] + '.new').write_text(f'{os.getpid()} {os.getppid()}')\n"
        "os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(600)\n"
    )
    program = (
        "import os, pathlib, sys\n"
        "from tests.functional.warm import WarmShell\n"
        "WarmShell(pathlib.Path(sys.argv[1])).run(sys.argv[2:], os.environ, 600)\n"
    )
    numbers = tmp_path / "numbers"
    user = subprocess.Popen([sys.executable, "-c", program, script, text, numbers], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not numbers.exists():
        assert user.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes = [os.pidfd_open(int(number)) for number in numbers.read_text().split()]
    user.kill()
    user.wait()
    for each in processes:
        assert process.wait_gone(each, 60)
        os.close(each)
