# SPDX-License-Identifier: Apache-2.0
"""Nova's API, conductor, scheduler and all computes in one process over the fake transport.

Another process of the API helps with lists of servers (``devcloud.nova_lists``).

Nova reads one [database] section a process, while each compute belongs to a cell. Here the
contexts carry the cell: those that a compute makes get it, and RPC hands it on.
"""

# First: it decides how everything that follows runs.
from nova import monkey_patch

monkey_patch.patch(backend="threading")

import shlex  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import Any  # noqa: E402

import nova.conf  # noqa: E402
import os_brick  # noqa: E402
import os_vif  # noqa: E402
import waitress  # noqa: E402
from nova import context, objects, rpc, service, utils  # noqa: E402
from nova.api.openstack import wsgi_app  # noqa: E402
from nova.compute import rpcapi as compute_rpcapi  # noqa: E402
from nova.conductor import rpcapi as conductor_rpcapi  # noqa: E402
from nova.objects import host_mapping  # noqa: E402
from nova.scheduler import rpcapi as scheduler_rpcapi  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from oslo_privsep import priv_context  # noqa: E402

import devcloud.fake_driver  # noqa: E402
from devcloud import nova_lists  # noqa: E402
from devcloud.config import provider_dir  # noqa: E402
from devcloud.hosts import HOSTS, QEMU, Host  # noqa: E402
from devcloud.layout import Layout  # noqa: E402

CONF = nova.conf.CONF
LOG = logging.getLogger("devcloud.nova_all")

# Nova imports compute drivers from below nova.virt only.
sys.modules["nova.virt.devcloud"] = devcloud.fake_driver

_current = threading.local()
#: Cell mapping by UUID.
_cells: dict[str | None, Any] = {}
_get_admin_context = context.get_admin_context


@contextmanager
def _in_cell(cell: Any) -> Iterator[None]:
    """Make this thread's admin contexts belong to a cell."""
    before = getattr(_current, "cell", None)
    _current.cell = cell
    try:
        yield
    finally:
        _current.cell = before


def _cell_admin_context(*args: Any, **kwargs: Any) -> Any:
    admin = _get_admin_context(*args, **kwargs)
    cell = getattr(_current, "cell", None)
    if cell is not None:
        context.set_target_cell(admin, cell)
    return admin


def _serialize_context(_self: Any, request: Any) -> dict[str, Any]:
    return {**request.to_dict(), "devcloud_cell": request.cell_uuid}


def _deserialize_context(_self: Any, values: dict[str, Any]) -> Any:
    cell = _cells.get(values.get("devcloud_cell"))
    request = context.RequestContext.from_dict(
        {key: value for key, value in values.items() if key != "devcloud_cell"}
    )
    if cell is not None:
        context.set_target_cell(request, cell)
    return request


def _let_contexts_carry_cells() -> None:
    """Give admin contexts their thread's cell, and let RPC hand a context's cell on.

    A real cell has a conductor and a queue of its own; without this the one conductor would
    look for every cell's servers in [database]. The methods are replaced in their class, not
    the class: what Nova uses is a subclass with osprofiler's part.
    """
    context.get_admin_context = _cell_admin_context
    rpc.RequestContextSerializer.serialize_context = _serialize_context
    rpc.RequestContextSerializer.deserialize_context = _deserialize_context


class CellService(service.Service):  # type: ignore[misc]  # Nova has no types
    """A service that lives in a cell."""

    cell: Any = None

    def start(self) -> None:
        """Start, with every record in the cell."""
        with _in_cell(self.cell):
            super().start()

    def periodic_tasks(self, raise_on_error: bool = False) -> Any:
        """Run the periodic tasks in the cell."""
        with _in_cell(self.cell):
            return super().periodic_tasks(raise_on_error=raise_on_error)


def start(layout: Layout) -> Any:
    """Start all of Nova; return the API's application."""
    port = nova_lists.fork(_serve_lists)
    application = nova_lists.Spread(_api(), port)
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    os_brick.setup(CONF)
    os_vif.initialize()
    _let_contexts_carry_cells()
    objects.Service.enable_min_version_cache()

    service.Service.create(binary="nova-conductor", topic=conductor_rpcapi.RPC_TOPIC).start()
    service.Service.create(binary="nova-scheduler", topic=scheduler_rpcapi.RPC_TOPIC).start()
    admin = context.get_admin_context()
    _cells.update((cell.uuid, cell) for cell in objects.CellMappingList.get_all(admin))
    by_name = {cell.name: cell for cell in _cells.values()}
    for host in HOSTS:
        _start_compute(layout, host, by_name[host.cell])
    host_mapping.discover_hosts(admin)
    LOG.info("all %s computes are up", len(HOSTS))
    return application


def _api() -> Any:
    return wsgi_app.init_application("osapi_compute", "nova-api-os-compute")


def _serve_lists(listener: socket.socket) -> None:
    waitress.serve(_api(), sockets=[listener], threads=6, ident="nova")


def _start_compute(layout: Layout, host: Host, cell: Any) -> None:
    driver = "QemuFakeDriver" if host.hypervisor_type == QEMU else "DevcloudDriver"
    if host.obeying_mode:
        driver = "ObeyingFakeDriver"
    # These are read while the service is made, so each compute gets its own.
    overrides: tuple[tuple[str, str, str | None], ...] = (
        ("host", host.name, None),
        ("compute_driver", f"devcloud.{driver}", None),
        ("provider_config_location", str(provider_dir(layout, host.name)), "compute"),
        ("sysinfo_serial", host.obeying_mode or "unique", "libvirt"),
    )
    for name, value, group in overrides:
        CONF.set_override(name, value, group=group)
    try:
        with _in_cell(cell):
            compute = CellService.create(
                host=host.name,
                binary="nova-compute",
                topic=compute_rpcapi.RPC_TOPIC,
                topic_alt=compute_rpcapi.RPC_TOPIC_ALT,
            )
        compute.cell = cell
        compute.start()
    finally:
        for name, _value, group in overrides:
            CONF.clear_override(name, group=group)
