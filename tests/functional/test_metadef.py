# SPDX-License-Identifier: Apache-2.0
"""The metadata definitions in a real Glance."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from osc_uniqserial import metadefs
from osc_uniqserial.metadefs import plan
from tests.functional.cloud import Cloud
from tests.functional.proxy import Fault, Proxy

Json = dict[str, Any]

METADEFS = Path(__file__).parents[2] / "metadefs"
OURS = metadefs.load()
MAIN, AGGREGATE, SERVER = (each.name for each in OURS)
COMMAND = ("unique", "serial", "metadef")
BASE = "/v2/metadefs/namespaces"
RIVAL = "Rival::UniqueSerial"


def clean(cloud: Cloud) -> None:
    """Remove what these tests store, whatever state it is in."""
    for name in (*plan.names(OURS), RIVAL):
        path = f"{BASE}/{name}"
        if cloud.raw("glance", "GET", path).status_code == 200:
            cloud.raw("glance", "PUT", path, {"namespace": name, "protected": False})
            assert cloud.raw("glance", "DELETE", path).status_code == 204


@pytest.fixture(autouse=True)
def empty(cloud: Cloud) -> Iterator[None]:
    """A Glance without our namespaces, before and after."""
    clean(cloud)
    yield
    clean(cloud)


def rows(cloud: Cloud, verb: str, *options: str, code: int = 0, cold: bool = False) -> list[Json]:
    """Run one command and return its rows."""
    done = cloud.openstack(*COMMAND, verb, *options, "-f", "json", check=False, cold=cold)
    assert done.returncode == code, done.stderr
    found: list[Json] = json.loads(done.stdout)
    return found


def stored(cloud: Cloud, name: str) -> Json:
    """Return what Glance holds."""
    response = cloud.raw("glance", "GET", f"{BASE}/{name}")
    assert response.status_code == 200, response.text
    document: Json = response.json()
    return document


def write(cloud: Cloud, method: str, path: str, body: Json | None = None) -> None:
    """Change something behind the commands' back."""
    response = cloud.raw("glance", method, f"{BASE}{path}", body)
    assert response.status_code < 300, response.text


def keys(cloud: Cloud, name: str, resource_type: str) -> set[str]:
    """Return the keys that Horizon writes: a name in a definition wins over the prefixed one."""
    response = cloud.raw("glance", "GET", f"{BASE}/{name}?resource_type={resource_type}")
    return {body.get("name", key) for key, body in response.json()["properties"].items()}


def assert_clean(cloud: Cloud) -> None:
    assert {row["Result"] for row in rows(cloud, "check")} <= {"ok", "not ours"}
    for resource_type, key in (
        ("OS::Nova::Flavor", "hw:unique_serial"),
        ("OS::Glance::Image", "hw_unique_serial"),
        ("OS::Cinder::Volume", "hw_unique_serial"),
    ):
        assert key in keys(cloud, MAIN, resource_type)
    both = {"hw:unique_serial", "hw_unique_serial"}
    assert keys(cloud, AGGREGATE, "OS::Nova::Aggregate") == both
    assert keys(cloud, SERVER, "OS::Nova::Server") == {"hw_unique_serial"}
    (association,) = stored(cloud, SERVER)["resource_type_associations"]
    assert association["properties_target"] == "metadata"


@pytest.mark.parametrize("file", sorted(METADEFS.glob("*.json")), ids=lambda file: str(file.name))
def test_files_satisfy_the_schema_that_glance_publishes(cloud: Cloud, file: Path) -> None:
    schema = cloud.raw("glance", "GET", "/v2/schemas/metadefs/namespace").json()
    jsonschema.validate(json.loads(file.read_text(encoding="utf-8")), schema)


def test_install_check_remove(cloud: Cloud) -> None:
    assert {row["Result"] for row in rows(cloud, "check", code=3, cold=True)} == {"missing"}
    dry = rows(cloud, "install", "--dry-run")
    assert cloud.raw("glance", "GET", f"{BASE}/{MAIN}").status_code == 404
    assert rows(cloud, "install", cold=True) == dry
    assert_clean(cloud)
    before = stored(cloud, MAIN)
    assert {row["Action"] for row in rows(cloud, "install")} == {"unchanged"}
    assert stored(cloud, MAIN) == before
    assert {row["Action"] for row in rows(cloud, "remove", cold=True)} == {"removed"}
    assert {row["Action"] for row in rows(cloud, "remove")} == {"absent"}


