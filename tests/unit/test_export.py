# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial export``: what other tools read in its text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial.desired import document
from osc_uniqserial.desired.changes import of_configuration
from osc_uniqserial.desired.export import FORMATS
from osc_uniqserial.desired.export.format import render
from osc_uniqserial.desired.export.settings import CloudSettings
from osc_uniqserial.desired.export.settings import settings as settings_of
from osc_uniqserial.model.cloud import Aggregate, Image
from osc_uniqserial.model.definition import FlavorDefinition, ServerRequest
from osc_uniqserial.model.finding import Resource
from tests.unit.builders import (
    EVIL,
    GOLD,
    IMAGE_TRUE,
    TRUE,
    Json,
    configuration,
    image_id,
    server_id,
)
from tests.unit.clouds import FORBIDDEN, Estate, deny_all_projects
from tests.unit.fake_cloud import NOVA, FakeCloud, Result

SUPPORTED = {"trait:CUSTOM_UNIQUE_SERIAL": "required"}
BOTH = {"hw:unique_serial": "true", "hw_unique_serial": "True"}


@pytest.fixture
def cloud(fake: FakeCloud) -> Estate:
    """A cloud with one setting of each kind, and resources without any."""
    estate = Estate(fake)
    estate.flavor(GOLD, {**TRUE, **SUPPORTED, "hw:cpu_policy": "dedicated"})
    estate.image(1, **IMAGE_TRUE)
    estate.image(2)
    fake.aggregates({"hosts": ["a"], "metadata": BOTH}, {"hosts": ["a"], "metadata": {"x": "y"}})
    estate.server(1, metadata=IMAGE_TRUE)
    estate.server(2)
    return estate


def export(cloud: Estate, form: str, *options: str, code: int = 0) -> Result:
    run = cloud.fake.openstack("unique", "serial", "export", "--as", form, *options)
    assert run.code == code, run.out + run.err
    assert not cloud.fake.writes()
    return run


def test_the_file_of_a_plan(cloud: Estate, tmp_path: Path) -> None:
    run = export(cloud, "plan")
    assert yaml.safe_load(run.out) == {
        "flavors": [{"id": "id-gold", "unique_serial": True, "hosts": "supported"}],
        "images": [{"id": image_id(1), "unique_serial": True, "hosts": "any"}],
        "aggregates": [{"id": "1", "unique_serial": True}],
        "servers": [{"id": server_id(1), "unique_serial": True}],
    }
    assert '- id: "id-gold"  # gold\n' in run.out
    file = tmp_path / "today.yaml"
    file.write_text(run.out)
    cloud.knows_the_key()
    plan = cloud.fake.openstack("unique", "serial", "plan", "-f", "value", str(file))
    assert (plan.code, plan.out.strip()) == (0, "")
    assert plan.err.endswith("No change\n")


def test_a_cloud_without_settings_is_a_file_too(fake: FakeCloud, tmp_path: Path) -> None:
    cloud = Estate(fake)
    cloud.flavors.clear()
    for form in FORMATS:
        assert export(cloud, form).err == ""
    text = export(cloud, "plan").out
    assert document.parse(text) == document.Desired()
    assert yaml.safe_load(export(cloud, "ansible").out)[0]["tasks"] == []


@pytest.mark.parametrize("form", FORMATS)
def test_no_request_for_a_single_flavor(cloud: Estate, form: str) -> None:
    for number in range(50):
        cloud.flavor(f"f{number}", TRUE)
    export(cloud, form)
    asked = [each.path for each in cloud.fake.http.request_history if "/flavors" in each.path]
    assert asked == ["/v2.1/flavors/detail"]


