# SPDX-License-Identifier: Apache-2.0
"""``show`` and ``list`` give one answer: random clouds through the HTTP edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import openstack
import pytest
import requests_mock
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.api.rest import Rest
from osc_uniqserial.api.server import find_server, read_server
from osc_uniqserial.api.servers import CloudReader
from osc_uniqserial.commands.show import COLUMNS
from osc_uniqserial.effective.explanation import Explanations
from osc_uniqserial.model.cloud import Fleet, GivenModes
from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY, HostMode
from tests.unit.builders import (
    AFTER,
    BEFORE,
    DRIVER,
    HOST,
    M_UNIQUE,
    MADE,
    OPEN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    Json,
    image_id,
    on,
    volume_id,
)
from tests.unit.clouds import Estate, Node
from tests.unit.fake_cloud import (
    GLANCE,
    KEYSTONE,
    NOVA,
    PLACEMENT,
    STOCK_VALIDATION,
    FakeCloud,
)

TEXTS = st.sampled_from(["true", "false", "banana", "True", "0"])
NEEDS = st.dictionaries(
    st.sampled_from(
        [f"trait:{TRAIT_UNIQUE}", f"trait:{M_UNIQUE}", f"trait:{TRAIT_KEYS}", "trait:HW_X"]
    ),
    st.sampled_from(["required", "forbidden"]),
    max_size=1,
)


def said(key: str) -> st.SearchStrategy[dict[str, str]]:
    """Return what a flavor, image or aggregate says by a key, mostly something."""
    return st.one_of(st.just({}), TEXTS.map(lambda text: {key: text}))


def joined(*parts: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[dict[str, str]]:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


SPECS = joined(
    said(FLAVOR_KEY),
    NEEDS,
    st.sampled_from([{}, {}, {"aggregate_instance_extra_specs:a": "b"}]),
)
ARCHITECTURES = st.sampled_from(
    [
        *[{}] * 12,
        {"hw_architecture": "aarch64"},
        {"hw_architecture": "x86_64", "hw_emulation_architecture": "ppc64le"},
        {"architecture": "amd64"},
    ]
)
IMAGE = joined(said(IMAGE_KEY), NEEDS, ARCHITECTURES)
#: Any traits: those that contradict each other and those of nested providers too.
TRAITS = st.one_of(
    st.sampled_from([None, ()]),
    st.lists(st.sampled_from(policy.TRAITS), unique=True, max_size=3).map(tuple),
    st.sampled_from([DRIVER, (*DRIVER, OPEN), (TRAIT_UNIQUE, M_UNIQUE), (M_UNIQUE,)]),
    st.sampled_from([DRIVER, (*DRIVER, OPEN), (TRAIT_UNIQUE, M_UNIQUE), (M_UNIQUE,)]),
)
CHANGES = st.sampled_from(
    [
        *[{}] * 12,
        {"status": "disabled"},
        {"hypervisor_type": "ironic"},
        {"cpu_info": {"arch": "aarch64"}},
        {"cpu_info": None},
    ]
)
NODES = st.fixed_dictionaries(
    {name: st.builds(Node, TRAITS, CHANGES) for name in "ab"},
    optional={name: st.builds(Node, TRAITS, CHANGES) for name in "cd"},
)
AGGREGATES = st.lists(
    st.fixed_dictionaries(
        {
            "hosts": st.lists(st.sampled_from(["a", "b", "c", "gone"]), unique=True),
            "metadata": joined(said(FLAVOR_KEY), said(IMAGE_KEY)),
        }
    ),
    max_size=2,
)
MODES = st.dictionaries(
    st.sampled_from(["*", "a", "b", "gone"]), st.sampled_from(HostMode), max_size=2
).map(GivenModes)
SERVERS = st.lists(
    st.fixed_dictionaries(
        {
            "flavor": st.sampled_from(["gold", "plain", "deleted"]),
            "specs": SPECS,
            "image": st.sampled_from([1, 1, 1, 2, 9, None]),
            "frozen": st.one_of(st.none(), joined(said(IMAGE_KEY), ARCHITECTURES)),
            "host": st.sampled_from(["a", "a", "a", "b", "b", "gone", None]),
            "metadata": joined(said(IMAGE_KEY), said(FLAVOR_KEY)),
            "pinned_availability_zone": st.sampled_from([None, None, "z"]),
            "status": st.sampled_from(["ACTIVE", "ERROR"]),
            "root": st.sampled_from(["/dev/vda", "/dev/vdb", None]),
            "volumes": st.sampled_from([[], [1], [1, 2], [2, 1], [9], [3, 1]]),
            "hides": st.sampled_from(["", "", "", "", "", "", "host", "specs"]),
        }
    ),
    min_size=1,
    max_size=5,
)
#: Images that volumes are made from, and when.
SOURCES = st.tuples(
    st.sampled_from([1, 1, 2, 9, None]), st.sampled_from([BEFORE, AFTER, MADE, MADE])
)
#: What this user may not read, or what is down.
FAULTS: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]),
    st.just([]),
    st.lists(
        st.sampled_from(["hypervisors", "cell", "traits", "aggregates", "flavors", "images"]),
        unique=True,
        max_size=2,
    ),
)


def add_server(cloud: Estate, number: int, made: Json) -> None:
    hides, root, volumes = (made.pop(key) for key in ("hides", "root", "volumes"))
    # A copy of a flavor's name; that flavor may be gone.
    flavor = made.pop("flavor")
    record = cloud.server(number, flavor="gold", **made)
    record["flavor"]["original_name"] = flavor
    record.update(on([{"id": volume_id(each)} for each in volumes]))
    record["OS-EXT-SRV-ATTR:root_device_name"] = root
    if hides == "host":
        for key in (
            HOST,
            "OS-EXT-SRV-ATTR:hypervisor_hostname",
            "OS-EXT-SRV-ATTR:root_device_name",
        ):
            del record[key]
    if hides == "specs":
        del record["flavor"]["extra_specs"]


def break_parts(cloud: Estate, faults: list[str]) -> None:
    urls = {
        "hypervisors": f"{NOVA}/os-hypervisors/detail",
        "traits": f"{PLACEMENT}/traits",
        "aggregates": f"{NOVA}/os-aggregates",
        "flavors": f"{NOVA}/flavors/detail",
    }
    for fault in faults:
        if fault in urls:
            cloud.fake.http.get(urls[fault], status_code=403)
    if "images" in faults:
        cloud.fake.http.get(f"{GLANCE}/v2/images", status_code=403)
        for number in (1, 2, 9):
            cloud.fake.http.get(f"{GLANCE}/v2/images/{image_id(number)}", status_code=403)
    if "cell" in faults:
        services = [
            {"host": name, "status": "UNKNOWN"}
            if name == "b"
            else {"host": name, "status": "enabled", "state": "up"}
            for name in "abcd"
        ]
        cloud.fake.http.get(f"{NOVA}/os-hypervisors/detail", status_code=500)
        cloud.fake.http.get(f"{NOVA}/os-services", json={"services": services})


def connected() -> Rest:
    auth: Mapping[str, Any] = {
        "auth_url": KEYSTONE,
        "username": "u",
        "password": "p",
        "project_name": "p",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    return Rest(openstack.connect(load_envvars=False, load_yaml_config=False, auth=auth))


@given(st.data())
@settings(max_examples=60)
def test_show_and_list_give_the_same_answer(data: st.DataObject) -> None:
    with requests_mock.Mocker() as mocker, pytest.MonkeyPatch.context() as patch:
        cloud = Estate(FakeCloud(mocker, patch, data.draw(st.sampled_from(["2.104", "2.90"]))))
        cloud.hosts(**data.draw(NODES))
        cloud.fake.aggregates(*data.draw(AGGREGATES))
        cloud.flavor("gold", data.draw(SPECS))
        cloud.image(1, BEFORE, **data.draw(IMAGE))
        cloud.image(2, AFTER, **data.draw(IMAGE))
        for number, device in ((1, "/dev/vda"), (2, "/dev/vdb"), (3, "/dev/sdc")):
            made_from, created = data.draw(SOURCES)
            cloud.volume(number, device, data.draw(IMAGE), image=made_from, created=created)
        for number, made in enumerate(data.draw(SERVERS)):
            add_server(cloud, number, made)
        if data.draw(st.booleans()):
            cloud.answers_the_probe(400, STOCK_VALIDATION)
        break_parts(cloud, data.draw(FAULTS))
        modes = data.draw(MODES)

        rest = connected()
        reader = CloudReader(rest, modes)
        fleet = reader.configuration.fleet
        reports = Explanations(fleet if isinstance(fleet, Fleet) else None)
        listed = [reports.of(each) for page in reader.servers({}, 2) for each in page]
        assert len(listed) == len(cloud.records)
        for about in listed:
            record = find_server(rest, about.server.id)
            server, around, _notes = read_server(rest, record, modes)
            shown = Explanations(around).of(server)
            assert columns(shown) == columns(about)


def columns(about: Any) -> Json:
    return {name: getter(about) for name, getter in COLUMNS.items()}
