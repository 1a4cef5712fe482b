# SPDX-License-Identifier: Apache-2.0
"""``python3 -m nova_uniqserial check`` beside a real process, with real configuration files."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
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
from tests.nova.host import UNPRIVILEGED, Host

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
        for row in listed:
            depends = row["reason"].startswith("Not checked (see ")
            assert row["result"] == "ok" or row["remedy"] or depends, row
        return rows

    def results(self, result: str) -> set[str]:
        return {check for check, row in self.rows.items() if row["result"] == result}


def check(
    host: Host,
    end: End,
    *args: str | Path,
    prefix: tuple[str, ...] = (),
    output: int = subprocess.PIPE,
    **environ: str,
) -> Checked:
    command = (*host.enter, *prefix, end.python, "-m", "nova_uniqserial", "check", *args)
    done = subprocess.run(
        command,
        env={**end.environment(), **environ},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    checked = Checked(done.returncode, done.stdout or "", done.stderr)
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

    def snippet(self, text: str = "") -> Path:
        """Write a file into a folder of its own, for --config-dir."""
        folder = self.folder / "conf.d"
        folder.mkdir()
        path = folder / "10-snippet.conf"
        path.write_text(text)
        return path

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


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> End:
    """The driver with a Python that has no Nova: enough for what does not depend on it."""
    folder = tmp_path_factory.mktemp("plain")
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, folder)
    return End("plain", Path(sys.executable), folder, {"PYTHONPATH": str(folder)})


def test_a_later_file_overrides_the_driver(ours: End, files: Files, host: Host) -> None:
    """As Debian's nova-compute.conf does, which has other sections too."""
    first = files.main(libvirt={"sysinfo_serial": "none"})
    with first.open("a") as file:
        file.write("[DEFAULT]\ncompute_driver = fake.FakeDriver\n")
    # Of the last file that has the section, which oslo.config names, only the driver is set here.
    last = files.conf(
        "nova-compute.conf", DEFAULT={"compute_driver": STOCK_DRIVER}, libvirt={"virt_type": "kvm"}
    )
    # Relative to the folder of the process.
    pid = host.start(ours, "--config-file", first.name, f"--config-file={last.name}", "--debug")
    checked = check(host, ours, "--pid", str(pid), "-f", "json")
    assert checked.code == 3, checked
    rows = checked.rows
    assert rows["configuration"]["reason"] == f"In this order: {first}, {last}."
    driver = rows["compute-driver"]
    assert driver["result"] == "failed"
    assert f"{STOCK_DRIVER}, from {last}, line 3." in driver["reason"]
    assert (
        f"It replaces fake.FakeDriver of {first}, line 11. It replaces {DRIVER} of"
        in (driver["reason"])
    )
    assert "restart nova-compute" in driver["remedy"]
    assert rows["sysinfo-serial"]["reason"].endswith(f"is none, from {first}, line 9.")
    assert rows["server-may-ask"]["reason"].endswith("is true, from the default.")
    assert "does not declare the mode of this host, none" in rows["provider-yaml"]["reason"]
    good = {"process", "python", "nova", "driver", "validator", "image-property", "restart"}
    assert good <= checked.results("ok"), rows


def test_the_environment_overrides_every_file(
    ours: End, files: Files, host: Host, bindings: str
) -> None:
    path = files.main(libvirt={"sysinfo_serial": "unique"})
    begun = time.monotonic()
    removed = files.snippet()
    args = ("--config-file", path, "--config-dir", removed.parent)
    pid = host.start(ours, *args, OS_DEFAULT__COMPUTE_DRIVER=STOCK_DRIVER, PYTHONPATH=bindings)
    other = host.start(ours, "--config-file", path)
    several = check(host, ours)
    assert several.code == 1
    assert (
        f"Several nova-computes run here ({min(pid, other)}, {max(pid, other)})" in several.errors
    )
    assert "--pid" in several.errors
    # After the time in which a start script may write.
    time.sleep(max(0.0, begun + 6 - time.monotonic()))
    path.touch()
    removed.unlink()
    # What the environment of the check has does not count.
    checked = check(host, ours, "--pid", str(pid), "-f", "json", OS_LIBVIRT__SYSINFO_SERIAL="os")
    assert checked.code == 3, checked
    rows = checked.rows
    assert rows["compute-driver"]["result"] == "failed"
    assert "environment variable OS_DEFAULT__COMPUTE_DRIVER" in rows["compute-driver"]["reason"]
    assert rows["sysinfo-serial"]["reason"].endswith(f"is unique, from {path}, line 9.")
    assert "different PYTHONPATH" in rows["python"]["reason"]
    assert rows["restart"]["result"] == "warning"
    assert f"before the last change of {path} (" in rows["restart"]["reason"]
    assert f", {removed.parent} (" in rows["restart"]["reason"]
    assert rows["file-access"]["result"] == "ok"
    wrong = check(host, ours, "--pid", str(os.getpid()))
    assert (wrong.code, wrong.output) == (1, "")
    assert f"Process {os.getpid()} is no nova-compute" in wrong.errors


