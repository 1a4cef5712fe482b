# SPDX-License-Identifier: Apache-2.0
"""Write the hosts or the servers of a seed through Nova's objects. Runs in the services'
environment, beside the running Nova.
"""

# First: it decides how everything that follows runs.
from nova import monkey_patch

monkey_patch.patch(backend="threading")

import datetime  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import Any  # noqa: E402

import sqlalchemy  # noqa: E402
from nova import config, context, objects  # noqa: E402
from nova.compute import power_state, task_states, vm_states  # noqa: E402
from nova.db.api import api as api_db  # noqa: E402
from nova.db.main import api as db  # noqa: E402
from nova.network import model  # noqa: E402
from oslo_utils import timeutils  # noqa: E402

from devcloud import sqlite_writers  # noqa: E402
from devcloud.hosts import BY_NAME, HOSTS, QEMU  # noqa: E402

Json = dict[str, Any]

#: Servers in one transaction: Nova has to wait for its end.
BATCH = 100

#: Status -> (vm_state, task_state, power_state).
STATES: Mapping[str, tuple[str, str | None, int]] = {
    "ACTIVE": (vm_states.ACTIVE, None, power_state.RUNNING),
    "SHUTOFF": (vm_states.STOPPED, None, power_state.SHUTDOWN),
    "PAUSED": (vm_states.PAUSED, None, power_state.PAUSED),
    "SHELVED_OFFLOADED": (vm_states.SHELVED_OFFLOADED, None, power_state.SHUTDOWN),
    "ERROR": (vm_states.ERROR, None, power_state.NOSTATE),
    "BUILD": (vm_states.BUILDING, task_states.SCHEDULING, power_state.NOSTATE),
}


