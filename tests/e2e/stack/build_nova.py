# SPDX-License-Identifier: Apache-2.0
"""Make Nova's databases in a running MariaDB. Runs in the services' environment."""

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import importlib  # noqa: E402
import sys  # noqa: E402
import uuid  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import parse_qs, urlsplit  # noqa: E402

import nova.conf  # noqa: E402
from nova import config, context, objects  # noqa: E402
from nova.db import migration  # noqa: E402

CONF = nova.conf.CONF

#: Where the cells are: filled in from each process's own configuration, so that the databases
#: hold no port and no path and can be copied.
DATABASE = "{scheme}://{username}@{hostname}/%s?{query}"
QUEUE = "{scheme}://{username}:{password}@{hostname}:{port}//"


def main(config_file: str) -> None:
    """Create the databases, their tables and the cells."""
    config.parse_args(["nova-manage", "--config-file", config_file])
    objects.register_all()
    (path,) = parse_qs(urlsplit(CONF.database.connection).query)["unix_socket"]
    pymysql: Any = importlib.import_module("pymysql")
    with pymysql.connect(unix_socket=path, user="root") as connection:
        for name in ("nova_api", "nova_cell0", "nova_cell1"):
            connection.cursor().execute(f"CREATE DATABASE {name}")
    migration.db_sync(database="api")
    admin = context.get_admin_context()
    for name, queue in (("cell0", "none:///"), ("cell1", QUEUE)):
        cell = objects.CellMapping(
            admin,
            uuid=objects.CellMapping.CELL0_UUID if name == "cell0" else str(uuid.uuid4()),
            name=name,
            transport_url=queue,
            database_connection=DATABASE % f"nova_{name}",
            disabled=False,
        )
        cell.create()
        # As read back: with the templates filled in.
        stored = objects.CellMapping.get_by_uuid(admin, cell.uuid)
        with context.target_cell(admin, stored) as cell_context:
            migration.db_sync(context=cell_context)


if __name__ == "__main__":
    main(*sys.argv[1:])
