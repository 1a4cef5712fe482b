# SPDX-License-Identifier: Apache-2.0
"""Nova's configuration: the embedded cloud's, with real hypervisors in it."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from devcloud.config import ini, render
from tests.e2e.stack.hosts import HOSTS, Host
from tests.e2e.stack.layout import HostLayout, Layout

#: Said in the log by every service, and by its name at the end, when it takes requests.
READY = "Join ServiceGroup membership for this service "

Sections = Mapping[str, Mapping[str, object]]

#: Nova's own privileged helpers: all of them would go through sudo.
PRIVSEP = ("nova_sys_admin", "privsep_osbrick", "vif_plug_ovs_privileged")


def _merge(*parts: Sections) -> dict[str, dict[str, object]]:
    merged: dict[str, dict[str, object]] = {}
    for part in parts:
        for section, options in part.items():
            merged.setdefault(section, {}).update(options)
    return merged


def _database(layout: Layout, name: str) -> dict[str, object]:
    return {
        "connection": f"mysql+pymysql://root@localhost/{name}?unix_socket={layout.mysql_socket}"
    }


def _databases(layout: Layout) -> Sections:
    return {
        "api_database": _database(layout, "nova_api"),
        "database": _database(layout, "nova_cell1"),
    }


def write_for_databases(layout: Layout) -> None:
    """What making the databases needs, and no more."""
    # No port is known yet; what is stored refers to each process's own configuration.
    queue = {"DEFAULT": {"transport_url": "rabbit://guest:guest@127.0.0.1:1//"}}
    write(layout.nova_conf, _merge(_databases(layout), queue))


def write(path: Path, sections: Sections) -> None:
    """Write a configuration file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ini(sections))


def _embedded(layout: Layout, ports: Mapping[str, int]) -> Sections:
    """The embedded cloud's nova.conf: how to reach the other services."""
    text = render(layout.cloud, ports)[layout.cloud.config_file("nova")]
    # For configparser the section DEFAULT is one that all others inherit; not for Nova.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.read_string(text)
    return {
        name: dict(parser[name])
        for name in parser.sections()
        if name not in ("database", "api_database")
    }


def _common(layout: Layout, rabbit_port: int) -> Sections:
    return {
        "DEFAULT": {
            "transport_url": f"rabbit://guest:guest@127.0.0.1:{rabbit_port}//",
            "state_path": layout.root / "nova",
            # One line of nova.service says that a service is ready to work.
            "default_log_levels": "amqp=WARN,amqplib=WARN,sqlalchemy=WARN,oslo.messaging=INFO,"
            "oslo_messaging=INFO,urllib3=WARN,stevedore=WARN,keystonemiddleware=WARN,"
            "keystoneauth=WARN,nova.service=DEBUG",
            # Reports cost processor time; tests force services down.
            "report_interval": 10,
            "service_down_time": 120,
            "rpc_response_timeout": 60,
            # As the manual advises where Glance protects the property.
            "non_inheritable_image_properties": "cache_in_nova,bittorrent,hw_unique_serial",
        },
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 2},
        "filter_scheduler": {"track_instance_changes": False},
        "oslo_concurrency": {"lock_path": layout.root / "nova" / "locks"},
    }


def write_controller(layout: Layout, ports: Mapping[str, int], rabbit_port: int) -> None:
    """The file of the API, the conductor and the scheduler."""
    (layout.nova_conf.parent / "locks").mkdir(parents=True)
    write(
        layout.nova_conf,
        _merge(_embedded(layout, ports), _databases(layout), _common(layout, rabbit_port)),
    )


def write_host(
    layout: Layout, host: Host, ports: Mapping[str, int], rabbit_port: int, virt_type: str
) -> None:
    """The file of one nova-compute, and an empty one for what tests change."""
    paths = layout.host(host.name)
    files = f"--config-file {paths.nova_conf} --config-file {paths.override_conf}"
    helper = f"{layout.venv / 'bin' / 'privsep-helper'} {files}"
    write(
        paths.nova_conf,
        _merge(
            _embedded(layout, ports),
            _common(layout, rabbit_port),
            {
                "DEFAULT": {
                    "host": host.name,
                    "my_ip": host.address(layout),
                    "compute_driver": host.driver,
                    "state_path": HostLayout.STATE_INSIDE,
                    "instances_path": HostLayout.STATE_INSIDE / "instances",
                    # Guests do not listen to the power button.
                    "shutdown_timeout": 0,
                    "reserved_host_memory_mb": 0,
                    # Guests are idle.
                    "cpu_allocation_ratio": 64,
                    "ram_allocation_ratio": 4,
                    "disk_allocation_ratio": 1000,
                    # Nothing changes behind Nova's back.
                    "update_resources_interval": 600,
                    "sync_power_state_interval": -1,
                    "volume_usage_poll_interval": 0,
                },
                "image_cache": {"manager_interval": -1},
                "libvirt": {
                    "virt_type": virt_type,
                    "sysinfo_serial": host.mode,
                    "cpu_mode": "none",
                    "images_type": "raw",
                    # Live migration wants no data in a host's cache.
                    "disk_cachemodes": "file=none",
                    "live_migration_inbound_addr": host.address(layout),
                    "live_migration_scheme": "tcp",
                },
                "vnc": {"enabled": False},
                # Nova would take a kernel for a disk image that lies about its format.
                "workarounds": {"disable_deep_image_inspection": True},
                "oslo_concurrency": {"lock_path": HostLayout.STATE_INSIDE / "locks"},
                **{section: {"helper_command": helper} for section in PRIVSEP},
            },
            host.options,
        ),
    )
    paths.override_conf.write_text("")


def hosts_file(layout: Layout) -> str:
    """The /etc/hosts of every host: the names of all of them, so that no resolver is needed."""
    lines = ["127.0.0.1 localhost", *(f"{host.address(layout)} {host.name}" for host in HOSTS)]
    return "\n".join(lines) + "\n"
