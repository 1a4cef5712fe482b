# SPDX-License-Identifier: Apache-2.0
"""Make the databases of one service from nothing. Runs in the services' environment.

Each function is one process, because oslo.config is global. They call the services' own
migrations; only Neutron's do not run on SQLite, where its models make the tables instead.
"""

import importlib
import sys
import uuid
from collections.abc import Callable
from typing import Any

from devcloud.config import CATALOG, PASSWORD, REGION, USERS
from devcloud.databases import PLACEHOLDERS
from devcloud.hosts import CELLS


def keystone(config_file: str) -> None:
    """Sync, bootstrap, and make the other users and the catalog."""
    from keystone.cmd.bootstrap import Bootstrapper
    from keystone.common import provider_api
    from keystone.common.sql import upgrades
    from keystone.server import configure

    configure(config_files=[config_file])
    upgrades.offline_sync_database_to_version()

    boot = Bootstrapper()
    boot.admin_username, boot.admin_password, boot.project_name = "admin", PASSWORD, "admin"
    boot.admin_role_name = "admin"
    boot.region_id = REGION
    boot.bootstrap()

    apis: Any = provider_api.ProviderAPIs
    # Nova, Cinder and the others act as this user too: Neutron wants the service role of them.
    apis.assignment_api.add_role_to_user_and_project(
        boot.admin_user_id, boot.project_id, boot.service_role_id
    )
    projects: dict[str, str] = {}
    for user, project in USERS.values():
        if project == "admin":
            continue
        if project not in projects:
            projects[project] = uuid.uuid4().hex
            apis.resource_api.create_project(
                projects[project],
                {
                    "id": projects[project],
                    "name": project,
                    "domain_id": "default",
                    "enabled": True,
                    "description": "",
                },
            )
        record = apis.identity_api.create_user(
            {"name": user, "password": PASSWORD, "domain_id": "default", "enabled": True}
        )
        role = {"member": boot.member_role_id, "reader": boot.reader_role_id}[user]
        apis.assignment_api.add_role_to_user_and_project(record["id"], projects[project], role)
    for service, (kind, name, _path) in CATALOG.items():
        service_id = uuid.uuid4().hex
        apis.catalog_api.create_service(
            service_id, {"id": service_id, "type": kind, "name": name, "enabled": True}
        )
        # The services look for internal endpoints of each other.
        for interface in ("public", "internal", "admin"):
            endpoint_id = uuid.uuid4().hex
            apis.catalog_api.create_endpoint(
                endpoint_id,
                {
                    "id": endpoint_id,
                    "service_id": service_id,
                    "region_id": REGION,
                    "interface": interface,
                    "url": PLACEHOLDERS[service],
                    "enabled": True,
                },
            )


def neutron(config_file: str) -> None:
    """Make Neutron's tables from its models."""
    import sqlalchemy
    from neutron.db.migration.models import head

    with open(config_file) as file:
        connection = next(line for line in file if line.startswith("connection ="))
    engine = sqlalchemy.create_engine(connection.split("=", 1)[1].strip())
    head.get_metadata().create_all(engine)


def nova_api(config_file: str) -> None:
    """Sync the API database and map the cells."""
    from nova import monkey_patch

    monkey_patch.patch(backend="threading")
    from nova import config, context, objects
    from nova.db import migration

    config.parse_args(["nova-manage", "--config-file", config_file])
    objects.register_all()
    migration.db_sync(database="api")
    admin = context.get_admin_context()
    for name in ("cell0", *CELLS):
        objects.CellMapping(
            admin,
            uuid=objects.CellMapping.CELL0_UUID if name == "cell0" else str(uuid.uuid4()),
            name=name,
            transport_url="none:///" if name == "cell0" else "fake://",
            database_connection=PLACEHOLDERS[f"nova_{name}"],
            disabled=False,
        ).create()


def nova_cell1(config_file: str) -> None:
    """Sync one cell's database: the others are copies of it."""
    _command("nova.cmd.manage", config_file, "db", "sync", "--local_cell")


def glance(config_file: str) -> None:
    """Sync Glance's database."""
    _command("glance.cmd.manage", config_file, "db", "sync")


def placement(config_file: str) -> None:
    """Sync Placement's database."""
    _command("placement.cmd.manage", config_file, "db", "sync")


def cinder(config_file: str) -> None:
    """Sync Cinder's database."""
    _command("cinder.cmd.manage", config_file, "db", "sync")


def _command(module: str, config_file: str, *args: str) -> None:
    sys.argv = [module, "--config-file", config_file, *args]
    raise SystemExit(importlib.import_module(module).main())


BUILDERS: dict[str, Callable[[str], None]] = {
    function.__name__: function
    for function in (keystone, glance, placement, neutron, cinder, nova_api, nova_cell1)
}

if __name__ == "__main__":
    _name, _config_file = sys.argv[1:]
    # Keystone's configuration would read the rest.
    del sys.argv[1:]
    BUILDERS[_name](_config_file)