def test_another_python(stock: End, ours: End, files: Files, host: Host) -> None:
    """What is installed beside one Python is not beside the other."""
    pid = host.start(ours, "--config-file", files.main())
    folder = ends.site_of(ours.python)
    environ = {**stock.environ, "PYTHONPATH": str(folder)}
    end = dataclasses.replace(stock, environ=environ)
    row = check(host, end, "--pid", str(pid), "-f", "json").rows["python"]
    assert row["result"] == "failed"
    assert f"nova-compute runs with {ours.python}" in row["reason"]
    assert f"{ours.python} -m nova_uniqserial check" in row["remedy"]


def test_a_good_host(ours: End, host: Host, files: Files, bindings: str) -> None:
    path = files.main(libvirt={"sysinfo_serial": "hardware"})
    found = check(host, ours, "--config-file", path, "-f", "json", PYTHONPATH=bindings)
    assert (found.code, found.results("ok")) == (0, set(found.rows)), found
    assert "the hardware UUID (4c4c***)" in found.rows["host-mode"]["reason"]
    # Without libvirt it is not known.
    unknown = check(host, ours, "--config-file", path, "-f", "json", PYTHONPATH="")
    assert unknown.code == 4, unknown
    assert unknown.results("unknown") == {"hardware-uuid", "host-mode"}


def test_an_architecture_without_serial_numbers(
    ours: End, host: Host, files: Files, bindings: str
) -> None:
    module = Path(bindings) / "libvirt.py"
    arch = "</uuid><cpu><arch>aarch64</arch></cpu>"
    module.write_text(module.read_text().replace("</uuid>", arch))
    path = files.main(libvirt={"sysinfo_serial": "unique"})
    found = check(host, ours, "--config-file", path, "-f", "json", PYTHONPATH=bindings)
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
    ours: End,
    host: Host,
    files: Files,
    mode: str,
    traits: tuple[str, ...],
    result: str,
    reason: str,
) -> None:
    files.declare(*traits)
    path = files.main(STOCK_DRIVER, libvirt={"sysinfo_serial": mode})
    row = check(host, ours, "--config-file", path, "-f", "json").rows["provider-yaml"]
    assert row["result"] == result
    assert reason in row["reason"]
    assert (row["remedy"] is None) == (result == "ok")


def test_what_cannot_be_read(ours: End, host: Host, files: Files) -> None:
    path = files.main()
    folder = files.snippet().parent
    for closed in (path, folder):
        closed.chmod(0)
        os.chown(closed, 65534, 65534)
    args = ("--config-file", path, "--config-dir", folder, "-f", "json")
    checked = check(host, ours, *args, prefix=UNPRIVILEGED)
    assert checked.code == 4, checked
    row = checked.rows["configuration"]
    assert row["result"] == "unknown"
    assert (
        row["reason"]
        == "; ".join(f"{closed} cannot be read by this user" for closed in (folder, path)) + "."
    )
    assert "as root or as the user of nova-compute" in row["remedy"]
    assert checked.rows["compute-driver"]["reason"] == "Not checked (see configuration)."


