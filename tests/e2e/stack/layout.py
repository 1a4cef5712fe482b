# SPDX-License-Identifier: Apache-2.0
"""Where everything of one stack lies on disk."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devcloud.layout import SOURCE_ROOT, BaseLayout
from devcloud.layout import Layout as CloudLayout

#: Below this a stack's sockets would not fit into a socket address.
MAX_ROOT = 50


class Layout(BaseLayout):
    """Paths below one stack's folder; the virtual environment outlives the stack."""

    @classmethod
    def of(cls, root: str | os.PathLike[str] | None = None) -> Layout:
        """The layout of a folder, by default the one that E2E_STACK names."""
        named = root or os.environ.get("E2E_STACK")
        path = Path(named) if named else Path(tempfile.gettempdir()) / "osc-uniqserial-e2e"
        venv = os.environ.get("E2E_VENV") or SOURCE_ROOT / ".devcloud" / "e2e-venv"
        return cls(path.absolute(), Path(venv).absolute())

    @property
    def cloud(self) -> CloudLayout:
        """The embedded cloud, which is everything but Nova."""
        return CloudLayout(self.root / "cloud", self.venv)

    @property
    def temporary(self) -> Path:
        """Temporary files of everything in the stack."""
        return self.root / "tmp"

    @property
    def mysql(self) -> Path:
        """MariaDB's data."""
        return self.root / "mysql"

    @property
    def mysql_socket(self) -> Path:
        """Where MariaDB listens."""
        return self.root / "mysql.sock"

    @property
    def rabbit(self) -> Path:
        """RabbitMQ's data."""
        return self.root / "rabbit"

    @property
    def nova_conf(self) -> Path:
        """The configuration of Nova's API, conductor and scheduler."""
        return self.root / "nova" / "nova.conf"

    @property
    def shims(self) -> Path:
        """What takes the place of ssh and scp."""
        return self.root / "bin"

    def host(self, name: str) -> HostLayout:
        """The paths of one compute host."""
        return HostLayout(self.root / "hosts" / name)


@dataclass(frozen=True)
class HostLayout:
    """Paths of one compute host, as the machine sees them."""

    root: Path

    #: Where the host itself sees ``state``: the same on all hosts, as live migration needs.
    STATE_INSIDE = Path("/run/nova")

    @property
    def agent_socket(self) -> Path:
        """Where the agent takes orders."""
        return self.root / "agent.sock"

    @property
    def agent_log(self) -> Path:
        """What the agent, virtlogd and libvirtd say."""
        return self.root / "agent.log"

    @property
    def compute_log(self) -> Path:
        """What nova-compute says, over all its starts."""
        return self.root / "nova-compute.log"

    @property
    def etc(self) -> Path:
        """The host's /etc."""
        return self.root / "etc"

    @property
    def machine_id(self) -> Path:
        """The host's /etc/machine-id."""
        return self.etc / "machine-id"

    @property
    def state(self) -> Path:
        """Nova's state_path."""
        return self.root / "nova"

    @property
    def instances(self) -> Path:
        """Nova's instances_path."""
        return self.state / "instances"

    @property
    def nova_conf(self) -> Path:
        """The configuration that the host starts with."""
        return self.root / "nova.conf"

    @property
    def override_conf(self) -> Path:
        """What a test changed; read after the other."""
        return self.root / "override.conf"

    def bound(self, folder: str) -> Path:
        """The folder that takes the place of one of the machine's, such as /var/lib/libvirt."""
        return self.root / folder.strip("/").replace("/", "-")
