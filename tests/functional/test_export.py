# SPDX-License-Identifier: Apache-2.0
"""Exports, applied by the real tools: they change nothing, and bring back what is missing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional import iac
from tests.functional.cloud import Json, SeededCloud

SPECS = {
    "hw:unique_serial": "true",
    "trait:CUSTOM_UNIQUE_SERIAL": "required",
    "quota:note": "{{ 7*7 }} ${x} %{y}",
    "quota:number": "012",
}
DECLARED = {"hw:unique_serial": "true", "hw_unique_serial": "True", "note": "{% raw %}"}
IMAGE_KEY = "hw_unique_serial"


@dataclasses.dataclass
class Resources:
    """Resources of this module, with names that are templates of Jinja.

    :ivar server: a server of the seed with a request of its own
    """

    prefix: str
    flavor: str
    private: str
    aggregate: str
    image: str
    server: str


@pytest.fixture(scope="module")
def ours(seeded: SeededCloud, unique_name: Callable[[str], str]) -> Iterator[Resources]:
    """Resources of each kind; afterwards the cloud is as it was."""
    prefix = unique_name("export {{ 7*7 }}{% raw %}'\"")
    flavor = seeded.new_flavor(prefix, SPECS)
    seeded.raw("nova", "PUT", f"/v2.1/flavors/{flavor}", {"flavor": {"description": "#jinja2: a"}})
    about: Json = {"name": f"{prefix} private", "ram": 64, "vcpus": 1, "disk": 0, "swap": 12}
    about |= {"OS-FLV-EXT-DATA:ephemeral": 3, "rxtx_factor": 2.5}
    about["os-flavor-access:is_public"] = False
    answer = seeded.raw("nova", "POST", "/v2.1/flavors", {"flavor": about})
    private = answer.json()["flavor"]["id"]
    seeded.set_extra_specs(private, {"hw:unique_serial": "false"})
    body: Json = {"aggregate": {"name": prefix, "availability_zone": "zone-of-export"}}
    answer = seeded.raw("nova", "POST", "/v2.1/os-aggregates", body)
    aggregate = str(answer.json()["aggregate"]["id"])
    set_aggregate(seeded, aggregate, **DECLARED)
    image = seeded.new_image(
        prefix, **{IMAGE_KEY: "true", "trait:CUSTOM_UNIQUE_SERIAL": "required"}
    )
    servers = seeded.get("nova", "/v2.1/servers/detail?all_tenants=1")["servers"]
    server = next(
        each["id"]
        for each in servers
        if each["status"] == "ACTIVE" and each["metadata"].get(IMAGE_KEY) == "true"
    )
    yield Resources(prefix, flavor, private, aggregate, image, server)
    for path in (f"flavors/{flavor}", f"flavors/{private}", f"os-aggregates/{aggregate}"):
        assert seeded.raw("nova", "DELETE", f"/v2.1/{path}").ok
    assert seeded.raw("glance", "DELETE", f"/v2/images/{image}").ok
    seeded.set_metadata(server, **{IMAGE_KEY: "true"})


def set_aggregate(cloud: SeededCloud, aggregate: str, **metadata: str | None) -> None:
    body = {"set_metadata": {"metadata": metadata}}
    assert cloud.raw("nova", "POST", f"/v2.1/os-aggregates/{aggregate}/action", body).ok


def export(cloud: SeededCloud, form: str, path: Path) -> Path:
    """Write an export to a file; 3: the seed has values without a meaning."""
    run = cloud.openstack("unique", "serial", "export", "--as", form, check=False)
    assert run.returncode == 3, run.stderr
    path.write_text(run.stdout)
    return path


def without_others(playbook: Path, ours: Resources) -> None:
    """Leave the tasks of these resources: the seed has so many that all take minutes."""
    head, *tasks = re.split(r"^(?=    - name: )", playbook.read_text(), flags=re.MULTILINE)
    ids = (ours.flavor, ours.private, ours.aggregate, ours.image, ours.server)
    kept = [
        each
        for each in tasks
        if "image_info" in each or any(f"({id_})" in each.partition("\n")[0] for id_ in ids)
    ]
    assert len(kept) >= len(ids) + 1
    playbook.write_text(head + "".join(kept))


def test_a_plan_of_the_settings_of_today_changes_nothing(
    seeded: SeededCloud, ours: Resources, tmp_path: Path
) -> None:
    file = export(seeded, "plan", tmp_path / "today.yaml")
    plan = seeded.openstack("unique", "serial", "plan", "-f", "value", str(file))
    assert plan.stdout.strip() == ""
    assert plan.stderr.endswith("No change\n")


def test_ansible_changes_nothing_and_brings_back_what_is_missing(
    seeded: SeededCloud, ours: Resources, tmp_path: Path
) -> None:
    playbook = export(seeded, "ansible", tmp_path / "play.yaml")
    without_others(playbook, ours)
    before = [seeded.get("nova", f"/v2.1/flavors/{id_}") for id_ in (ours.flavor, ours.private)]
    recap = iac.play(seeded, playbook)
    assert (recap["changed"], recap["failed"]) == (0, 0), recap
    path = f"/v2.1/flavors/{ours.flavor}/os-extra_specs/hw:unique_serial"
    assert seeded.raw("nova", "DELETE", path).ok
    # What a play does not name is deleted.
    seeded.set_extra_specs(ours.flavor, {"quota:other": "1"})
    set_aggregate(seeded, ours.aggregate, hw_unique_serial=None)
    seeded.patch_image(ours.image, **{IMAGE_KEY: "false", "other": "kept"})
    path = f"/v2.1/servers/{ours.server}/metadata/{IMAGE_KEY}"
    assert seeded.raw("nova", "DELETE", path).ok
    recap = iac.play(seeded, playbook)
    assert (recap["changed"], recap["failed"]) == (4, 0), recap
    after = [seeded.get("nova", f"/v2.1/flavors/{id_}") for id_ in (ours.flavor, ours.private)]
    assert after == before
    assert seeded.extra_specs(ours.flavor) == SPECS
    assert seeded.aggregate(ours.prefix)["metadata"] == {
        **DECLARED,
        "availability_zone": "zone-of-export",
    }
    image = seeded.image(ours.image)
    assert (image[IMAGE_KEY], image["other"]) == ("true", "kept")
    metadata = seeded.get("nova", f"/v2.1/servers/{ours.server}")["server"]["metadata"]
    assert metadata[IMAGE_KEY] == "true"


def test_flavor_manager_changes_nothing_and_brings_back_what_is_missing(
    seeded: SeededCloud, ours: Resources, tmp_path: Path
) -> None:
    definitions = export(seeded, "flavor-manager", tmp_path / "flavors.yaml")
    query = "/v2.1/flavors/detail?is_public=None"
    before = seeded.get("nova", query)["flavors"]
    assert "ERROR" not in iac.manage_flavors(seeded, definitions)
    assert seeded.get("nova", query)["flavors"] == before
    path = f"/v2.1/flavors/{ours.flavor}/os-extra_specs/hw:unique_serial"
    assert seeded.raw("nova", "DELETE", path).ok
    assert "ERROR" not in iac.manage_flavors(seeded, definitions)
    assert seeded.get("nova", query)["flavors"] == before