def test_a_process_of_another_user(ours: End, files: Files, host: Host) -> None:
    """Its arguments can be read, and neither its environment nor its working directory."""
    path = files.main()
    pid = str(host.start(ours, f"--config-file={path.name}"))
    checked = check(host, ours, "--pid", pid, "-f", "json", prefix=UNPRIVILEGED)
    assert checked.code == 4, checked
    assert checked.results("unknown") >= {"process", "configuration", "compute-driver"}
    assert "OS_DEFAULT__COMPUTE_DRIVER" in checked.rows["process"]["reason"]
    assert f"{path.name} is relative" in checked.rows["configuration"]["reason"]


def test_files_that_are_closed_to_nova_compute(ours: End, files: Files, host: Host) -> None:
    """As after an installation with umask 077: the folder of these tests is root's."""
    module, closed = ours.site / "nova_uniqserial" / "policy.py", files.folder / "policy.py"
    closed.write_bytes(module.read_bytes())
    closed.chmod(0o600)
    host.run("mount", "--bind", closed, module)
    host.start(ours, "--config-file", files.main(), user=65534)
    row = check(host, ours, "-f", "json").rows["file-access"]
    assert row["result"] == "failed"
    assert f"nova-compute (UID 65534) cannot read {files.folder}/nova.conf, " in row["reason"]
    assert f", {ours.site}/nova_uniqserial/" in row["reason"]


def test_what_is_wrong_in_the_files(ours: End, host: Host, files: Files) -> None:
    files.declare("CUSTOM_UNIQUE_SERIAL_KEYS", identification="name: other-host")
    path = files.main(unique_serial={"server_may_ask": "\x1b[31mperhaps"})
    checked = check(host, ours, "--config-file", path)
    assert checked.code == 3
    assert "[unique_serial]server_may_ask is not valid" in " ".join(checked.output.split())
    assert "\x1b" not in checked.output
    # It is for another host.
    assert "declares no trait that the driver reports" in " ".join(checked.output.split())
    path.write_text(f"[DEFAULT]\n{SECRET.replace(':', '')}\n".replace("=", ""))
    # Without this variable Nova 34 reads the file when it is imported.
    args = ("--config-file", path, "-f", "json")
    broken = check(host, ours, *args, OS_NOVA_DISABLE_EVENTLET_PATCHING="")
    assert broken.rows["nova"]["result"] == "ok"
    assert broken.rows["configuration"]["result"] == "failed"
    assert "s3cret" not in broken.output


def test_a_provider_with_the_same_short_name(ours: End, host: Host, files: Files) -> None:
    """Nova compares the whole name of the host."""
    path = files.main()
    own = socket.gethostname()
    other = f"{own.split('.')[0]}.elsewhere.example"
    for name, result in ((own, "warning"), (other, "unknown")):
        files.declare("CUSTOM_UNIQUE_SERIAL", identification=f"name: {name}")
        row = check(host, ours, "--config-file", path, "-f", "json").rows["provider-yaml"]
        assert row["result"] == result, row


def test_passwords_in_other_options(ours: End, host: Host, files: Files) -> None:
    uri = "qemu+tcp://nova:s3cret@127.0.0.1:1/system"
    driver = "$neutron.metadata_proxy_shared_secret"
    secret: dict[str, object] = {"metadata_proxy_shared_secret": "s3cret"}
    path = files.main(driver, libvirt={"connection_uri": uri}, neutron=secret)
    found = check(host, ours, "--config-file", path, "-f", "json")
    assert f"compute_driver is {driver}, from" in found.rows["compute-driver"]["reason"]
    assert "[libvirt]connection_uri" in found.rows["hardware-uuid"]["reason"]
    assert "s3cret" not in found.output + found.errors


def test_files_that_nova_compute_cannot_use(ours: End, host: Host, files: Files) -> None:
    snippet = files.snippet()
    snippet.write_bytes("[DEFAULT]\nhost = ü\n".encode("latin-1"))
    folder = snippet.parent
    os.mkfifo(folder / "20-pipe.conf")
    (folder / "30-gone.conf").symlink_to("missing")
    args = ("--config-file", files.folder, "--config-dir", folder, "-f", "json")
    row = check(host, ours, *args).rows["configuration"]
    assert row["result"] == "failed"
    assert row["reason"].split("; ") == [
        f"{files.folder} cannot be read (Is a directory)",
        f"{snippet} has bytes that are no text in utf-8",
        f"{folder}/20-pipe.conf is no regular file",
        f"{folder}/30-gone.conf cannot be read (No such file or directory).",
    ]

    files.providers.mkdir()
    os.mkfifo(files.providers / "pipe.yaml")
    row = check(host, ours, "--config-file", files.main(), "-f", "json").rows["provider-yaml"]
    assert row["result"] == "failed"
    assert f"{files.providers}/pipe.yaml is no regular file" in row["reason"]