def test_an_installation_of_an_earlier_version_gets_the_missing_namespace(
    cloud: Cloud, proxy: Proxy
) -> None:
    """It had two namespaces; the one for servers is added, and the others are not written."""
    for each in OURS:
        if each.name != SERVER:
            write(cloud, "POST", "", each.document())
    before = [stored(cloud, name) for name in (MAIN, AGGREGATE)]

    wrong = [row for row in rows(cloud, "check", code=3) if row["Result"] != "ok"]
    assert [(row["Namespace"], row["Result"]) for row in wrong] == [(SERVER, "missing")]
    audit = cloud.openstack("unique", "serial", "audit", "-f", "json", check=False)
    (finding,) = [row for row in json.loads(audit.stdout) if row["resource_type"] == "namespace"]
    assert (finding["id"], finding["resource_name"]) == ("metadefs-missing", SERVER)
    assert "openstack unique serial metadef install" in finding["remedy"]
    status = cloud.openstack("unique", "serial", "status", "-f", "json", check=False)
    (ready,) = [row for row in json.loads(status.stdout) if row["Check"] == "Metadata definitions"]
    assert ready["Details"]["id"] == "metadefs-missing"
    assert SERVER in ready["Details"]["message"]
    assert AGGREGATE not in ready["Details"]["message"]

    done = cloud.openstack(*COMMAND, "install", "-f", "json", clouds_yaml=proxy.clouds_yaml)
    actions = {row["Namespace"]: row["Action"] for row in json.loads(done.stdout)}
    assert actions == {MAIN: "unchanged", AGGREGATE: "unchanged", SERVER: "created"}
    writes = [line for _service, line in proxy.requests if not line.startswith("GET ")]
    assert [line for line in writes if "metadefs" in line] == [f"POST {BASE}"]
    assert [stored(cloud, name) for name in (MAIN, AGGREGATE)] == before
    assert_clean(cloud)


def test_files_that_glance_manage_loads_are_as_they_should_be(cloud: Cloud) -> None:
    manage = Path(cloud.state["venv"]) / "bin" / "glance-manage"
    config = cloud.state["config"]["glance"]
    subprocess.run(
        [manage, "--config-file", config, "db_load_metadefs", METADEFS],
        check=True,
        capture_output=True,
    )
    assert_clean(cloud)
    assert {row["Action"] for row in rows(cloud, "install")} == {"unchanged"}


def test_files_that_are_posted_are_as_they_should_be(cloud: Cloud) -> None:
    for file in METADEFS.glob("*.json"):
        write(cloud, "POST", "", json.loads(file.read_text(encoding="utf-8")))
    assert_clean(cloud)