def test_terraform(cloud: Estate) -> None:
    cloud.flavors[GOLD] |= {"swap": 64, "rxtx_factor": 2.5, "description": "${path.root}"}
    cloud.flavors[GOLD]["os-flavor-access:is_public"] = False
    cloud.fake.aggregates(
        {
            "name": "rack 1",
            "hosts": ["b", "a"],
            "availability_zone": "z",
            "metadata": {**BOTH, "availability_zone": "z"},
        }
    )
    found = hcl(export(cloud, "terraform").out)
    assert found["openstack_compute_flavor_v2", "gold"] == {
        "name": GOLD,
        "flavor_id": "id-gold",
        "description": "${path.root}",
        "ram": 512,
        "vcpus": 1,
        "disk": 1,
        "swap": 64,
        "ephemeral": 0,
        "rx_tx_factor": 2.5,
        "is_public": False,
        "extra_specs": {**TRUE, **SUPPORTED, "hw:cpu_policy": "dedicated"},
        "imported": "id-gold",
    }
    assert found["openstack_compute_aggregate_v2", "rack_1"] == {
        "name": "rack 1",
        "zone": "z",
        "hosts": ["a", "b"],
        "metadata": BOTH,
        "imported": "1",
    }
    assert len(found) == 2


def test_labels_of_terraform_are_used_once(cloud: Estate) -> None:
    for name in ("a b", "a:b", "a.b", "1", "", "a_b_2"):
        cloud.flavor(name, TRUE)
    found = hcl(export(cloud, "terraform").out)
    names = {label: about["name"] for (kind, label), about in found.items() if "flavor" in kind}
    assert sorted(names.values()) == sorted([GOLD, "a b", "a:b", "a.b", "1", "", "a_b_2"])
    assert all(re.fullmatch(r"[A-Za-z_][\w-]*", label) for label in names)


def test_ansible(cloud: Estate) -> None:
    cloud.image(3, visibility="community", **IMAGE_TRUE)
    cloud.image(4, **IMAGE_TRUE)
    cloud.images[image_id(4)]["os_hidden"] = True
    cloud.image(5, hw_unique_serial="no", **SUPPORTED)
    run = export(cloud, "ansible", code=3)
    assert "image-3" in run.err
    assert "community" in run.err
    assert "hidden" in run.err
    flavor, aggregate, read, *images, server = playbook(run.out)
    assert flavor["openstack.cloud.compute_flavor"] == {
        "id": "id-gold",
        "name": GOLD,
        "ram": 512,
        "vcpus": 1,
        "disk": 1,
        "swap": 0,
        "ephemeral": 0,
        "is_public": True,
        "extra_specs": {**TRUE, **SUPPORTED, "hw:cpu_policy": "dedicated"},
    }
    assert aggregate["openstack.cloud.host_aggregate"] == {"name": "rack-1", "metadata": BOTH}
    assert read["openstack.cloud.image_info"] is None
    assert [task["openstack.cloud.image"]["id"] for task in images] == [image_id(1), image_id(5)]
    assert images[1]["vars"]["wanted"] == {"hw_unique_serial": "no", **SUPPORTED}
    assert server["openstack.cloud.server_metadata"] == {
        "name": server_id(1),
        "metadata": IMAGE_TRUE,
    }


def test_ansible_takes_no_name_for_an_id(cloud: Estate) -> None:
    other = {"hosts": [], "name": "1", "metadata": BOTH}
    cloud.fake.aggregates({"hosts": [], "metadata": BOTH}, other)
    run = export(cloud, "ansible", code=3)
    assert "Aggregate '1' (2): openstack.cloud.host_aggregate takes this name for an ID" in run.err
    found = [
        task["openstack.cloud.host_aggregate"] for task in playbook(run.out) if _is(task, "agg")
    ]
    assert [each["name"] for each in found] == ["rack-1"]


def test_flavor_manager(cloud: Estate) -> None:
    cloud.flavor("private", TRUE)
    cloud.flavors["private"]["os-flavor-access:is_public"] = False
    cloud.flavor("unscoped", {**TRUE, "cpu_arch": "x"})
    run = export(cloud, "flavor-manager", code=3)
    assert "flavor 'private' (id-private) is not public" in run.out
    assert "cpu_arch has no colon" in run.err
    found = yaml.safe_load(run.out)
    gold, unscoped = found["mandatory"]
    assert found["reference"] == []
    assert gold == {
        "name": GOLD,
        "flavorid": "id-gold",
        "cpus": 1,
        "ram": 512,
        "disk": 1,
        "public": True,
        **TRUE,
        **SUPPORTED,
        "hw:cpu_policy": "dedicated",
    }
    assert unscoped["name"] == "unscoped"