class Seeder:
    """Writes into the databases that the running Nova uses."""

    def __init__(self, plan: Json) -> None:
        self.plan = plan
        self.now = timeutils.utcnow(with_timezone=True)
        admin = context.get_admin_context()
        self.cells = {cell.name: cell for cell in objects.CellMappingList.get_all(admin)}

    def _context(self, cell: str) -> Any:
        """A context of the administrator that means one cell."""
        admin = context.RequestContext(
            self.plan["user_id"], self.plan["project_id"], is_admin=True, overwrite=False
        )
        context.set_target_cell(admin, self.cells[cell])
        return admin

    # --- hosts ------------------------------------------------------------

    def hosts(self) -> None:
        """Write services, compute nodes and host mappings."""
        for number, host in enumerate(self.plan["hosts"]):
            admin = self._context(host["cell"])
            service = objects.Service(
                admin,
                host=host["name"],
                binary="nova-compute",
                topic="compute",
                report_count=1,
                disabled=host["disabled"],
                disabled_reason="devcloud seed" if host["disabled"] else None,
                forced_down=False,
                last_seen_up=self.now,
            )
            service.create()
            _compute_node(admin, host, service, number).create()
            objects.HostMapping(
                context.get_admin_context(),
                cell_mapping=self.cells[host["cell"]],
                host=host["name"],
            ).create()
        for cell in {host["cell"] for host in self.plan["hosts"]}:
            self._follow(cell)

    def _follow(self, cell: str) -> None:
        """Let the hosts report whenever a real compute of their cell does.

        Nova takes a service for down when its last report is too long ago, or too far in the
        future; and no process reports for these.
        """
        leader = next(host.name for host in HOSTS if host.cell == cell)
        names = [host["name"] for host in self.plan["hosts"] if host["cell"] == cell]
        listed = ", ".join(f"'{name}'" for name in names)
        admin = self._context(cell)
        with db.get_context_manager(admin).writer.using(admin):
            admin.session.execute(
                sqlalchemy.text(
                    "CREATE TRIGGER devcloud_seed AFTER UPDATE OF last_seen_up ON services"  # noqa: S608
                    # Names of ours, not of a stranger.
                    f" WHEN NEW.host = '{leader}' AND NEW.last_seen_up IS NOT NULL BEGIN"
                    " UPDATE services SET last_seen_up = NEW.last_seen_up,"
                    f" report_count = report_count + 1 WHERE host IN ({listed}); END"
                )
            )

    # --- servers ----------------------------------------------------------

    def servers(self) -> None:
        """Write the servers with all that belongs to them."""
        # Nova wants it in a transaction of its own, which would wait for the one around it.
        db.security_group_ensure_default = lambda _context: None
        flavors = self._flavors()
        nodes = self._nodes()
        for cell in self.cells:
            mine = [server for server in self.plan["servers"] if server["cell"] == cell]
            for start in range(0, len(mine), BATCH):
                batch = mine[start : start + BATCH]
                admin = self._context(cell)
                with _one_transaction(db.get_context_manager(admin), admin):
                    for server in batch:
                        flavor = flavors[_flavor_key(server)]
                        self._instance(admin, server, flavor, nodes.get(server["host"]))
                admin = self._context(cell)
                with _one_transaction(api_db.context_manager, admin):
                    for server in batch:
                        flavor = flavors[_flavor_key(server)]
                        self._mapping(admin, server, flavor)

    def _flavors(self) -> dict[str, Any]:
        """The flavors as the servers embed them: today's, with the extra specs of then."""
        admin = context.get_admin_context()
        stored = {flavor.name: flavor for flavor in objects.FlavorList.get_all(admin)}
        found = {}
        for server in self.plan["servers"]:
            key = _flavor_key(server)
            if key not in found:
                flavor = stored[server["flavor"]].obj_clone()
                flavor.extra_specs = server["specs"]
                found[key] = flavor
        return found

    def _nodes(self) -> dict[str, Any]:
        found = {}
        for cell in self.cells:
            for node in objects.ComputeNodeList.get_all(self._context(cell)):
                found[node.host] = node
        return found

    def _image(self, server: Json) -> Json:
        """The image that the server was booted from, as Nova's API got it."""
        image = self.plan["images"].get(server["image"])
        if image is None:
            root = next(volume for volume in server["volumes"] if volume["root"])
            return {"min_ram": 0, "min_disk": 0, "properties": root["metadata"], "size": 1 << 30}
        return {
            "id": server["image"],
            "name": image["name"],
            "owner": self.plan["project_id"],
            "status": "active",
            "container_format": "bare",
            "disk_format": "raw",
            "size": 1,
            "min_ram": 0,
            "min_disk": 0,
            "properties": image["properties"],
        }

    def _instance(self, admin: Any, server: Json, flavor: Any, node: Any) -> None:
        # No two at the same moment: Nova lists the newest first, in no order of their IDs.
        moment = int(server["id"][-8:], 16) % 1_000_000
        created = self.now - datetime.timedelta(days=server["age"], microseconds=-moment)
        vm_state, task_state, power = STATES[server["status"]]
        image = self._image(server)
        system_metadata = {
            f"image_{key}": str(value)[:255] for key, value in image["properties"].items()
        }
        for key in ("min_ram", "min_disk", "disk_format", "container_format"):
            if key in image:
                system_metadata[f"image_{key}"] = str(image[key])
        system_metadata["image_base_image_ref"] = server["image"] or ""
        system_metadata |= {
            "boot_roles": "admin,reader,member,manager",
            "owner_user_name": "admin",
            "owner_project_name": "admin",
        }
        instance = objects.Instance(
            admin,
            uuid=server["id"],
            display_name=server["name"],
            display_description=None,
            hostname=f"server-{server['id']}",
            user_id=self.plan["user_id"],
            project_id=server["project_id"],
            reservation_id=f"r-{server['id'][:8]}",
            image_ref=server["image"] or "",
            kernel_id="",
            ramdisk_id="",
            created_at=created,
            updated_at=created,
            launch_index=0,
            vm_state=vm_state,
            task_state=task_state,
            power_state=power,
            progress=0,
            memory_mb=flavor.memory_mb,
            vcpus=flavor.vcpus,
            root_gb=flavor.root_gb,
            ephemeral_gb=flavor.ephemeral_gb,
            flavor=flavor,
            # What the list's filter by flavor looks at.
            instance_type_id=flavor.id,
            config_drive="",
            auto_disk_config=False,
            locked=False,
            cleaned=False,
            hidden=False,
            shutdown_terminate=False,
            disable_terminate=False,
            access_ip_v4=None,
            access_ip_v6=None,
            key_name=None,
            root_device_name="/dev/vda" if node or not server["image"] else None,
            availability_zone=server["zone"] or ("nova" if node else None),
            metadata=server["metadata"],
            system_metadata=system_metadata,
            pci_requests=objects.InstancePCIRequests(requests=[]),
            numa_topology=None,
        )
        if server["status"] not in ("ERROR", "BUILD"):
            instance.launched_at = created
        if node:
            instance.host = node.host
            instance.launched_on = node.host
            instance.node = node.hypervisor_hostname
            instance.compute_id = node.id
        info_cache = objects.InstanceInfoCache(admin, instance_uuid=server["id"])
        info_cache.network_info = model.NetworkInfo()
        instance.info_cache = info_cache
        instance.create()
        for disk in _disks(server):
            objects.BlockDeviceMapping(admin, instance_uuid=server["id"], **disk).create()
        if server["status"] == "ERROR":
            objects.InstanceFault(
                admin,
                instance_uuid=server["id"],
                code=500,
                message="No valid host was found.",
                details="",
                host="controller",
            ).create()

    def _mapping(self, admin: Any, server: Json, flavor: Any) -> None:
        objects.InstanceMapping(
            admin,
            instance_uuid=server["id"],
            project_id=server["project_id"],
            user_id=self.plan["user_id"],
            cell_mapping=self.cells[server["cell"]],
            queued_for_delete=False,
        ).create()
        objects.RequestSpec.from_components(
            admin,
            server["id"],
            objects.ImageMeta.from_dict(self._image(server)),
            flavor,
            None,
            objects.InstancePCIRequests(requests=[]),
            {},
            None,
            server["zone"],
            project_id=server["project_id"],
            user_id=self.plan["user_id"],
        ).create()


