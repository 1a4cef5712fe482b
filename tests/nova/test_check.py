# SPDX-License-Identifier: Apache-2.0
"""``python3 -m nova_uniqserial check`` beside a real process, with real configuration files."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nova import ends
from tests.nova.ends import DRIVER, End

STOCK_DRIVER = "libvirt.LibvirtDriver"
SECRET = "rabbit://nova:s3cret@queue"
HARDWARE = "4c4c4544-0000-4000-8000-00000000abcd"

#: The bindings need the C library and a libvirtd: this is the edge.
LIBVIRT = f"""
class Connection:
    def getCapabilities(self):
        return "<capabilities><host><uuid>{HARDWARE}</uuid></host></capabilities>"

    def close(self):
        pass

def registerErrorHandler(function, context):
    pass

def openReadOnly(uri):
    assert uri == "qemu:///system", uri
    return Connection()
"""

Rows = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Checked:
    """How the command ended."""

    code: int
    output: str
    errors: str

    @property
    def rows(self) -> Rows:
        """The rows by check: no check has two."""
        listed = json.loads(self.output)
        rows = {row["check"]: row for row in listed}
        assert len(rows) == len(listed), self.output
        return rows

    def results(self, result: str) -> set[str]:
        return {check for check, row in self.rows.items() if row["result"] == result}


def check(end: End, *args: str | Path, prefix: tuple[str, ...] = (), **environ: str) -> Checked:
    command = [*prefix, str(end.python), "-m", "nova_uniqserial", "check", *map(str, args)]
    done = subprocess.run(
        command,
        env={**end.environment(), **environ},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    checked = Checked(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in checked.errors, checked.errors
    machine_id = Path("/etc/machine-id")
    own = machine_id.read_text().split() if machine_id.exists() else []
    # The check has the form with dashes.
    dashed = [str(uuid.UUID(word)) for word in own]
    for hidden in (SECRET, HARDWARE, *own, *dashed):
        assert hidden not in checked.output + checked.errors
    return checked


@dataclasses.dataclass(frozen=True)
class Files:
    """Configuration files of a host."""

    folder: Path

    def conf(self, name: str, **sections: dict[str, object]) -> Path:
        """Write a file; a section is a keyword."""
        path = self.folder / name
        lines = [f"# {name}"]
        for section, options in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    def main(self, driver: str = DRIVER, **others: dict[str, object]) -> Path:
        default = {"transport_url": SECRET, "compute_driver": driver, "state_path": self.folder}
        compute: dict[str, object] = {"provider_config_location": self.providers}
        return self.conf("nova.conf", DEFAULT=default, compute=compute, **others)

    @property
    def providers(self) -> Path:
        return self.folder / "provider_config"

    def declare(self, *traits: str, identification: str = "uuid: $COMPUTE_NODE") -> None:
        self.providers.mkdir(exist_ok=True)
        (self.providers / "serial.yaml").write_text(
            "meta: {schema_version: '1.0'}\n"
            f"providers:\n- identification: {{{identification}}}\n"
            f"  traits: {{additional: [{', '.join(traits)}]}}\n"
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def bindings(tmp_path: Path) -> str:
    """A folder for PYTHONPATH, with libvirt's bindings."""
    folder = tmp_path / "bindings"
    folder.mkdir()
    (folder / "libvirt.py").write_text(LIBVIRT)
    return str(folder)


