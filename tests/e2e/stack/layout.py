# SPDX-License-Identifier: Apache-2.0
"""Where everything of one stack lies on disk."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devcloud.layout import SOURCE_ROOT, BaseLayout, Below
from devcloud.layout import Layout as CloudLayout

#: Below this a stack's sockets would not fit into a socket address.
MAX_ROOT = 50


class Layout(BaseLayout):
    """Paths below one stack's folder; the virtual environment outlives the stack."""

    #: Temporary files of everything in the stack.
    temporary = Below("tmp")
    #: MariaDB's data.
    mysql = Below("mysql")
    #: Where MariaDB listens.
    mysql_socket = Below("mysql.sock")
    #: RabbitMQ's data.
    rabbit = Below("rabbit")
    #: The configuration of Nova's API, conductor and scheduler.
    nova_conf = Below("nova/nova.conf")
    #: What takes the place of ssh and scp.
    shims = Below("bin")

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

    def host(self, name: str) -> HostLayout:
        """The paths of one compute host."""
        return HostLayout(self.root / "hosts" / name)


@dataclass(frozen=True)
class HostLayout:
    """Paths of one compute host, as the machine sees them."""

    root: Path

    #: Where the host itself sees ``state``: the same on all hosts, as live migration needs.
    STATE_INSIDE = Path("/run/nova")

    #: Where the agent takes orders.
    agent_socket = Below("agent.sock")
    #: What the agent, virtlogd and libvirtd say.
    agent_log = Below("agent.log")
    #: What nova-compute says, over all its starts.
    compute_log = Below("nova-compute.log")
    #: The host's /etc.
    etc = Below("etc")
    #: The host's /etc/machine-id.
    machine_id = Below("etc/machine-id")
    #: Nova's state_path.
    state = Below("nova")
    #: Nova's instances_path.
    instances = Below("nova/instances")
    #: The configuration that the host starts with.
    nova_conf = Below("nova.conf")
    #: What a test changed; read after the other.
    override_conf = Below("override.conf")

    def bound(self, folder: str) -> Path:
        """The folder that takes the place of one of the machine's, such as /var/lib/libvirt."""
        return self.root / folder.strip("/").replace("/", "-")