# --- what is missing, and what has no meaning ---------------------------------------


@pytest.mark.parametrize(
    ("path", "part"), [("flavors/detail", "flavors"), ("os-aggregates", "aggregates")]
)
def test_a_part_that_cannot_be_read(cloud: Estate, path: str, part: str) -> None:
    cloud.fake.http.get(
        f"{NOVA}/{path}",
        status_code=403,
        json=FORBIDDEN,
        headers={"Content-Type": "application/json"},
    )
    run = export(cloud, "plan", code=4)
    assert f"# Not read: the {part} could not be read: Nova (compute)" in run.out
    assert f"The {part} could not be read" in run.err
    assert yaml.safe_load(run.out)[part] == []
    assert yaml.safe_load(run.out)["servers"]


def test_hidden_extra_specs(cloud: Estate) -> None:
    del cloud.flavors[GOLD]["extra_specs"]
    run = export(cloud, "flavor-manager", code=4)
    assert "the extra specs of 1 flavor are hidden from this user: gold" in run.out


def test_servers_of_a_cell_that_is_down(cloud: Estate) -> None:
    cloud.down.append({"id": server_id(3), "status": "UNKNOWN", "tenant_id": "p"})
    run = export(cloud, "plan", code=4)
    assert "# Not read: servers whose metadata Nova does not return: 1\n" in run.out
    assert len(yaml.safe_load(run.out)["servers"]) == 1


def test_a_page_of_servers_that_fails(cloud: Estate) -> None:
    cloud.refuse["first"] = (500, "no")
    assert "Some servers could not be read" in export(cloud, "ansible", code=4).err


def test_values_without_a_meaning(cloud: Estate) -> None:
    cloud.flavor("typo", {"hw:unique_serial": "banana"})
    cloud.flavor("never", {**TRUE, "trait:CUSTOM_UNIQUE_SERIAL": "forbidden"})
    cloud.image(3, hw_unique_serial="ture")
    cloud.server(4, metadata={"hw_unique_serial": "false"})
    cloud.fake.aggregates({"hosts": [], "metadata": {"hw:unique_serial": "yes, nope"}})
    run = export(cloud, "plan", code=3)
    notes = re.findall("^# Check: (.*)$", run.out, re.MULTILINE)
    assert [note.partition(" (")[0] for note in notes] == [
        "flavor 'typo'",
        "image 'image-3'",
        "aggregate 'rack-1'",
        "server 'web-4'",
        "flavor 'never'",
        "aggregate 'rack-1'",
    ]
    assert all(note[1:] in run.err for note in notes)
    found = yaml.safe_load(run.out)
    # What the file does not say, a plan leaves as it is.
    assert {"id": "id-typo", "hosts": "any"} in found["flavors"]
    assert {"id": "id-never", "unique_serial": True} in found["flavors"]
    assert {"id": image_id(3), "hosts": "any"} in found["images"]
    assert found["aggregates"] == []
    assert [entry["id"] for entry in found["servers"]] == [server_id(1)]


def test_options_of_servers_need_a_format_with_servers(cloud: Estate) -> None:
    run = export(cloud, "terraform", "--all-projects", code=2)
    assert run.out == ""
    assert "--as terraform has none" in run.err


def test_own_project_only(cloud: Estate) -> None:
    deny_all_projects(cloud)
    run = export(cloud, "plan")
    assert "# Servers: own project only: this user may not list" in run.out


