# SPDX-License-Identifier: Apache-2.0
"""The text of every configuration file: a pure function of the layout and the ports."""

from collections.abc import Mapping
from pathlib import Path

from devcloud.hosts import HOSTS, provider_yaml
from devcloud.layout import SERVICES, Layout

# Fixed, and no secret: everything listens on loopback and is thrown away at the next start.
PASSWORD = "devcloud"  # noqa: S105
REGION = "devcloud"

#: Service -> (catalog type, catalog name, path of its endpoint).
CATALOG: Mapping[str, tuple[str, str, str]] = {
    "keystone": ("identity", "keystone", "/v3"),
    "glance": ("image", "glance", ""),
    "placement": ("placement", "placement", ""),
    "neutron": ("network", "neutron", ""),
    "cinder": ("block-storage", "cinder", "/v3"),
    "nova": ("compute", "nova", "/v2.1"),
}

#: Cloud's name in clouds.yaml -> (user, project).
USERS: Mapping[str, tuple[str, str]] = {
    "devcloud": ("admin", "admin"),
    "devcloud-member": ("member", "demo"),
    "devcloud-reader": ("reader", "demo"),
}

Sections = Mapping[str, Mapping[str, object]]


def endpoint(service: str, port: int) -> str:
    """The URL of a service in the catalog."""
    return f"http://127.0.0.1:{port}{CATALOG[service][2]}"


def ini(sections: Sections) -> str:
    """An oslo.config file."""
    blocks = []
    for section, options in sections.items():
        lines = [f"[{section}]"]
        for key, value in options.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            lines.append(f"{key} = {text}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of an SQLite file whose writers wait for each other."""
    return f"sqlite:///{path}?timeout=60"


def clouds_yaml(ports: Mapping[str, int]) -> str:
    """The client configuration."""
    lines = ["clouds:"]
    for cloud, (user, project) in USERS.items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {endpoint('keystone', ports['keystone'])}",
            f"      username: {user}",
            f"      password: {PASSWORD}",
            f"      project_name: {project}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            f"    region_name: {REGION}",
            "    identity_api_version: 3",
        ]
    return "\n".join(lines) + "\n"


def render(layout: Layout, ports: Mapping[str, int]) -> dict[Path, str]:
    """Every file of a cloud, path -> text."""
    sections = {
        "keystone": _keystone(layout),
        "glance": _glance(layout, ports),
        "placement": _placement(layout, ports),
        "neutron": _neutron(layout, ports),
        "cinder": _cinder(layout, ports),
        "nova": _nova(layout, ports),
    }
    files = {layout.config_file(service): ini(sections[service]) for service in SERVICES}
    for host in HOSTS:
        declared = provider_yaml(host)
        if declared is not None:
            files[provider_dir(layout, host.name) / "provider.yaml"] = declared
    files[layout.clouds_yaml] = clouds_yaml(ports)
    return files


def provider_dir(layout: Layout, host: str) -> Path:
    """The folder of a host's provider.yaml."""
    return layout.etc / "nova" / "providers" / host


def _auth(ports: Mapping[str, int]) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": endpoint("keystone", ports["keystone"]),
        "username": "admin",
        "password": PASSWORD,
        "project_name": "admin",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": REGION,
    }


def _authtoken(ports: Mapping[str, int]) -> dict[str, object]:
    return {
        **_auth(ports),
        "www_authenticate_uri": endpoint("keystone", ports["keystone"]),
        "service_token_roles": "service",
        "service_token_roles_required": True,
    }


def _database(layout: Layout, name: str) -> dict[str, object]:
    # The data is worth nothing after a power failure: do not wait for the disk.
    return {"connection": sqlite_url(layout.database(name)), "sqlite_synchronous": False}


def _keystone(layout: Layout) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "database": _database(layout, "keystone"),
        # One process, so memory is enough; without it every token costs half a second.
        "cache": {"enabled": True, "backend": "oslo_cache.dict"},
        "token": {"provider": "fernet", "expiration": 86400},
        "fernet_tokens": {"key_repository": layout.etc / "keystone" / "fernet-keys"},
        "fernet_receipts": {"key_repository": layout.etc / "keystone" / "fernet-keys"},
        "credential": {"key_repository": layout.etc / "keystone" / "credential-keys"},
        # The cheapest hash: the password is known to everybody.
        "identity": {"password_hash_rounds": 4, "max_password_length": 72},
    }