class Computes:
    """Running processes that are nova-computes by their names and arguments."""

    def __init__(self, end: End, folder: Path) -> None:
        self.end = end
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *args: str | Path, **environ: str) -> int:
        program = self.folder / "nova-compute"
        program.write_text("print(flush=True)\nimport time\ntime.sleep(600)\n")
        process = subprocess.Popen(
            [self.end.python, program, *args],
            env={**self.end.environment(), **environ},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid


@pytest.fixture
def computes(ours: End, tmp_path: Path) -> Iterator[Computes]:
    started = Computes(ours, tmp_path)
    yield started
    for process in started.running:
        process.kill()
        process.communicate()


def test_a_later_file_overrides_the_driver(ours: End, files: Files, computes: Computes) -> None:
    """As Debian's nova-compute.conf does, which has other sections too."""
    first = files.main(libvirt={"sysinfo_serial": "none"})
    # Of the last file that has the section, which oslo.config names, only the driver is set here.
    last = files.conf(
        "nova-compute.conf", DEFAULT={"compute_driver": STOCK_DRIVER}, libvirt={"virt_type": "kvm"}
    )
    # Relative to the folder of the process.
    pid = computes.start("--config-file", first.name, f"--config-file={last.name}", "--debug")
    checked = check(ours, "--pid", str(pid), "-f", "json")
    assert checked.code == 3, checked
    rows = checked.rows
    assert rows["configuration"]["reason"] == f"In this order: {first}, {last}."
    driver = rows["compute-driver"]
    assert driver["result"] == "failed"
    assert f"{STOCK_DRIVER}, from {last}, line 3." in driver["reason"]
    assert f"replaces {DRIVER} of {first}, line 4" in driver["reason"]
    assert "restart nova-compute" in driver["remedy"]
    assert rows["sysinfo-serial"]["reason"].endswith(f"is none, from {first}, line 9.")
    assert rows["server-may-ask"]["reason"].endswith("is true, from the default.")
    assert "does not declare the mode of this host, none" in rows["provider-yaml"]["reason"]
    good = {"process", "python", "nova", "driver", "validator", "image-property", "restart"}
    assert good <= checked.results("ok"), rows


def test_the_environment_overrides_every_file(
    ours: End, files: Files, computes: Computes, bindings: str
) -> None:
    path = files.main(libvirt={"sysinfo_serial": "unique"})
    begun = time.monotonic()
    variables = {"OS_DEFAULT__COMPUTE_DRIVER": STOCK_DRIVER, "PYTHONPATH": bindings}
    pid = computes.start("--config-file", path, **variables)
    other = computes.start("--config-file", path)
    several = check(ours)
    assert several.code == 1
    assert (
        f"Several nova-computes run here ({min(pid, other)}, {max(pid, other)})" in several.errors
    )
    assert "--pid" in several.errors
    # After the time in which a start script may write.
    time.sleep(max(0.0, begun + 6 - time.monotonic()))
    path.touch()
    # What the environment of the check has does not count.
    checked = check(ours, "--pid", str(pid), "-f", "json", OS_LIBVIRT__SYSINFO_SERIAL="os")
    assert checked.code == 3, checked
    rows = checked.rows
    assert rows["compute-driver"]["result"] == "failed"
    assert "environment variable OS_DEFAULT__COMPUTE_DRIVER" in rows["compute-driver"]["reason"]
    assert rows["sysinfo-serial"]["reason"].endswith(f"is unique, from {path}, line 9.")
    assert "different PYTHONPATH" in rows["python"]["reason"]
    assert rows["restart"]["result"] == "warning"
    assert f"before the last change of {path}" in rows["restart"]["reason"]
    wrong = check(ours, "--pid", str(os.getpid()))
    assert (wrong.code, wrong.output) == (1, "")
    assert f"Process {os.getpid()} is no nova-compute" in wrong.errors


def test_another_python(stock: End, ours: End, files: Files, computes: Computes) -> None:
    """What is installed beside one Python is not beside the other."""
    pid = computes.start("--config-file", files.main())
    folder = ends.site_of(ours.python)
    environ = {**stock.environ, "PYTHONPATH": str(folder)}
    end = dataclasses.replace(stock, environ=environ)
    row = check(end, "--pid", str(pid), "-f", "json").rows["python"]
    assert row["result"] == "failed"
    assert f"nova-compute runs with {ours.python}" in row["reason"]
    assert f"{ours.python} -m nova_uniqserial check" in row["remedy"]


def test_a_good_host(ours: End, files: Files, bindings: str) -> None:
    path = files.main(libvirt={"sysinfo_serial": "hardware"})
    found = check(ours, "--config-file", path, "-f", "json", PYTHONPATH=bindings)
    assert (found.code, found.results("ok")) == (0, set(found.rows)), found
    assert "the hardware UUID (4c4c***)" in found.rows["host-mode"]["reason"]
    # Without libvirt it is not known.
    unknown = check(ours, "--config-file", path, "-f", "json", PYTHONPATH="")
    assert unknown.code == 4, unknown
    assert unknown.results("unknown") == {"hardware-uuid", "host-mode"}


def test_an_architecture_without_serial_numbers(ours: End, files: Files, bindings: str) -> None:
    module = Path(bindings) / "libvirt.py"
    arch = "</uuid><cpu><arch>aarch64</arch></cpu>"
    module.write_text(module.read_text().replace("</uuid>", arch))
    path = files.main(libvirt={"sysinfo_serial": "unique"})
    found = check(ours, "--config-file", path, "-f", "json", PYTHONPATH=bindings)
    row = found.rows["host-mode"]
    assert (found.code, row["result"]) == (3, "warning")
    assert "its architecture is aarch64" in row["reason"]


@pytest.mark.parametrize(
    ("mode", "traits", "result", "reason"),
    [
        ("auto", ("CUSTOM_UNIQUE_SERIAL",), "failed", "CUSTOM_UNIQUE_SERIAL is not true"),
        ("os", ("CUSTOM_UNIQUE_SERIAL_KEYS",), "failed", "only the driver of nova-uniqserial"),
        ("unique", ("CUSTOM_UNIQUE_SERIAL",), "ok", "sysinfo_serial is unique"),
    ],
)
def test_traits_of_a_stock_host(
    ours: End, files: Files, mode: str, traits: tuple[str, ...], result: str, reason: str
) -> None:
    files.declare(*traits)
    path = files.main(STOCK_DRIVER, libvirt={"sysinfo_serial": mode})
    row = check(ours, "--config-file", path, "-f", "json").rows["provider-yaml"]
    assert row["result"] == result
    assert reason in row["reason"]
    assert (row["remedy"] is None) == (result == "ok")


def test_what_cannot_be_read(ours: End, files: Files) -> None:
    path = files.main()
    prefix: tuple[str, ...] = ()
    path.chmod(0)
    if os.geteuid() == 0:
        # Root without its capabilities: a file of another user is closed to it.
        os.chown(path, 65534, 65534)
        prefix = ("setpriv", "--inh-caps", "-all", "--bounding-set", "-all")
    checked = check(ours, "--config-file", path, "-f", "json", prefix=prefix)
    assert checked.code == 4, checked
    row = checked.rows["configuration"]
    assert (row["result"], row["reason"]) == ("unknown", f"{path} cannot be read by this user.")
    assert "as root or as the user of nova-compute" in row["remedy"]
    assert checked.rows["compute-driver"]["reason"] == "Not checked (see configuration)."


def test_a_process_of_another_user(ours: End, files: Files, computes: Computes) -> None:
    """Its arguments can be read, and neither its environment nor its working directory."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to start a process of another user")
    path = files.main()
    pid = str(computes.start(f"--config-file={path.name}"))
    # Root without its capabilities is another user for a process that has them.
    prefix = ("setpriv", "--inh-caps", "-all", "--bounding-set", "-all")
    checked = check(ours, "--pid", pid, "-f", "json", prefix=prefix)
    assert checked.code == 4, checked
    assert checked.results("unknown") >= {"process", "configuration", "compute-driver"}
    assert "OS_DEFAULT__COMPUTE_DRIVER" in checked.rows["process"]["reason"]
    assert f"{path.name} is relative" in checked.rows["configuration"]["reason"]


def test_what_is_wrong_in_the_files(ours: End, files: Files) -> None:
    files.declare("CUSTOM_UNIQUE_SERIAL_KEYS", identification="name: other-host")
    path = files.main(unique_serial={"server_may_ask": "\x1b[31mperhaps"})
    checked = check(ours, "--config-file", path)
    assert checked.code == 3
    assert "[unique_serial]server_may_ask is not valid" in " ".join(checked.output.split())
    assert "\x1b" not in checked.output
    # It is for another host.
    assert "declares no trait that the driver reports" in " ".join(checked.output.split())
    path.write_text(f"[DEFAULT]\n{SECRET.replace(':', '')}\n".replace("=", ""))
    # Without this variable Nova 34 reads the file when it is imported.
    args = ("--config-file", path, "-f", "json")
    broken = check(ours, *args, OS_NOVA_DISABLE_EVENTLET_PATCHING="")
    assert broken.rows["nova"]["result"] == "ok"
    assert broken.rows["configuration"]["result"] == "failed"
    assert "s3cret" not in broken.output


def test_beside_novas_folder(stock: End, wheel: Path, files: Files) -> None:
    local = files.folder / "dist-packages"
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, local)
    environ = {**stock.environ, "PYTHONPATH": str(local)}
    end = dataclasses.replace(stock, environ=environ)
    row = check(end, "--config-file", files.main(), "-f", "json").rows["driver"]
    assert row["result"] == "failed"
    assert f"Nova is in {stock.site} and loads drivers from there only" in row["reason"]
    assert f"nova-uniqserial is in {local}" in row["reason"]
    # A damaged installation is a result too.
    (local / "nova_uniqserial" / "policy.py").unlink()
    damaged = check(end, "--config-file", files.main(), "-f", "json")
    assert damaged.results("failed") == {"driver", "validator", "image-property"}
    # And so is a Nova that cannot be imported.
    (local / "nova" / "__init__.py").write_text("raise SystemExit('no Nova')\n")
    broken = check(end, "--config-file", files.main(), "-f", "json")
    assert broken.code == 3
    assert "SystemExit: no Nova" in broken.rows["nova"]["reason"]
    assert broken.rows["driver"]["reason"] == "Not checked (see nova)."


def test_beside_an_editable_nova(stock: End, wheel: Path, files: Files) -> None:
    """Of an installation that adds Nova's source tree to the path; tests/deploy has the other."""
    source, home = files.folder / "nova", files.folder / "venv"
    source.mkdir()
    ends.run("cp", "-rs", stock.site / "nova", source)
    (source / "setup.py").touch()
    ends.bare(stock, home)
    python = home / "bin" / "python"
    ends.install(Path(sys.executable), python, wheel)
    site = ends.site_of(python)
    (site / "easy-install.pth").write_text(f"{source}\n{stock.site}\n")
    end = End("editable", python, site, stock.environ)
    row = check(end, "--config-file", files.main(), "-f", "json").rows["driver"]
    assert row["result"] == "failed"
    assert f"Nova is in {source} and loads drivers from there only" in row["reason"]
    ends.run("sh", "-c", row["remedy"].rpartition(": ")[2])
    assert (source / "nova" / "virt" / "uniqserial" / "__init__.py").exists()
    assert not (site / "nova").exists()