# --- untrusted text -------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_reaches_the_terminal_as_it_is(cloud: Estate, form: str) -> None:
    cloud.flavor(EVIL, {**TRUE, "hw:x": EVIL})
    cloud.flavor("typo", {"hw:unique_serial": EVIL})
    cloud.image(1, name=EVIL, **IMAGE_TRUE)
    cloud.fake.aggregates({"hosts": [EVIL], "name": EVIL, "metadata": BOTH})
    cloud.server(3, name=EVIL, metadata={"hw_unique_serial": EVIL})
    run = export(cloud, form, code=3)
    for text in (run.out, run.err):
        assert all(line.isprintable() for line in text.splitlines())
        assert "\\x1b[2J" in text


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        *(
            "true",
            "null",
            "~",
            "1",
            "1e3",
            "012",
            "",
            " ",
            "a: b",
            "- a",
            "# c",
            "\ufffe",
            "\ufeff",
        ),
        *("{{ 7*7 }}", "{% raw %}", "{# c #}", "#jinja2:variable_start_string:'[%'", "!unsafe x"),
        *("${x}", "%{ if }", "$${x}", "%%{x}", "$", "\\", '"', "\\x41", "\\u0041", "'", "\n---\n"),
        *("\x1b[2J", "\u202e", "\x85", "\u2028", "\x00", "\U0001f600", EVIL),
    ]
)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
VALUES = st.sampled_from(["true", "True", "false", "False", "0", "banana"]) | TEXT
OTHERS = st.dictionaries(TEXT, TEXT, max_size=2)


def stored(*keys: str) -> st.SearchStrategy[dict[str, str]]:
    texts = VALUES | st.sampled_from(["required", "forbidden", "<or> true <or> True"])
    ours = st.dictionaries(st.sampled_from(keys), texts, min_size=1)
    return st.builds(lambda ours, others: {**others, **ours}, ours, OTHERS)


FLAVORS = st.builds(
    FlavorDefinition,
    IDS,
    TEXT,
    stored("hw:unique_serial", *SUPPORTED, "aggregate_instance_extra_specs:hw:unique_serial"),
    ram=st.integers(1, 10**6),
    vcpus=st.integers(1, 200),
    disk=st.integers(0, 10**4),
    swap=st.integers(0, 10**4),
    ephemeral=st.integers(0, 10**4),
    rxtx_factor=st.sampled_from([None, 1.0, 2.5]),
    is_public=st.booleans(),
    description=st.none() | TEXT,
)
IMAGES = st.builds(
    Image, IDS, st.none() | TEXT, stored("hw_unique_serial", *SUPPORTED), st.none() | TEXT
)
AGGREGATES = st.builds(
    Aggregate,
    IDS,
    TEXT,
    st.none() | TEXT,
    st.just(BOTH) | stored("hw:unique_serial", "hw_unique_serial"),
    st.frozensets(TEXT, max_size=2),
)
REQUESTS = st.builds(
    lambda id_, name, text: ServerRequest(Resource("server", id_, name, "p"), text),
    IDS,
    st.none() | TEXT,
    VALUES,
)


def some(items: st.SearchStrategy[Any], key: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=3, unique_by=key)


SETTINGS = st.builds(
    settings_of,
    some(FLAVORS, lambda each: each.id),
    some(IMAGES, lambda each: each.id),
    some(AGGREGATES, lambda each: each.id),
    some(REQUESTS, lambda each: each.resource.id),
)


def text_of(form: str, today: CloudSettings) -> str:
    text = "\n".join(render(FORMATS[form], today).lines)
    assert all(line.isprintable() for line in text.split("\n"))
    return text


@given(SETTINGS)
@settings(max_examples=60)
def test_a_plan_of_any_settings_changes_nothing(today: CloudSettings) -> None:
    desired = document.parse(text_of("plan", today))
    cloud = configuration(flavors=today.flavors, images=today.images, aggregates=today.aggregates)
    assert [*of_configuration(desired, cloud)] == []
    asking = {each.resource.id for each in today.servers if each.value.setting.value == "unique"}
    assert {entry.selector.id for entry in desired.servers} == asking


@given(SETTINGS)
@settings(max_examples=20)
def test_terraform_reads_any_text_as_it_is_stored(today: CloudSettings) -> None:
    found = hcl(text_of("terraform", today))
    flavors = [about for (kind, _), about in found.items() if "flavor" in kind]
    aggregates = [about for (kind, _), about in found.items() if "aggregate" in kind]
    assert [
        (each["imported"], each["name"], each.get("description"), each["extra_specs"])
        for each in flavors
    ] == [(each.id, each.name, each.description, each.stored) for each in today.flavors]
    assert [(each["name"], each["hosts"]) for each in aggregates] == [
        (each.name, sorted(each.hosts)) for each in today.aggregates
    ]


