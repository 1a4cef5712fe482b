# SPDX-License-Identifier: Apache-2.0
"""Write the volumes of a seed into Cinder. Runs in the services' environment."""

# First: it decides how everything that follows runs.
from cinder import monkey_patch

monkey_patch.patch(backend="threading")

import datetime  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from cinder import context, objects  # noqa: E402
from cinder.common import config  # noqa: E402
from cinder.db import api as db  # noqa: E402
from cinder.volume import volume_types  # noqa: E402
from oslo_utils import timeutils  # noqa: E402

from devcloud import sqlite_writers  # noqa: E402
from devcloud.cinder_all import BACKEND  # noqa: E402

BATCH = 100


def write(plan: dict[str, Any]) -> None:
    """Write every volume that exists, attached to its server.

    Cinder's objects refuse to be made with an ID of the caller's choice: this is what is below.
    """
    objects.register_all()
    host = f"{config.CONF.host}@{BACKEND}#{BACKEND}"
    volumes = [
        (server, volume)
        for server in plan["servers"]
        for volume in server["volumes"]
        if volume["exists"]
    ]
    for start in range(0, len(volumes), BATCH):
        admin = context.RequestContext(
            plan["user_id"], plan["project_id"], is_admin=True, overwrite=False
        )
        kind = volume_types.get_default_volume_type(admin)["id"]
        with db.main_context_manager.writer.using(admin):
            for server, volume in volumes[start : start + BATCH]:
                _write(admin, server, volume, host, kind)


def _write(
    admin: Any, server: dict[str, Any], volume: dict[str, Any], host: str, kind: str
) -> None:
    now = timeutils.utcnow()
    # Nova makes a volume with its server.
    age = 365 if volume["older"] else server["age"]
    created = now + datetime.timedelta(days=-age, seconds=30)
    db.volume_create(
        admin,
        {
            "id": volume["id"],
            "user_id": admin.user_id,
            "project_id": server["project_id"],
            "display_name": "root" if volume["root"] else "data",
            "host": host,
            "size": 1,
            "availability_zone": "nova",
            "status": "in-use",
            "attach_status": "attached",
            "bootable": volume["root"],
            "volume_type_id": kind,
            "created_at": created,
            "scheduled_at": now,
            "launched_at": now,
            "metadata": {},
            "admin_metadata": {},
            "use_quota": True,
        },
    )
    if volume["metadata"]:
        db.volume_glance_metadata_bulk_create(admin, volume["id"], volume["metadata"])
    db.volume_attach(
        admin,
        {
            "id": volume["attachment_id"],
            "volume_id": volume["id"],
            "instance_uuid": server["id"],
            "attached_host": server["host"],
            "mountpoint": volume["device"],
            "attach_time": now,
            "attach_mode": "rw",
            "attach_status": "attached",
        },
    )


def main(config_file: str, plan_file: str) -> None:
    """Write the volumes of a plan."""
    sqlite_writers.install()
    config.CONF(["--config-file", config_file], project="cinder")
    with open(plan_file) as file:
        write(json.load(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
