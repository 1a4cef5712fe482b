# SPDX-License-Identifier: Apache-2.0
"""Where everything of one cloud lies on disk."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: The folder that holds the package: what the services' Python needs on its path.
SOURCE_ROOT = Path(__file__).resolve().parent.parent

#: Services in the order in which they are shown. Each is one process with one HTTP port.
SERVICES = ("keystone", "glance", "placement", "neutron", "cinder", "nova")

#: What each service's database files are called, without the suffix.
DATABASES = (
    "keystone",
    "glance",
    "placement",
    "neutron",
    "cinder",
    "nova_api",
    "nova_cell0",
    "nova_cell1",
    "nova_cell2",
)


class _HasRoot(Protocol):
    @property
    def root(self) -> Path: ...


class Below:
    """A path below the root of a layout, as an attribute of the layout."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, layout: _HasRoot, _owner: type) -> Path:
        return layout.root / self._path


@dataclass(frozen=True)
class BaseLayout:
    """What the folder of everything that has a supervisor holds."""

    root: Path
    #: The services' virtual environment, which others may share.
    venv: Path

    #: What runs, for ``status``, ``down`` and tests.
    state_file = Below("state.json")
    #: Locked as long as the supervisor starts or runs.
    lock_file = Below("lock")
    #: Logs of the present or the last run.
    logs = Below("logs")

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    def log(self, name: str) -> Path:
        """The log file of a process or a step."""
        return self.logs / f"{name}.log"


class Layout(BaseLayout):
    """Paths below one cloud's folder."""

    #: The client configuration.
    clouds_yaml = Below("clouds.yaml")
    #: Everything that is made fresh at each start.
    run = Below("run")
    #: Configuration files of the services.
    etc = Below("run/etc")
    #: Python code that only the services see.
    lib = Below("run/lib")
    #: SQLite files.
    databases = Below("run/db")

    @classmethod
    def of(cls, root: str | os.PathLike[str] | None = None) -> "Layout":
        """The layout of a folder, by default ``.devcloud`` beside the package."""
        path = Path(root).absolute() if root else SOURCE_ROOT / ".devcloud"
        shared = os.environ.get("DEVCLOUD_VENV")
        return cls(path, Path(shared).absolute() if shared else path / "venv")

    def config_dir(self, service: str) -> Path:
        """The folder of one service's configuration files."""
        return self.etc / service

    def config_file(self, service: str) -> Path:
        """The main configuration file of one service."""
        # Glance reads a folder and insists on the name.
        name = "glance-api" if service == "glance" else service
        return self.config_dir(service) / f"{name}.conf"

    def database(self, name: str) -> Path:
        """One SQLite file."""
        return self.databases / f"{name}.sqlite"
