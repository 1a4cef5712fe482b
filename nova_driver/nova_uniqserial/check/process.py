# SPDX-License-Identifier: Apache-2.0
"""The running nova-compute, from /proc. Standard library only."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from nova_uniqserial.check.rows import CheckError, Result, Row, safe

_PROGRAM = "nova-compute"
_MODULE = "nova.cmd.compute"
_PYTHON = re.compile(r"(python|pypy)[0-9.]*t?")
#: What decides the configuration files, and with the prefix OS_ options of Nova.
_OTHERS = ("HOME", "SNAP", "SNAP_COMMON")

#: Seconds in which a start script may write files before it becomes nova-compute (Kolla's does).
_START = 5


@dataclasses.dataclass(frozen=True)
class Process:
    """A running nova-compute.

    :ivar python: the interpreter as it was started; None: the program itself was
    :ivar args: the arguments of the program
    :ivar environ: None: not readable by this user
    :ivar folder: the working directory; None: not readable by this user
    :ivar started: seconds since the epoch
    """

    pid: int
    python: str | None
    args: tuple[str, ...]
    environ: Mapping[str, str] | None
    folder: str | None
    started: float


def find(pid: int | None = None) -> Process:
    """Return the nova-compute that runs in this PID namespace.

    :param pid: its process ID, where there are several
    :raises CheckError: there is none, there are several, or it has other files than this process
    """
    found = dict(_candidates())
    if pid is not None:
        if pid not in found:
            raise CheckError(f"Process {pid} is no nova-compute, or does not run.")
        found = {pid: found[pid]}
    # Those of containers can be checked there only.
    found = {number: one for number, one in found.items() if not _is_elsewhere(number)} or found
    if not found:
        raise CheckError(
            "No nova-compute was found in /proc. If it runs in a container, run this check in the"
            " container. If it does not run, give its configuration files with --config-file, in"
            " the order in which nova-compute gets them."
        )
    if len(found) > 1:
        numbers = ", ".join(map(str, sorted(found)))
        raise CheckError(f"Several nova-computes run here ({numbers}): choose one with --pid.")
    ((number, (python, args)),) = found.items()
    if _is_elsewhere(number):
        raise CheckError(
            f"nova-compute (PID {number}) runs in another mount namespace, as in a container: its"
            " files are not those that are seen here. Run this check in the container, for example"
            f" with docker exec, podman exec or nsenter --target {number} --mount --pid."
        )
    return Process(
        number,
        python,
        args,
        _environ(number),
        _link(number, "cwd"),
        _started(Path(f"/proc/{number}")),
    )


def _candidates() -> Iterator[tuple[int, tuple[str | None, tuple[str, ...]]]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            command = _program(_argv(entry))
            if command is not None:
                found[int(entry.name)] = command
    for pid, command in found.items():
        # A child before it becomes another program, such as a privileged helper.
        if _parent(pid) not in found:
            yield pid, command


def _argv(process: Path) -> list[str]:
    try:
        text = (process / "cmdline").read_bytes()
    except OSError:
        # It ended meanwhile, or is hidden.
        return []
    return os.fsdecode(text).rstrip("\0").split("\0")


def _program(argv: list[str]) -> tuple[str | None, tuple[str, ...]] | None:
    """Return the interpreter and the arguments of a nova-compute; None: it is something else."""
    name = os.path.basename(argv[0]) if argv else ""
    if name == _PROGRAM:
        return None, tuple(argv[1:])
    if not _PYTHON.fullmatch(name):
        return None
    words = iter(enumerate(argv[1:], 1))
    for place, word in words:
        if word == "-m":
            module = argv[place + 1 : place + 2]
            return (argv[0], tuple(argv[place + 2 :])) if module == [_MODULE] else None
        if word in ("-X", "-W"):
            next(words, None)
        elif not word.startswith("-"):
            is_ours = os.path.basename(word) == _PROGRAM
            return (argv[0], tuple(argv[place + 1 :])) if is_ours else None
    return None


def _stat(process: Path) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: the first one is the state."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_stat(Path(f"/proc/{pid}"))[1])
    except OSError:
        return 0


def _started(process: Path) -> float:
    ticks = int(_stat(process)[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def _link(pid: int, name: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return None


def _is_elsewhere(pid: int) -> bool:
    """Return whether a process has another mount namespace, as far as this user can read it."""
    theirs = _link(pid, "ns/mnt")
    return theirs is not None and theirs != os.readlink("/proc/self/ns/mnt")


def _environ(pid: int) -> dict[str, str] | None:
    try:
        text = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes())
    except OSError:
        return None
    return dict(word.split("=", 1) for word in text.split("\0") if "=" in word)


def take_environment(process: Process) -> None:
    """Give this process the variables that decide options and configuration files."""
    for name in [name for name in os.environ if name.startswith("OS_") or name in _OTHERS]:
        del os.environ[name]
    # Without an entry for its user, oslo.config searches no home there either.
    with contextlib.suppress(KeyError, OSError):
        os.environ["HOME"] = pwd.getpwuid(os.stat(f"/proc/{process.pid}").st_uid).pw_dir
    for name, value in (process.environ or {}).items():
        if name.startswith("OS_") or name in _OTHERS:
            os.environ[name] = value


def assess(process: Process) -> Iterator[Row]:
    """Yield what is known of the process itself."""
    unread = [
        name
        for name, value in (
            ("environment", process.environ),
            ("working directory", process.folder),
        )
        if value is None
    ]
    if unread:
        yield Row(
            "process",
            Result.UNKNOWN,
            f"The {' and the '.join(unread)} of nova-compute (PID {process.pid}) cannot be read by"
            " this user: a variable such as OS_DEFAULT__COMPUTE_DRIVER, which beats every file,"
            " would not be seen.",
            "Run this check as root or as the user of nova-compute.",
        )
    else:
        yield Row("process", Result.OK, f"nova-compute runs with PID {process.pid}.")
    yield _python(process)


def _python(process: Process) -> Row:
    ours = f"{sys.executable} (Python {'.'.join(map(str, sys.version_info[:3]))})"
    if process.python is None:
        return Row(
            "python",
            Result.UNKNOWN,
            f"The Python of nova-compute is not in its arguments; this check runs with {ours}.",
        )
    theirs = os.path.join(process.folder or "", process.python)
    again = f"Run this check again: {theirs} -m nova_uniqserial check"
    if not os.path.isabs(theirs):
        return Row(
            "python",
            Result.UNKNOWN,
            f"nova-compute was started with {safe(theirs)}, and this check runs with {ours}.",
        )
    if _identity(theirs) != _identity(sys.executable):
        return Row(
            "python",
            Result.FAILED,
            f"nova-compute runs with {safe(theirs)}, and this check with {ours}: what is"
            " installed for one of them is not for the other.",
            safe(again),
        )
    path = (process.environ or {}).get("PYTHONPATH", "")
    if process.environ is not None and path != os.environ.get("PYTHONPATH", ""):
        return Row(
            "python",
            Result.WARNING,
            "nova-compute and this check have different PYTHONPATH variables, so they may load"
            " different files.",
            safe(f"Run this check again with PYTHONPATH={path}"),
        )
    return Row("python", Result.OK, f"nova-compute and this check run with {ours}.")


def _identity(python: str) -> tuple[str, str | None]:
    """Return the program and the virtual environment of an interpreter."""
    folder = os.path.dirname(os.path.dirname(python))
    is_venv = os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    return os.path.realpath(python), os.path.realpath(folder) if is_venv else None


def restart_due(process: Process, files: Mapping[str, str]) -> Row:
    """Return whether files changed after the process started.

    :param files: path -> what the file is
    """
    changed: dict[str, float] = {}
    for path, what in files.items():
        try:
            # Packages set the time of modification; the time of change is that of the installation.
            at = os.stat(path).st_ctime
        except OSError:
            continue
        if at > process.started + _START:
            changed[what] = max(at, changed.get(what, at))
    if not changed:
        return Row(
            "restart",
            Result.OK,
            f"nova-compute started {_when(process.started)}, after the last"
            " change of its configuration files and of nova-uniqserial.",
        )
    what = "; ".join(f"{what} ({_when(at)})" for what, at in changed.items())
    return Row(
        "restart",
        Result.WARNING,
        f"nova-compute started {_when(process.started)}, before the last change of {safe(what)}:"
        " it runs with what was there then.",
        "Restart nova-compute. Running guests are not affected.",
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
