# SPDX-License-Identifier: Apache-2.0
"""An inventory of the seeded cloud, exported and compared by the real commands."""

from __future__ import annotations

import csv
import io
import json
import uuid
from pathlib import Path

from tests.functional.cloud import Json, SeededCloud

VERIFY = ("unique", "serial", "verify", "--all-projects", "--long", "-f", "json")
EXPORT = ("unique", "serial", "export", "--as", "netbox", "--cluster", "devcloud")


def exported(cloud: SeededCloud) -> list[dict[str, str]]:
    """Return the rows of the export for NetBox."""
    run = cloud.openstack(*EXPORT, "--all-projects", check=False, cold=True)
    assert run.returncode == 3, run.stderr
    assert "the serial number is the identity of the host" in run.stderr
    return list(csv.DictReader(io.StringIO(run.stdout)))


def compared(
    cloud: SeededCloud, path: Path, rows: list[dict[str, str]], *options: str
) -> tuple[dict[str, list[Json]], str]:
    """Write an inventory and return the findings by ID, and the last line of standard error."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    run = cloud.openstack(*VERIFY, "--inventory", str(path), *options, check=False)
    assert run.returncode in (3, 4), run.stderr
    assert "Traceback" not in run.stderr
    found: dict[str, list[Json]] = {}
    for row in json.loads(run.stdout):
        found.setdefault(row["id"], []).append(row)
    return found, run.stderr.splitlines()[-1]


def about(rows: list[Json]) -> set[str]:
    return {id_ for row in rows for id_ in row["server_ids"] or ()}


def test_an_export_and_what_becomes_wrong_in_it(seeded: SeededCloud, tmp_path: Path) -> None:
    listed = seeded.openstack("unique", "serial", "list", "--all-projects", "-f", "json", "--long")
    servers = {row["id"]: row for row in json.loads(listed.stdout)}
    own = {id_ for id_, row in servers.items() if row["serial_source"] == "instance-uuid"}
    rows = exported(seeded)
    assert {row["serial"] for row in rows} - {""} == own
    assert len({row["name"].lower() for row in rows}) == len(rows) > 10
    path = tmp_path / "machines.csv"

    clean, coverage = compared(seeded, path, rows)
    # Where the policy gives the identity of a host, nothing is compared; all else is right.
    assert clean.keys() <= {"inventory-not-compared", "servers-unread"}
    unclear = about(clean.get("inventory-not-compared", []))
    assert any(servers[id_]["serial_source"].startswith("host-") for id_ in unclear)
    assert coverage.startswith("Inventory: ")

    right = [row for row in rows if row["serial"]]
    first, second, third, *rest = right
    gone = {**first, "name": "db-of-last-year", "serial": str(uuid.uuid4())}
    changed = [first, {**second, "serial": first["serial"]}, gone, *rest]
    report = tmp_path / "report.html"
    found, _coverage = compared(seeded, path, changed, f"--report=html={report}")
    assert about(found["inventory-serial-wrong"]) == {second["serial"]}
    assert third["serial"] in about(found["inventory-server-missing"])
    assert not (about(found["inventory-server-missing"]) & {each["serial"] for each in rest})
    assert "db-of-last-year (line 4 of " in found["inventory-server-gone"][0]["evidence"]
    (duplicate,) = found["inventory-duplicate"]
    assert duplicate["resource_name"] == first["serial"]
    assert about([duplicate]) == {first["serial"], second["serial"]}
    assert "The inventory has a wrong serial number" in report.read_text()


def test_a_wrong_file_is_refused(seeded: SeededCloud, tmp_path: Path) -> None:
    path = tmp_path / "machines.csv"
    path.write_text("hostname;serial\nweb;x\n")
    run = seeded.openstack(*VERIFY, "--inventory", str(path), check=False)
    assert run.returncode == 1
    assert f"--inventory: {path}: line 1 has the columns 'hostname', 'serial'" in run.stderr
    assert "Nothing was checked." in run.stderr
