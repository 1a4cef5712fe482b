# SPDX-License-Identifier: Apache-2.0
"""Nova's fake compute driver, looking like a host that runs QEMU."""

import uuid
from typing import Any

from nova.objects import fields
from nova.virt import fake
from nova_uniqserial.traits import TraitsMixin
from oslo_utils import versionutils

from devcloud.hosts import BY_NAME, QEMU


class DevcloudDriver(fake.FakeDriver):  # type: ignore[misc]  # Nova has no types
    """The fake driver with the hypervisor hostname of the table, and stable node UUIDs."""

    def init_host(self, host: str) -> None:
        """Name the one node as the table does."""
        super().init_host(host)
        self._set_nodes([BY_NAME[host].node])

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """The fake driver's resources, of a node with a stable UUID."""
        status: dict[str, Any] = super().get_available_resource(nodename)
        if status:
            status["uuid"] = _node_uuid(nodename)
        return status

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """The nodes, with the same UUIDs."""
        return {_node_uuid(node): node for node in self.get_available_nodes()}

    def get_host_uptime(self) -> str:
        """Any: without one, listing hypervisors logs an error for each."""
        return "00:00:00 up 1 day,  0:00,  0 users,  load average: 0.00, 0.00, 0.00"


class QemuFakeDriver(DevcloudDriver):
    """Reports what the libvirt driver reports with QEMU."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self.host_status_base.update(
            hypervisor_type=QEMU,
            hypervisor_version=versionutils.convert_version_to_int("7.2.0"),
            supported_instances=[
                (fields.Architecture.X86_64, fields.HVType.QEMU, fields.VMMode.HVM)
            ],
        )

    def default_root_device_name(self, instance: Any, image_meta: Any, root_bdm: Any) -> str:
        """What virtio disks are called."""
        return "/dev/vda"


class ObeyingFakeDriver(TraitsMixin, QemuFakeDriver):
    """Reports what nova-uniqserial's driver reports, by its own code."""


def _node_uuid(node: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, node))