def _glance(layout: Layout, ports: Mapping[str, int]) -> Sections:
    data = layout.run / "glance"
    return {
        "DEFAULT": {
            "use_stderr": True,
            "enabled_backends": "files:file",
            "worker_self_reference_url": endpoint("glance", ports["glance"]),
            "metadata_source_path": layout.venv / "etc" / "glance" / "metadefs",
        },
        "database": _database(layout, "glance"),
        "keystone_authtoken": _authtoken(ports),
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": layout.venv / "etc" / "glance" / "glance-api-paste.ini",
        },
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": data / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": data / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": data / "tasks"},
        "oslo_concurrency": {"lock_path": layout.run / "locks"},
    }


def _placement(layout: Layout, ports: Mapping[str, int]) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "placement_database": _database(layout, "placement"),
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": _authtoken(ports),
    }


def _neutron(layout: Layout, ports: Mapping[str, int]) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "core_plugin": "ml2",
            "service_plugins": "router,port_forwarding",
            "transport_url": "fake://",
            "api_paste_config": layout.venv / "etc" / "neutron" / "api-paste.ini",
            "state_path": layout.run / "neutron",
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
        },
        "ml2": {
            "type_drivers": "flat,local",
            "tenant_network_types": "local",
            "mechanism_drivers": "logger",
        },
        "database": _database(layout, "neutron"),
        "keystone_authtoken": _authtoken(ports),
        "quotas": {
            f"quota_{kind}": -1
            for kind in ("network", "subnet", "port", "router", "floatingip", "security_group")
        },
        "oslo_concurrency": {"lock_path": layout.run / "locks"},
    }


def _cinder(layout: Layout, ports: Mapping[str, int]) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "host": "controller",
            "my_ip": "127.0.0.1",
            "transport_url": "fake://",
            "auth_strategy": "keystone",
            "api_paste_config": layout.venv / "etc" / "cinder" / "api-paste.ini",
            "resource_query_filters_file": layout.venv / "etc" / "cinder" / "resource_filters.json",
            "state_path": layout.run / "cinder",
            "enabled_backends": "fake",
            "default_volume_type": "__DEFAULT__",
            "glance_api_servers": endpoint("glance", ports["glance"]),
            # The scheduler starts before there is a backend: it need not wait a minute for one.
            "scheduler_driver_init_wait_time": 1,
            "quota_volumes": -1,
            "quota_snapshots": -1,
            "quota_gigabytes": -1,
        },
        "fake": {
            "volume_driver": "devcloud.cinder_all.BackendDriver",
            "volume_backend_name": "fake",
        },
        "database": _database(layout, "cinder"),
        "keystone_authtoken": _authtoken(ports),
        "coordination": {"backend_url": f"file://{layout.run / 'cinder'}"},
        "oslo_concurrency": {"lock_path": layout.run / "locks"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "nova": {"interface": "public", **_auth(ports)},
        "service_user": {"send_service_user_token": True, **_auth(ports)},
    }


def _nova(layout: Layout, ports: Mapping[str, int]) -> Sections:
    auth = _auth(ports)
    return {
        "DEFAULT": {
            "use_stderr": True,
            "host": "controller",
            "my_ip": "127.0.0.1",
            "transport_url": "fake://",
            "state_path": layout.run / "nova",
            "instances_path": layout.run / "nova" / "instances",
            "compute_driver": "devcloud.QemuFakeDriver",
            # Nothing can change under a fake hypervisor: no need to look often.
            "heal_instance_info_cache_interval": -1,
            "rpc_response_timeout": 60,
        },
        # Nova checks its own answers against their schemas, and only logs what it finds.
        "api": {"auth_strategy": "keystone", "response_validation": "ignore"},
        "api_database": _database(layout, "nova_api"),
        "database": _database(layout, "nova_cell1"),
        "keystone_authtoken": _authtoken(ports),
        "service_user": {"send_service_user_token": True, **auth},
        "placement": auth,
        "neutron": auth,
        "glance": auth,
        "cinder": {**auth, "catalog_info": "block-storage:cinder:publicURL"},
        "keystone": {**auth, "service_type": "identity"},
        "notifications": {"notification_format": "versioned"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_concurrency": {"lock_path": layout.run / "locks"},
        "quota": dict.fromkeys(
            ("instances", "cores", "ram", "server_groups", "server_group_members", "key_pairs"),
            -1,
        ),
        "compute": {"provider_config_location": layout.etc / "nova" / "providers" / "none"},
    }
