# SPDX-License-Identifier: Apache-2.0
"""The policy sample for an auditor: all that an audit reads, and nothing to write."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.functional.cloud import ROOT, Json, SeededCloud, Service
from tests.functional.proxy import Proxy
from tests.functional.test_audit import about_others, audit, expected
from tests.functional.test_show import broken_cell

SAMPLE = ROOT / "doc" / "source" / "admin" / "auditor"
SERVICES = ("nova", "placement", "glance", "cinder")
ROLE = "serial-auditor"


@dataclasses.dataclass(frozen=True)
class Auditor:
    """A user with the role of the sample.

    :ivar clouds_yaml: where it is the cloud ``auditor``
    :ivar project_id: the only project that it has a role on
    """

    cloud: SeededCloud
    clouds_yaml: Path
    project_id: str
    token: str

    def send(self, service: Service, method: str, path: str, body: Any = None) -> int:
        """Send a raw request and return the status."""
        url = f"{self.cloud.state['services'][service]['url']}{path}"
        newest = {"nova": "compute 2.98", "placement": "placement 1.39"}.get(service)
        kind = "application/json"
        if service == "glance":
            patch = "application/openstack-images-v2.1-json-patch"
            kind = {"PATCH": patch, "PUT": "application/octet-stream"}.get(method, kind)
        if "metadefs" in path:
            kind = "application/json"
        headers = {"X-Auth-Token": self.token, "Content-Type": kind}
        if newest:
            headers["OpenStack-API-Version"] = newest
        data = json.dumps(body) if body is not None else None
        return requests.request(method, url, headers=headers, data=data, timeout=60).status_code


def keystone(cloud: SeededCloud, method: str, path: str, body: Json | None = None) -> Json:
    """Send a request to Keystone as the administrator."""
    answer = cloud.raw("keystone", method, f"/v3{path}", body)
    assert answer.ok, answer.text
    document: Json = answer.json() if answer.text else {}
    return document


def token(auth: Json) -> str:
    """Return a token of a user."""
    domain = {"id": "default"}
    user: Json = {"name": auth["username"], "password": auth["password"], "domain": domain}
    scope: Json = {"project": {"name": auth["project_name"], "domain": domain}}
    identity: Json = {"methods": ["password"], "password": {"user": user}}
    body: Json = {"auth": {"identity": identity, "scope": scope}}
    answer = requests.post(f"{auth['auth_url']}/auth/tokens", json=body, timeout=60)
    answer.raise_for_status()
    return answer.headers["X-Subject-Token"]


@pytest.fixture(scope="module")
def auditor(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditor]:
    """A user with the roles reader and serial-auditor, where the services know the sample."""
    name = f"auditor-{time.time_ns():x}"
    roles = {role["name"]: role["id"] for role in keystone(seeded, "GET", "/roles")["roles"]}
    if ROLE not in roles:
        made = keystone(seeded, "POST", "/roles", {"role": {"name": ROLE}})
        roles[ROLE] = made["role"]["id"]
    domain = {"domain_id": "default"}
    user = keystone(
        seeded, "POST", "/users", {"user": {"name": name, "password": "secret", **domain}}
    )["user"]["id"]
    project = keystone(seeded, "POST", "/projects", {"project": {"name": name, **domain}})[
        "project"
    ]["id"]
    for role in ("reader", ROLE):
        keystone(seeded, "PUT", f"/projects/{project}/users/{user}/roles/{roles[role]}")
    clouds = seeded.clouds
    entry = {**clouds["clouds"]["devcloud"]}
    entry["auth"] = {
        **entry["auth"],
        "username": name,
        "password": "secret",
        "project_name": name,
    }
    clouds["clouds"]["auditor"] = entry
    clouds_yaml = tmp_path_factory.mktemp("auditor") / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump(clouds))
    files = []
    for service in SERVICES:
        folder = Path(seeded.state["config"][service]).parent / "policy.d"
        folder.mkdir(exist_ok=True)
        files.append(folder / "serial-auditor.yaml")
        shutil.copyfile(SAMPLE / f"{service}-policy.yaml", files[-1])
    try:
        yield Auditor(seeded, clouds_yaml, project, token(entry["auth"]))
    finally:
        # The services read them again at the next request.
        for file in files:
            file.unlink()
        del clouds["clouds"]["auditor"]
        keystone(seeded, "DELETE", f"/users/{user}")
        keystone(seeded, "DELETE", f"/projects/{project}")


def test_the_audit_is_the_administrators(seeded: SeededCloud, auditor: Auditor) -> None:
    run = audit(seeded, user="auditor", clouds_yaml=auditor.clouds_yaml)
    wanted = audit(seeded)
    assert run.rows == wanted.rows
    assert run.coverage == wanted.coverage
    assert " of 300 servers checked" in run.coverage


def test_a_cell_that_is_down(seeded: SeededCloud, auditor: Auditor) -> None:
    with broken_cell(seeded):
        run = audit(seeded, user="auditor", clouds_yaml=auditor.clouds_yaml)
        wanted = audit(seeded)
    assert run.rows == wanted.rows
    assert run.coverage == wanted.coverage
    assert run.of("server-in-down-cell")


@pytest.mark.parametrize("options", [("list", "--all-projects"), ("host", "list")])
def test_other_commands_are_the_administrators(
    seeded: SeededCloud, auditor: Auditor, options: tuple[str, ...]
) -> None:
    args = ("unique", "serial", *options, "--long", "-f", "json")
    run = seeded.openstack(*args, cloud="auditor", clouds_yaml=auditor.clouds_yaml)
    assert json.loads(run.stdout) == json.loads(seeded.openstack(*args).stdout)
    assert run.stderr == ""


def test_one_project_of_others(seeded: SeededCloud, auditor: Auditor) -> None:
    """By its ID: Keystone finds projects by name for administrators only."""
    project = seeded.manifest["projects"]["seed-bank"]
    run = audit(seeded, "--project", project, user="auditor", clouds_yaml=auditor.clouds_yaml)
    assert run.rows == audit(seeded, "--project", project).rows


# --- nothing to write -----------------------------------------------------------


def victims(cloud: SeededCloud) -> dict[str, str]:
    """Return IDs of things of others, by what stands for them in a path."""
    manifest = cloud.manifest
    images = cloud.get("glance", "/v2/images?visibility=private&limit=1000")["images"]
    (private, *_others) = [image["id"] for image in images if image["name"] == "tenant's own"]
    flavors = cloud.get("nova", "/v2.1/flavors")["flavors"]
    service = cloud.get("nova", "/v2.1/os-services?binary=nova-compute")["services"][0]["id"]
    return {
        "SERVER": manifest["servers"][0]["id"],
        "FLAVOR": next(each["id"] for each in flavors if each["name"] == "seed.hopeful"),
        "HOST": manifest["hosts"][0]["id"],
        "SERVICE": service,
        "IMAGE": private,
        "PUBLIC": next(
            image["id"]
            for image in cloud.get("glance", "/v2/images?limit=1000")["images"]
            if image["visibility"] == "public"
        ),
        "VOLUME": cloud.get("cinder", f"/v3/{cloud.project_id}/volumes?all_tenants=true")[
            "volumes"
        ][0]["id"],
        "ADMIN": cloud.project_id,
        "AGGREGATE": next(
            row["resource_id"]
            for row in manifest["findings"]
            if row["resource_type"] == "aggregate"
        ),
    }


_EXTRA_SPECS = {"extra_specs": {"hw:unique_serial": "true"}}
_MARK = [{"op": "add", "path": "/hw_unique_serial", "value": "true"}]
_IMAGE = {"name": "x", "disk_format": "raw", "container_format": "bare"}
_SPACE = "Seed::Foreign"
_TRAITS = {"traits": [], "resource_provider_generation": 1}

#: What an auditor must not do.
WRITES: list[tuple[Service, str, str, Any]] = [
    ("nova", "POST", "/v2.1/flavors", {"flavor": {"name": "x", "ram": 1, "vcpus": 1, "disk": 1}}),
    ("nova", "DELETE", "/v2.1/flavors/FLAVOR", None),
    ("nova", "POST", "/v2.1/flavors/FLAVOR/os-extra_specs", _EXTRA_SPECS),
    ("nova", "DELETE", "/v2.1/flavors/FLAVOR/os-extra_specs/hw:unique_serial", None),
    ("nova", "POST", "/v2.1/os-aggregates", {"aggregate": {"name": "x"}}),
    ("nova", "DELETE", "/v2.1/os-aggregates/AGGREGATE", None),
    ("nova", "POST", "/v2.1/os-aggregates/AGGREGATE/action",
     {"set_metadata": {"metadata": {"hw:unique_serial": "true"}}}),
    ("nova", "POST", "/v2.1/os-aggregates/AGGREGATE/action", {"add_host": {"host": "os-1"}}),
    ("nova", "PUT", "/v2.1/os-services/SERVICE", {"status": "disabled"}),
    ("nova", "DELETE", "/v2.1/os-services/SERVICE", None),
    ("nova", "DELETE", "/v2.1/servers/SERVER", None),
    ("nova", "PUT", "/v2.1/servers/SERVER", {"server": {"name": "x"}}),
    ("nova", "POST", "/v2.1/servers/SERVER/action", {"reboot": {"type": "HARD"}}),
    ("nova", "POST", "/v2.1/servers/SERVER/action", {"migrate": None}),
    ("nova", "POST", "/v2.1/servers/SERVER/action", {"os-resetState": {"state": "error"}}),
    ("nova", "POST", "/v2.1/servers/SERVER/metadata", {"metadata": {"a": "b"}}),
    ("nova", "POST", "/v2.1/servers",
     {"server": {"name": "x", "flavorRef": "FLAVOR", "imageRef": "PUBLIC", "networks": "none"}}),
    ("placement", "PUT", "/traits/CUSTOM_AUDITOR", None),
    ("placement", "DELETE", "/traits/CUSTOM_UNIQUE_SERIAL", None),
    ("placement", "PUT", "/resource_providers/HOST/traits", _TRAITS),
    ("placement", "DELETE", "/resource_providers/HOST/traits", None),
    ("placement", "POST", "/resource_providers", {"name": "x"}),
    ("placement", "DELETE", "/resource_providers/HOST", None),
    ("glance", "POST", "/v2/images", _IMAGE),
    ("glance", "POST", "/v2/images", {**_IMAGE, "visibility": "public"}),
    ("glance", "POST", "/v2/images", {**_IMAGE, "owner": "ADMIN"}),
    ("glance", "PATCH", "/v2/images/IMAGE", _MARK),
    ("glance", "PATCH", "/v2/images/PUBLIC", _MARK),
    ("glance", "PATCH", "/v2/images/PUBLIC", [{"op": "replace", "path": "/owner", "value": "x"}]),
    ("glance", "PATCH", "/v2/images/IMAGE",
     [{"op": "replace", "path": "/visibility", "value": "public"}]),
    ("glance", "DELETE", "/v2/images/IMAGE", None),
    ("glance", "DELETE", "/v2/images/PUBLIC", None),
    ("glance", "PUT", "/v2/images/IMAGE/file", {}),
    ("glance", "GET", "/v2/images/IMAGE/file", None),
    ("glance", "POST", "/v2/images/IMAGE/members", {"member": "x"}),
    ("glance", "POST", "/v2/images/IMAGE/actions/deactivate", None),
    ("glance", "POST", "/v2/images/IMAGE/actions/reactivate", None),
    ("glance", "POST", "/v2/metadefs/namespaces", {"namespace": "Auditor::X"}),
    ("glance", "PUT", f"/v2/metadefs/namespaces/{_SPACE}",
     {"namespace": _SPACE, "visibility": "private"}),
    ("glance", "DELETE", f"/v2/metadefs/namespaces/{_SPACE}", None),
    ("glance", "DELETE", f"/v2/metadefs/namespaces/{_SPACE}/properties/unique_serial", None),
    ("glance", "POST", "/v2/tasks", {"type": "import", "input": {}}),
    ("cinder", "DELETE", "/v3/OWN/volumes/VOLUME", None),
    ("cinder", "PUT", "/v3/OWN/volumes/VOLUME", {"volume": {"name": "x"}}),
    ("cinder", "POST", "/v3/OWN/volumes/VOLUME/metadata", {"metadata": {"a": "b"}}),
    ("cinder", "POST", "/v3/OWN/volumes/VOLUME/action",
     {"os-set_image_metadata": {"metadata": {"hw_unique_serial": "true"}}}),
    ("cinder", "POST", "/v3/OWN/volumes/VOLUME/action", {"os-reset_status": {"status": "error"}}),
    ("cinder", "POST", "/v3/OWN/volumes/VOLUME/action", {"os-force_delete": None}),
    ("cinder", "POST", "/v3/OWN/volumes/VOLUME/action", {"os-extend": {"new_size": 9}}),
    ("cinder", "POST", "/v3/OWN/snapshots", {"snapshot": {"volume_id": "VOLUME", "force": True}}),
    ("cinder", "POST", "/v3/OWN/backups", {"backup": {"volume_id": "VOLUME", "force": True}}),
    ("cinder", "POST", "/v3/OWN/os-volume-transfer", {"transfer": {"volume_id": "VOLUME"}}),
    ("cinder", "POST", "/v3/OWN/volumes", {"volume": {"source_volid": "VOLUME", "size": 1}}),
    ("cinder", "POST", "/v3/OWN/volumes", {"volume": {"imageRef": "IMAGE", "size": 1}}),
    ("cinder", "POST", "/v3/OWN/types", {"volume_type": {"name": "x"}}),
    ("cinder", "PUT", "/v3/OWN/os-quota-sets/OWN", {"quota_set": {"volumes": 1}}),
    ("cinder", "PUT", "/v3/OWN/os-services/disable", {"binary": "cinder-volume", "host": "x"}),
]  # fmt: skip


def test_writing_is_refused(seeded: SeededCloud, auditor: Auditor) -> None:
    known = {**victims(seeded), "OWN": auditor.project_id}

    def filled(text: str) -> str:
        return re.sub("|".join(known), lambda found: known[found[0]], text)

    allowed = []
    for service, method, path, body in WRITES:
        status = auditor.send(service, method, filled(path), json.loads(filled(json.dumps(body))))
        # 404: what it does not see in its own project.
        if status not in (403, 404):
            allowed.append((status, service, method, path, body))
    assert not allowed
    # Whatever was answered: everything is as it was.
    assert about_others(audit(seeded).rows) == about_others(expected(seeded))


def test_no_right_of_administrators_is_left_in_glance_and_cinder(seeded: SeededCloud) -> None:
    """What these services give with context_is_admin is given back, but for what reads."""
    program = (
        "import importlib, json, sys\n"
        "rules = importlib.import_module(sys.argv[1] + '.policies').list_rules()\n"
        "print(json.dumps({rule.name: rule.check_str for rule in rules}))\n"
    )
    for service, words in (("glance", "context_is_admin"), ("cinder", "is_admin:")):
        python = Path(seeded.state["venv"]) / "bin" / "python"
        run = subprocess.run(
            [python, "-c", program, service], capture_output=True, text=True, check=True
        )
        rules: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
        sample: dict[str, str] = yaml.safe_load((SAMPLE / f"{service}-policy.yaml").read_text())
        assert sample.keys() <= rules.keys()
        left = {
            name
            for name, check in rules.items()
            if words in check and name not in sample and not name.startswith(("get_", "list_"))
        }
        assert left == set()
        for name, check in sample.items():
            if ROLE not in check:
                assert words not in check, name


# --- the table of the documentation ------------------------------------------------


def test_the_table_has_every_request(seeded: SeededCloud, auditor: Auditor, tmp_path: Path) -> None:
    table = (SAMPLE / "roles.rst").read_text()
    with Proxy(seeded, tmp_path) as proxy:
        audit(seeded, clouds_yaml=proxy.clouds_yaml)
        with broken_cell(seeded):
            audit(seeded, clouds_yaml=proxy.clouds_yaml)
        requests = proxy.api_requests()
    calls = set()
    for line in requests:
        _service, method, url = line.split()
        path = url.split("?")[0]
        path = re.sub(r"^/v2\.1|^/v2|^/v3/[0-9a-f]{32}", "", path)
        path = re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/ID", path)
        path = re.sub(r"^(/metadefs/namespaces)/.*", r"\1/NAME", path)
        calls.add(f"{method} {path}")
    missing = {call for call in calls if f"``{call}``" not in table}
    assert not missing
    # And nothing else: that right would not be needed.
    assert set(re.findall(r"``((?:GET|POST) \S+)``", table)) <= calls
    # Every rule of the samples that names the role is in the table.
    for service in SERVICES:
        sample: dict[str, str] = yaml.safe_load((SAMPLE / f"{service}-policy.yaml").read_text())
        for rule, check in sample.items():
            assert ROLE not in check or f"``{rule}``" in table, rule