def test_install_repairs_and_keeps_what_is_not_ours(cloud: Cloud) -> None:
    rows(cloud, "install")
    boolean = {"name": "unique_serial", "title": "Unique", "type": "boolean"}
    write(cloud, "PUT", f"/{MAIN}/properties/unique_serial", boolean)
    assert keys(cloud, MAIN, "OS::Nova::Flavor") == {"unique_serial"}, "Glance stores the name"
    extra = {"name": "extra", "title": "Extra", "type": "integer", "minimum": 1}
    write(cloud, "POST", f"/{MAIN}/properties", extra)
    thing = {
        "name": "thing",
        "required": ["p"],
        "properties": {"p": {"title": "P", "type": "number"}},
    }
    write(cloud, "POST", f"/{MAIN}/objects", thing)
    write(cloud, "POST", f"/{MAIN}/tags/tag")
    server = {"name": "OS::Nova::Server", "prefix": "s:", "properties_target": "metadata"}
    write(cloud, "POST", f"/{MAIN}/resource_types", server)
    write(cloud, "PUT", f"/{AGGREGATE}", {"namespace": AGGREGATE})
    write(cloud, "DELETE", f"/{AGGREGATE}/resource_types/OS::Nova::Aggregate")
    write(
        cloud,
        "POST",
        f"/{AGGREGATE}/resource_types",
        {"name": "OS::Nova::Aggregate", "prefix": "hw:"},
    )
    owner = stored(cloud, MAIN)["owner"]

    found = {(row["Namespace"], row["Item"]): row["Result"] for row in rows(cloud, "check", code=3)}
    assert found[MAIN, "property unique_serial"] == "differs"
    assert found[AGGREGATE, "namespace"] == "differs"
    assert found[AGGREGATE, "association OS::Nova::Aggregate"] == "differs"
    not_ours = {item for (_name, item), result in found.items() if result == "not ours"}
    assert not_ours == {
        "association OS::Nova::Server",
        "property extra",
        "object thing",
        "tag tag",
    }

    dry = rows(cloud, "install", "--dry-run")
    assert rows(cloud, "install") == dry
    assert_clean(cloud)
    document = stored(cloud, MAIN)
    assert document["properties"]["extra"] == extra
    assert thing.items() <= document["objects"][0].items()
    assert document["tags"] == [{"name": "tag"}]
    assert any(server.items() <= entry.items() for entry in document["resource_type_associations"])
    assert (document["owner"], document["visibility"], document["protected"]) == (
        owner,
        "public",
        True,
    )

    refused = cloud.openstack(*COMMAND, "remove", check=False)
    assert refused.returncode == 1
    assert "object thing" in refused.stderr
    rows(cloud, "remove", "--force")
    assert {row["Result"] for row in rows(cloud, "check", code=3)} == {"missing"}


def test_a_replacement_is_found_and_taken_up(cloud: Cloud) -> None:
    document = OURS[0].document() | {
        "namespace": MAIN + plan.REPLACEMENT,
        "visibility": "private",
        "protected": False,
        "tags": [{"name": "tag"}],
    }
    write(cloud, "POST", "", document)
    rows(cloud, "install")
    assert_clean(cloud)
    assert stored(cloud, MAIN)["tags"] == [{"name": "tag"}]
    assert cloud.raw("glance", "GET", f"{BASE}/{document['namespace']}").status_code == 404


def test_a_namespace_that_offers_the_same_key(cloud: Cloud) -> None:
    rows(cloud, "install")
    write(
        cloud,
        "POST",
        "",
        {
            "namespace": RIVAL,
            "resource_type_associations": [{"name": "OS::Nova::Flavor"}],
            "properties": {"hw:unique_serial": {"title": "Unique", "type": "boolean"}},
        },
    )
    (row,) = [row for row in rows(cloud, "check", code=3) if row["Result"] == "conflict"]
    assert (row["Namespace"], row["Item"]) == (RIVAL, "property hw:unique_serial")


def test_a_user_without_the_right_learns_which(cloud: Cloud) -> None:
    done = cloud.openstack(*COMMAND, "install", check=False, cloud="devcloud-member")
    assert done.returncode == 1
    assert "add_metadef_namespace" in done.stderr
    assert "Done before: nothing." in done.stderr


@pytest.mark.parametrize(
    ("pattern", "status"),
    [
        ("^POST ", 503),
        (f"^PUT /v2/metadefs/namespaces/{MAIN}$", 503),
        ("^DELETE ", 0),
        (f"^PUT /v2/metadefs/namespaces/{MAIN}{plan.REPLACEMENT}$", 0),
    ],
)
def test_an_interrupted_installation_is_told_and_repeated(
    cloud: Cloud, proxy: Proxy, pattern: str, status: int
) -> None:
    document = copy.deepcopy(OURS[0].document()) | {"tags": [{"name": "tag"}]}
    document["properties"]["unique_serial"]["title"] = "old"
    write(cloud, "POST", "", document)
    proxy.faults.append(Fault(pattern, status))
    done = cloud.openstack(*COMMAND, "install", check=False, clouds_yaml=proxy.clouds_yaml)
    assert done.returncode == 1
    assert "Done before: " in done.stderr
    assert "it may have been carried out all the same" in done.stderr
    hit = [line for _service, line in proxy.requests if re.search(pattern, line)]
    assert len(hit) == 1, "a write is sent once"
    rows(cloud, "install")
    assert_clean(cloud)
    assert stored(cloud, MAIN)["tags"] == [{"name": "tag"}]
