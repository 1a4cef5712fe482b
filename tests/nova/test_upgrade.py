# SPDX-License-Identifier: Apache-2.0
"""Services with and without the driver talk to each other: upgrades and rollbacks are rolling."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.nova.ends import End

IMAGE = {"hw_disk_bus": "scsi", "hw_cdrom_bus": "sata"}
WITH_FIELD = {**IMAGE, "hw_unique_serial": True}
FLAVOR = {"hw:unique_serial": "false", "hw:cpu_policy": "shared"}
SYSTEM_METADATA = {f"image_{key}": value for key, value in IMAGE.items()}


def talk(end: End, *steps: tuple[str, str]) -> Any:
    """Run services in a row, each reading what the one before it sent."""
    running: list[subprocess.Popen[str]] = []
    for step in steps:
        running.append(
            subprocess.Popen(
                end.command("peer.py", *step),
                env=end.environment(),
                stdin=running[-1].stdout if running else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    answer, errors = running[-1].communicate(timeout=120)
    for process in running[:-1]:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=120)
        errors += said
    assert [process.returncode for process in running] == [0] * len(steps), errors
    return json.loads(answer.splitlines()[-1])


def expected(carried: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return what a service sees.

    :param carried: image properties of the objects that travelled
    :param own: those that the service reads from the instance's metadata by itself
    """
    return {
        "properties": carried,
        "image_meta": carried,
        "request_spec image": carried,
        "request_spec flavor": FLAVOR,
        "instance image": own,
        "instance flavor": FLAVOR,
        # What the compute driver reads: the raw text, untouched by any service in between.
        "instance system_metadata": {**SYSTEM_METADATA, "image_hw_unique_serial": "true"},
    }


@pytest.mark.parametrize(
    ("sides", "carried", "own"),
    [
        (("driver", "driver"), WITH_FIELD, WITH_FIELD),
        (("driver", "stock"), IMAGE, IMAGE),
        (("stock", "driver"), IMAGE, WITH_FIELD),
        (("driver", "stock", "driver"), IMAGE, WITH_FIELD),
        (("stock", "driver", "stock"), IMAGE, IMAGE),
    ],
    ids=lambda value: " to ".join(value) if isinstance(value, tuple) else "",
)
def test_objects_between_services(
    ours: End, sides: tuple[str, ...], carried: dict[str, Any], own: dict[str, Any]
) -> None:
    first, *between, last = sides
    steps = [(first, "send"), *((side, "relay") for side in between), (last, "receive")]
    assert talk(ours, *steps) == expected(carried, own)


def test_versions_backports_and_notifications_are_those_of_stock_nova(ours: End) -> None:
    stock, driver = (talk(ours, (side, "describe")) for side in ("stock", "driver"))
    assert set(driver.pop("fields")) - set(stock.pop("fields")) == {"hw_unique_serial"}
    assert len(stock["backports"]) > 30
    for primitive in driver["backports"].values():
        # Older services drop what they do not know.
        assert primitive["nova_object.data"].pop("hw_unique_serial") is True
        primitive["nova_object.changes"].remove("hw_unique_serial")
    for side in (stock, driver):
        for primitive in side["backports"].values():
            primitive["nova_object.changes"].sort()
    assert driver == stock