@given(SETTINGS)
@settings(max_examples=60)
def test_ansible_reads_any_text_as_it_is_stored(today: CloudSettings) -> None:
    tasks = playbook(text_of("ansible", today))
    flavors = [task["openstack.cloud.compute_flavor"] for task in tasks if _is(task, "flavor")]
    assert [(each["id"], each["name"], each["extra_specs"]) for each in flavors] == [
        (each.id, each.name, each.stored) for each in today.flavors
    ]
    names = [task["openstack.cloud.host_aggregate"]["name"] for task in tasks if _is(task, "agg")]
    aggregates = [each for each in today.aggregates if not each.name.isdecimal()]
    assert [name for name in names if not name.isdecimal()] == [each.name for each in aggregates]


@given(SETTINGS)
@settings(max_examples=60)
def test_flavor_manager_reads_any_text_as_it_is_stored(today: CloudSettings) -> None:
    found = yaml.safe_load(text_of("flavor-manager", today))
    public = [each for each in today.flavors if each.is_public]
    assert [each["name"] for each in found["mandatory"]] == [each.name for each in public]
    for entry, each in zip(found["mandatory"], public, strict=True):
        assert {key: entry[key] for key in entry if ":" in key} == {
            key: text for key, text in each.stored.items() if ":" in key
        }


def _is(task: Json, kind: str) -> bool:
    return any(kind in key for key in task if key.startswith("openstack.cloud."))


class _Unsafe(str):
    """A text that is no template for Ansible."""

    __slots__ = ()


class _Playbook(yaml.SafeLoader):
    """Reads YAML as Ansible does."""


def _unsafe(loader: Any, node: yaml.ScalarNode) -> _Unsafe:
    # ansible-core 2.19 resolves the type of such a scalar again, as if it had no quotes.
    resolved = loader.resolve(yaml.ScalarNode, node.value, (True, False))
    assert resolved == "tag:yaml.org,2002:str"
    return _Unsafe(node.value)


_Playbook.add_constructor("!unsafe", _unsafe)


def playbook(text: str) -> list[Json]:
    """Return the tasks of a playbook; nothing in them but our own expressions is a template."""
    (play,) = yaml.load(text, Loader=_Playbook)  # noqa: S506
    tasks: list[Json] = play["tasks"]
    pending: list[Any] = [*tasks]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending += [value for key, value in each.items() if key not in ("stored", "properties")]
        elif isinstance(each, list):
            pending += each
        elif isinstance(each, str) and not isinstance(each, _Unsafe):
            assert not each.startswith("#jinja2:")
            assert not any(sign in each for sign in ("{{", "{%", "{#"))
    return tasks


def hcl(text: str) -> dict[tuple[str, str], Json]:
    """Return the arguments of each resource, with the ID that it is imported with."""
    found = hcl2.loads(text)
    resources = {
        (_plain(kind), _plain(label)): _plain(about)
        for each in found.get("resource", [])
        for kind, labelled in each.items()
        for label, about in labelled.items()
    }
    for each in found.get("import", []):
        kind, _, label = each["to"].removeprefix("${").removesuffix("}").partition(".")
        resources[kind, label]["imported"] = _plain(each["id"])
    return resources


def _plain(value: Any) -> Any:
    """Return a value of python-hcl2, which leaves quotes and escapes in its texts."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not (isinstance(value, str) and value.startswith('"')):
        return value
    assert not re.search(r"[$%]\{", value), "a template"
    short = re.sub(
        r"(?<!\\)((?:\\\\)*)\\U([0-9a-f]{8})",
        lambda match: match[1] + json.dumps(chr(int(match[2], 16)))[1:-1],
        value,
    )
    text: str = json.loads(short)
    return text
