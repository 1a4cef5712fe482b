# SPDX-License-Identifier: Apache-2.0
"""The state file and the lock: what one command started, for another one."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devcloud import process

STARTING = "starting"
READY = "ready"
FAILED = "failed"
STOPPED = "stopped"


@dataclass
class ServiceState:
    """One service process."""

    pid: int
    url: str
    exit_code: int | None = None


@dataclass
class State:
    """What ``state.json`` holds.

    ``config`` maps each service to its main configuration file, so that a test can run a
    service's own management command on it.
    """

    phase: str
    pid: int
    started: int
    venv: str
    clouds_yaml: str
    services: dict[str, ServiceState] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    databases: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    def supervisor(self) -> int | None:
        """A pidfd of the supervisor that wrote this; None when it no longer runs."""
        return process.open_process(self.pid, self.started)


def write(path: Path, state: State) -> None:
    """Replace the state file in one step: readers see the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(state), indent=2) + "\n")
    temporary.replace(path)


def read(path: Path) -> State | None:
    """The state; None when there is none, or none that this version can read."""
    try:
        raw = json.loads(path.read_text())
        raw["services"] = {
            name: ServiceState(**service) for name, service in raw["services"].items()
        }
        return State(**raw)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def try_lock(path: Path) -> int | None:
    """Take the lock, as a descriptor that a child may inherit; None when it is held.

    The lock belongs to the open file: ``up`` hands it to the supervisor, and the kernel
    releases it when the last of them ends, so it can never be stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
