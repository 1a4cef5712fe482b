# SPDX-License-Identifier: Apache-2.0
"""nova-manage, Nova's and ours, on servers in the databases of a Nova without services.

Usage, with the Python of a Nova: servers.py CONFIG <STEPS

STEPS is a JSON list of lists of words: ``nova-manage ARGUMENTS``, ``nova_uniqserial ARGUMENTS``,
``make STATE...`` (prints state -> UUID of a new server in that state) or ``read UUID`` (prints
what is stored of a server). Prints a JSON list of exit code, stdout and stderr of each step. Each
runs in a process of its own, which is a copy of this one: importing Nova takes seconds.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import Any

# First: it decides whether Nova runs with threads, and patches what it must.
from nova.cmd import manage

# isort: split
from nova import config, context, objects
from oslo_utils import uuidutils

PROJECT = uuidutils.generate_uuid(dashed=False)
PROPERTIES = {"hw_disk_bus": "virtio"}


def flavor() -> Any:
    """Return a flavor."""
    return objects.Flavor(
        flavorid="1",
        name="small",
        memory_mb=64,
        vcpus=1,
        root_gb=0,
        ephemeral_gb=0,
        swap=0,
        rxtx_factor=1.0,
        vcpu_weight=0,
        disabled=False,
        is_public=True,
        extra_specs={},
    )


def server(state: str, cell: Any) -> str:
    """Create a server with what Nova's API stores of it, and return its UUID."""
    admin = context.get_admin_context()
    with context.target_cell(admin, cell) as inside:
        instance = objects.Instance(
            inside,
            uuid=uuidutils.generate_uuid(),
            vm_state=state,
            project_id=PROJECT,
            user_id=PROJECT,
            image_ref=uuidutils.generate_uuid(),
            flavor=flavor(),
            system_metadata={f"image_{key}": value for key, value in PROPERTIES.items()},
        )
        instance.create()
    objects.InstanceMapping(
        admin, instance_uuid=instance.uuid, project_id=PROJECT, cell_mapping=cell
    ).create()
    objects.RequestSpec(
        admin,
        instance_uuid=instance.uuid,
        num_instances=1,
        flavor=flavor(),
        image=instance.image_meta,
    ).create()
    return str(instance.uuid)


def make(*states: str) -> dict[str, str]:
    """Create a cell with a server in each state."""
    if manage.CellV2Commands().create_cell(name="cell"):
        sys.exit("There is no cell.")
    (cell,) = objects.CellMappingList.get_all(context.get_admin_context())
    return {state: server(state, cell) for state in states}


def read(uuid: str) -> dict[str, Any]:
    """Return what is stored of a server, as a service without the driver reads it."""
    admin = context.get_admin_context()
    mapping = objects.InstanceMapping.get_by_instance_uuid(admin, uuid)
    with context.target_cell(admin, mapping.cell_mapping) as inside:
        instance = objects.Instance.get_by_uuid(inside, uuid, expected_attrs=["system_metadata"])
    properties = objects.RequestSpec.get_by_instance_uuid(admin, uuid).image.properties
    return {
        "system_metadata": instance.system_metadata,
        "request_spec disk bus": properties.hw_disk_bus,
        "has the field": "hw_unique_serial" in properties.fields,
    }


def take(path: str, step: str, *words: str) -> Any:
    """Take a step, and return the exit code of its process."""
    sys.argv = [step, "--config-file", path, *words]
    if step == "nova-manage":
        return manage.main()
    if step == "nova_uniqserial":
        return runpy.run_module(step, run_name="__main__", alter_sys=True)
    config.parse_args(sys.argv[:3])
    objects.register_all()
    print(json.dumps(make(*words) if step == "make" else read(*words)))
    return 0


def isolated(path: str, words: list[str]) -> tuple[int, str, str]:
    """Take a step in a process of its own."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            code: Any = 1
            try:
                code = take(path, *words)
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), output.read(), errors.read()


def main() -> None:
    """Take all steps."""
    (path,) = sys.argv[1:]
    print(json.dumps([isolated(path, words) for words in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
