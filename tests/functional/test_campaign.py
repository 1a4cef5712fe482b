# SPDX-License-Identifier: Apache-2.0
"""From an audit to a plan, its application and the next audit, on a cloud that is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.functional.cloud import Json, SeededCloud

#: Junk is removed, requests are steered, contradictions end, and a tenant's servers ask.
DESIRED = """\
flavors:
- {glob: seed.invalid*, unique_serial: unset}
- {name: seed.broken, unique_serial: unset}
- {name: seed.hopeful, hosts: supported}
- {name: seed.torn, hosts: any}
- {name: seed.host, unique_serial: unset}
images:
- {glob: invalid*, any_owner: true, unique_serial: unset}
- {name: broken, any_owner: true, unique_serial: unset}
- {name: hopeful, any_owner: true, hosts: supported}
- {name: torn, any_owner: true, hosts: any}
- {name: shy, any_owner: true, unique_serial: unset}
aggregates:
- {glob: seed-invalid*, unique_serial: unset}
- {name: seed-torn, unique_serial: true}
servers:
- {project: BANK, unique_serial: true}
- {project: SHOP, unique_serial: unset}
metadefs: installed
"""
#: The findings about the resources of the file, which it repairs.
REPAIRED = {
    "contradicting-request": {"seed.torn", "torn"},
    "not-steered": {"seed.hopeful", "hopeful"},
    "invalid-value": {"seed.broken", "broken"},
}


def run(cloud: SeededCloud, code: int, *words: str) -> Any:
    """Run a command and return its JSON."""
    done = cloud.openstack("unique", "serial", *words, "-f", "json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def by_id(cloud: SeededCloud) -> dict[str, Json]:
    """The servers as ``list`` returns them."""
    return {row["id"]: row for row in run(cloud, 0, "list", "--all-projects", "--long")}


def repairable(cloud: SeededCloud) -> set[tuple[str, str]]:
    """The findings of an audit that the file repairs."""
    found = {(row["id"], row["resource_name"] or "") for row in run(cloud, 3, "audit", "--long")}
    return {
        (id_, name)
        for id_, name in found
        if name in REPAIRED.get(id_, ())
        or (id_ == "invalid-value" and name.startswith(("seed.invalid", "invalid", "seed-invalid")))
        or (id_, name) == ("aggregate-conflict", "seed-torn")
        or id_ == "metadefs-missing"
    }


def test_a_campaign(seeded: SeededCloud, tmp_path: Path) -> None:
    projects = seeded.manifest["projects"]
    file = tmp_path / "desired.yaml"
    text = DESIRED.replace("BANK", projects["seed-bank"]).replace("SHOP", projects["seed-shop"])
    file.write_text(text)
    before, wrong = by_id(seeded), repairable(seeded)
    assert {id_ for id_, _name in wrong} == {*REPAIRED, "aggregate-conflict", "metadefs-missing"}
    changes = run(seeded, 3, "plan", str(file), "--long")
    planned = run(seeded, 3, "plan", str(file), "--servers")

    done = run(seeded, 1, "apply", str(file), "--yes", "--long")
    assert {(row["kind"], row["id"], row["key"]) for row in done} == {
        (row["kind"], row["id"], row["key"]) for row in changes
    }
    # Those that the plan expected Nova to refuse.
    notes = {row["id"]: row["details"] or "" for row in changes if row["kind"] == "server"}
    refused = {id_ for id_, note in notes.items() if note.startswith("Nova changes no metadata")}
    assert refused != set()
    assert {row["id"] for row in done if row["result"] != "done"} == refused
    assert repairable(seeded) == set()
    again = run(seeded, 3, "plan", str(file), "--long")
    assert {row["id"] for row in again} == refused

    after = by_id(seeded)
    at_reboot = {
        row["id"]: row["then"]
        for row in planned
        if row["when"] == "hard reboot" and row["id"] not in refused
    }
    assert len(at_reboot) > 3
    expected = {id_: at_reboot.get(id_, row["serial_source"]) for id_, row in before.items()}
    different = {id_ for id_, row in after.items() if row["serial_source"] != expected[id_]}
    # Nova does not return what a server uses of an image, and Glance has only its new properties.
    images = {row["id"] for row in changes if row["kind"] == "image" and row["details"]}
    of_images = {
        each["id"]
        for each in seeded.manifest["servers"]
        # The root volume may be made from one.
        if each["image"] in images or each["volumes"]
    }
    assert different <= of_images
    assert {after[id_]["serial_source"] for id_ in different} == {"unknown"}
    # A flavor waits for a resize.
    for row in planned:
        if row["when"] == "resize":
            (pending,) = after[row["id"]]["pending"]
            assert (pending["input"], pending["applied_by"]) == ("flavor", "resize")