def test_options_that_nova_refuses(ours: End, host: Host, files: Files) -> None:
    main = files.main("$compute_driver", libvirt={"virt_type": "uml"}).read_text()
    path = files.folder / "bad.conf"
    # The last one would show the password of the message queue.
    path.write_text(
        f"{main}\nsysinfo_serial = $transport_url\n[compute]\nprovider_config_location = $nosuch\n"
    )
    found = check(host, ours, "--config-file", path, "-f", "json")
    assert found.code == 3
    refused = {"compute-driver", "sysinfo-serial", "host-mode", "provider-yaml"}
    assert found.results("failed") == refused, found
    assert "[libvirt]virt_type is not valid" in found.rows["host-mode"]["reason"]
    assert "found 'uml'" in found.rows["host-mode"]["reason"]
    assert "provider_config_location is not valid" in found.rows["provider-yaml"]["reason"]
    # Nova has no default.
    unset = check(host, ours, "--config-file", os.devnull, "-f", "json").rows["compute-driver"]
    assert (unset["result"], unset["remedy"]) == ("failed", f"Set compute_driver = {DRIVER}.")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("_get_guest_config_sysinfo", "_renamed", "LibvirtDriver has no method"),
        ("\nimport", "\nimport nova.gone\nimport", "No module named 'nova.gone'"),
    ],
)
def test_a_nova_that_the_driver_does_not_fit(
    ours: End, host: Host, files: Files, old: str, new: str, reason: str
) -> None:
    ends.run("cp", "-rs", ours.site / "nova", files.folder)
    module = files.folder / "nova" / "virt" / "libvirt" / "driver.py"
    text = module.read_text()
    module.unlink()
    module.write_text(text.replace(old, new))
    args = ("--config-file", files.main(), "-f", "json")
    row = check(host, ours, *args, PYTHONPATH=str(files.folder)).rows["driver"]
    assert row["result"] == "failed"
    assert reason in row["reason"]
    # The text of the exception is for the log of nova-compute.
    assert "guide" not in row["reason"]
    assert row["remedy"].startswith("Install a nova-uniqserial that supports this Nova")


def test_the_python_of_nova_compute(plain: End, host: Host, files: Files) -> None:
    pid = host.start(plain, python=plain.python.name, PATH=f"{plain.python.parent}:/usr/bin:/bin")
    given = ("-f", "json", "--pid")
    row = check(host, plain, *given, str(pid)).rows["python"]
    assert (row["result"], row["remedy"]) == ("ok", None), row
    other = files.folder / "ü" / "python3"
    other.parent.mkdir()
    shutil.copy(os.path.realpath(sys.executable), other)
    pid = host.start(plain, python=other)
    # Not an encoding of every terminal.
    text = check(host, plain, "--pid", str(pid), PYTHONIOENCODING="ascii").output
    assert "/\\xfc/python3, and this" in " ".join(text.split())
    # As an upgrade does.
    other.unlink()
    shutil.copy(os.path.realpath(sys.executable), other)
    end = dataclasses.replace(plain, python=other)
    row = check(host, end, *given, str(pid)).rows["python"]
    assert (row["result"], row["reason"].split(" was ")[0]) == ("warning", str(other))
    other.unlink()
    row = check(host, plain, *given, str(pid)).rows["python"]
    assert row["result"] == "failed"
    assert "which is missing now" in row["reason"]