@contextmanager
def _one_transaction(manager: Any, admin: Any) -> Iterator[None]:
    """Let everything that objects with this context write be one transaction."""
    with manager.writer.using(admin):
        yield


def _flavor_key(server: Json) -> str:
    return json.dumps([server["flavor"], server["specs"]], sort_keys=True)


def _disks(server: Json) -> Sequence[Json]:
    common: Json = {"device_type": "disk", "delete_on_termination": False, "no_device": False}
    if server["image"]:
        return (
            {
                **common,
                "source_type": "image",
                "destination_type": "local",
                "image_id": server["image"],
                "boot_index": 0,
                "device_name": "/dev/vda",
                "delete_on_termination": True,
            },
        )
    return [
        {
            **common,
            "source_type": "volume",
            "destination_type": "volume",
            "volume_id": volume["id"],
            "volume_size": 1,
            "attachment_id": volume["attachment_id"],
            "boot_index": 0 if volume["root"] else -1,
            "device_name": volume["device"],
            "connection_info": json.dumps(
                {"driver_volume_type": "fake", "data": {"volume_id": volume["id"]}}
            ),
            "disk_bus": "virtio",
        }
        for volume in server["volumes"]
    ]


def _compute_node(admin: Any, host: Json, service: Any, number: int) -> Any:
    kvm = host["hypervisor_type"] == QEMU
    cpu = {
        "arch": host["architecture"],
        "model": "Nehalem",
        "vendor": "Intel",
        "features": ["pge", "clflush"],
        "topology": {"cores": 1, "threads": 1, "sockets": 4},
    }
    return objects.ComputeNode(
        admin,
        uuid=host["uuid"],
        host=host["name"],
        service_id=service.id,
        hypervisor_hostname=host["node"],
        hypervisor_type=host["hypervisor_type"],
        hypervisor_version=7002000,
        host_ip=f"127.0.{1 + number // 250}.{1 + number % 250}",
        cpu_info=json.dumps(cpu) if kvm else "",
        vcpus=64,
        vcpus_used=0,
        memory_mb=262144,
        memory_mb_used=512,
        free_ram_mb=261632,
        local_gb=4000,
        local_gb_used=0,
        free_disk_gb=4000,
        disk_available_least=4000,
        current_workload=0,
        running_vms=0,
        # With an uptime here Nova need not ask the compute, which is not there.
        stats={"failed_builds": "0", "uptime": "00:00:00 up 1 day"},
        cpu_allocation_ratio=4.0,
        ram_allocation_ratio=1.0,
        disk_allocation_ratio=1.0,
        mapped=1,
        supported_hv_specs=[
            objects.HVSpec.from_list([host["architecture"], "qemu" if kvm else "vmware", "hvm"])
        ],
        pci_device_pools=objects.PciDevicePoolList(objects=[]),
        metrics="[]",
    )


def main(what: str, config_file: str, plan_file: str) -> None:
    """Write one part of a plan."""
    sqlite_writers.install()
    config.parse_args(["devcloud-seed", "--config-file", config_file])
    objects.register_all()
    with open(plan_file) as file:
        seeder = Seeder(json.load(file))
    clash = {host["name"] for host in seeder.plan["hosts"]} & BY_NAME.keys()
    if clash:
        raise ValueError(f"these are the cloud's own hosts: {clash}")
    {"hosts": seeder.hosts, "servers": seeder.servers}[what]()


if __name__ == "__main__":
    main(*sys.argv[1:])
