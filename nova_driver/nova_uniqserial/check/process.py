# SPDX-License-Identifier: Apache-2.0
"""The running nova-compute, from /proc. Standard library only."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from nova_uniqserial.check.rows import CheckError, Result, Row

_PROGRAM = "nova-compute"
_PYTHON = re.compile(r"(python|pypy)[0-9.]*t?")
#: What decides the configuration files, and with the prefix OS_ options of Nova.
_OTHERS = ("HOME", "SNAP", "SNAP_COMMON")
#: The end of a link in /proc to a file that was removed.
_DELETED = " (deleted)"

_FILES = "Give its configuration files with --config-file, in the order in which it gets them."


@dataclasses.dataclass(frozen=True)
class _Command:
    """The interpreter, None if the program itself was started, and the arguments."""

    python: str | None
    args: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class User:
    """The user and the groups of a process."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Process:
    """A running nova-compute.

    :ivar user: None: not readable by this user
    :ivar python: the interpreter as it was started; None: the program itself was
    :ivar replaced: whether the file of the interpreter was removed or replaced after the start
    :ivar args: the arguments of the program
    :ivar environ: None: not readable by this user
    :ivar folder: the working directory; None: not readable by this user
    :ivar started: seconds since the epoch
    """

    pid: int
    user: User | None
    python: str | None
    replaced: bool
    args: tuple[str, ...]
    environ: Mapping[str, str] | None
    folder: str | None
    started: float


def find(pid: int | None = None) -> Process:
    """Return the nova-compute that runs in this PID namespace.

    :param pid: its process ID, where there are several
    :raises CheckError: there is none, there are several, or it has other files than this process
    """
    if not os.path.exists("/proc/self"):
        raise CheckError(f"/proc is not mounted here, so nova-compute cannot be found. {_FILES}")
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
            " container. If other users cannot see it (mount option hidepid), run this check as"
            f" root. If it does not run: {_FILES}"
        )
    if len(found) > 1:
        numbers = ", ".join(map(str, sorted(found)))
        raise CheckError(f"Several nova-computes run here ({numbers}): choose one with --pid.")
    ((number, command),) = found.items()
    if _is_elsewhere(number):
        raise CheckError(
            f"nova-compute (PID {number}) runs in another mount namespace, as in a container: its"
            " files are not those that are seen here. Run this check in the container, for example"
            f" with docker exec, podman exec or nsenter --target {number} --mount --pid."
        )
    try:
        return _process(number, command)
    except (OSError, ValueError, IndexError) as error:
        raise CheckError(
            f"nova-compute (PID {number}) cannot be read from /proc ({type(error).__name__}): it"
            " may have ended. Run this check again."
        ) from error


def assess_given() -> Iterator[Row]:
    """Yield a row if a nova-compute runs here that is not checked, as its files are given."""
    found = sorted(pid for pid, _ in _candidates() if not _is_elsewhere(pid))
    if found:
        numbers = ", ".join(map(str, found))
        yield Row(
            "process",
            Result.UNKNOWN,
            f"nova-compute runs here (PID {numbers}), and this check of given files does not read"
            " its environment: a variable such as OS_DEFAULT__COMPUTE_DRIVER beats every file.",
            "Run this check without --config-file and --config-dir.",
        )


def _process(pid: int, command: _Command) -> Process:
    environ, program, python = _environ(pid), _link(pid, "exe") or "", command.python
    if python is not None and "/" not in python:
        # As "#!/usr/bin/env python3" starts it. Python searches itself in the same folders.
        path = (environ or {}).get("PATH")
        python = (path and shutil.which(python, path=path)) or python
    return Process(
        pid,
        _user(pid),
        python,
        program.endswith(_DELETED),
        command.args,
        environ,
        _link(pid, "cwd"),
        _started(pid),
    )


def _candidates() -> Iterator[tuple[int, _Command]]:
    found = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            command = _program(_argv(entry.name)) if entry.name.isdecimal() else None
            if command is not None:
                found[int(entry.name)] = command
    for pid, command in found.items():
        # A child before it becomes another program, such as a privileged helper.
        if _parent(pid) not in found:
            yield pid, command


def _argv(pid: str) -> list[str]:
    try:
        text = Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        # It ended meanwhile, or is hidden.
        return []
    return os.fsdecode(text).rstrip("\0").split("\0")


def _program(argv: list[str]) -> _Command | None:
    """Return the interpreter and the arguments of a nova-compute; None: it is something else."""
    name = os.path.basename(argv[0]) if argv else ""
    if name == _PROGRAM:
        return _Command(None, tuple(argv[1:]))
    if not _PYTHON.fullmatch(name):
        return None
    words = iter(enumerate(argv[1:], 1))
    for place, word in words:
        if word in ("-c", "-m"):
            return None
        if word in ("-X", "-W"):
            next(words, None)
        elif not word.startswith("-"):
            is_ours = os.path.basename(word) == _PROGRAM
            return _Command(argv[0], tuple(argv[place + 1 :])) if is_ours else None
    return None


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: the first one is the state."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_stat(pid)[1])
    except (OSError, ValueError, IndexError):
        return 0


def _started(pid: int) -> float:
    # Not /proc/uptime: LXC shows that of the container there.
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + int(_stat(pid)[19]) / os.sysconf("SC_CLK_TCK")


def _user(pid: int) -> User | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return None
    lines = (line.partition(":") for line in text.splitlines())
    fields = {name: rest.split() for name, _, rest in lines}
    try:
        # The real, the effective, the saved one, and that of file systems.
        uid, gid = int(fields["Uid"][3]), int(fields["Gid"][3])
        return User(uid, gid, tuple(map(int, fields["Groups"])))
    except (KeyError, ValueError, IndexError):
        return None


def _link(pid: int | str, name: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return None


def _is_elsewhere(pid: int) -> bool:
    """Return whether a process has another mount namespace, as far as this user can read it."""
    theirs = _link(pid, "ns/mnt")
    return theirs is not None and theirs != _link("self", "ns/mnt")


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
    if process.user is not None:
        with contextlib.suppress(KeyError):
            os.environ["HOME"] = pwd.getpwuid(process.user.uid).pw_dir
    for name, value in (process.environ or {}).items():
        if name.startswith("OS_") or name in _OTHERS:
            os.environ[name] = value


def assess(process: Process) -> Row:
    """Return what is known of the process itself."""
    unread = [
        name
        for name, value in (
            ("environment", process.environ),
            ("working directory", process.folder),
        )
        if value is None
    ]
    if unread:
        return Row(
            "process",
            Result.UNKNOWN,
            f"The {' and the '.join(unread)} of nova-compute (PID {process.pid}) cannot be read by"
            " this user: a variable such as OS_DEFAULT__COMPUTE_DRIVER, which beats every file,"
            " would not be seen.",
            "Run this check as root or as the user of nova-compute.",
        )
    return Row("process", Result.OK, f"nova-compute runs with PID {process.pid}.")