def test_processes_that_cannot_be_read(plain: End, host: Host, files: Files) -> None:
    pid = str(host.start(plain))
    given = check(host, plain, "--config-file", files.main(), "-f", "json").rows["process"]
    assert given["result"] == "unknown"
    assert f"nova-compute runs here (PID {pid})" in given["reason"]
    unmounted = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
    for prefix, reason in (
        (unmounted, "/proc is not mounted"),
        (("unshare", "--mount"), f"(PID {pid}) runs in another mount namespace"),
    ):
        found = check(host, plain, prefix=prefix)
        assert (found.code, found.output) == (1, "")
        assert reason in found.errors
    assert (
        "process"
        not in check(host, plain, "--config-file", "a", "-f", "json", prefix=unmounted).rows
    )
    # As of a process that ends meanwhile.
    host.run("mount", "--bind", "/dev/null", f"/proc/{pid}/stat")
    found = check(host, plain)
    assert found.code == 1
    assert "it may have ended. Run this check again." in found.errors
    host.run("mount", "-o", "remount,hidepid=2,gid=1", "/proc")
    found = check(host, plain, prefix=UNPRIVILEGED)
    assert found.code == 1
    assert "No nova-compute was found" in found.errors
    assert "hidepid" in found.errors


#: Makes a root folder with an /etc of its own, where the machine ID is a link, and enters it.
_LINKED = """
mount -t tmpfs none "$0"
cd "$0"
for name in $(ls / | grep -vx -e etc -e run); do
    if [ -L "/$name" ]; then
        cp -P "/$name" .
    elif [ -d "/$name" ]; then
        mkdir "$name"
        mount --rbind "/$name" "$name"
    fi
done
mkdir etc run
touch .dockerenv
echo 00000000000040008000000000001234 > run/machine-id
ln -s ../run/machine-id etc/machine-id
$MOUNT
exec chroot . "$@"
"""


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("", "a file of this container (/.dockerenv): "),
        ("mount --bind run/machine-id run/machine-id", "the host's: no sign of a container"),
    ],
)
def test_a_machine_id_that_is_a_link(
    plain: End, host: Host, files: Files, mount: str, reason: str
) -> None:
    root = files.folder / "root"
    root.mkdir()
    prefix = ("unshare", "--mount", "sh", "-e", "-c", _LINKED.replace("$MOUNT", mount), str(root))
    row = check(host, plain, "--config-file", "a", "-f", "json", prefix=prefix).rows["machine-id"]
    assert f"/etc/machine-id is 0000***, {reason}" in row["reason"]


def test_an_output_that_ends(plain: End, host: Host) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    found = check(host, plain, "--config-file", "a", output=writer)
    os.close(writer)
    assert (found.code, found.errors) == (3, "")
    full = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
    found = check(host, plain, "--config-file", "a", prefix=full)
    assert (found.code, found.errors) == (
        1,
        "The result cannot be written: No space left on device.\n",
    )


def test_beside_novas_folder(stock: End, wheel: Path, host: Host, files: Files) -> None:
    local = files.folder / "dist-packages"
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, local)
    environ = {**stock.environ, "PYTHONPATH": str(local)}
    end = dataclasses.replace(stock, environ=environ)
    row = check(host, end, "--config-file", files.main(), "-f", "json").rows["driver"]
    assert row["result"] == "failed"
    assert f"Nova is in {stock.site} and loads drivers from there only" in row["reason"]
    assert f"nova-uniqserial is in {local}" in row["reason"]
    # A damaged installation is a result too.
    (local / "nova_uniqserial" / "policy.py").unlink()
    damaged = check(host, end, "--config-file", files.main(), "-f", "json")
    assert damaged.results("failed") == {"driver", "validator", "image-property"}
    # And so is a Nova that cannot be imported.
    (local / "nova" / "__init__.py").write_text("raise SystemExit('no Nova')\n")
    broken = check(host, end, "--config-file", files.main(), "-f", "json")
    assert broken.code == 3
    assert "SystemExit: no Nova" in broken.rows["nova"]["reason"]
    assert broken.rows["driver"]["reason"] == "Not checked (see nova)."


def test_beside_an_editable_nova(stock: End, wheel: Path, host: Host, files: Files) -> None:
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
    row = check(host, end, "--config-file", files.main(), "-f", "json").rows["driver"]
    assert row["result"] == "failed"
    assert f"Nova is in {source} and loads drivers from there only" in row["reason"]
    ends.run("sh", "-c", row["remedy"].rpartition(": ")[2])
    assert (source / "nova" / "virt" / "uniqserial" / "__init__.py").exists()
    assert not (site / "nova").exists()
