# SPDX-License-Identifier: Apache-2.0
"""Random clouds, files and faults: the account of ``apply`` is true, and undo takes all back."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests_mock
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY
from tests.unit.builders import GOLD, M_AUTO, PLAIN, TRAIT_UNIQUE, Json, image_id, server_id
from tests.unit.clouds import Node
from tests.unit.fake_cloud import FakeCloud, Result
from tests.unit.writable_cloud import WritableCloud

TRAIT = {f"trait:{TRAIT_UNIQUE}": "required"}
SCOPE = {"aggregate_instance_extra_specs:hw:unique_serial": "<or> true <or> True"}
#: Valid spellings: an undo does not store others again.
TEXTS = st.sampled_from(["true", "false", "True", "0"])
SETTING = {"unique_serial": st.sampled_from([True, False, "unset"])}
HOSTS = st.sampled_from(["supported", "any"])
SCOPES = st.sampled_from(["supported", "aggregate", "any"])
NO_KEYS: dict[str, str] = {}


def stored(key: str, *restrictions: Mapping[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """Return keys of a resource: other ones too."""
    setting = st.one_of(st.just(NO_KEYS), TEXTS.map(lambda text: {key: text}))
    others = st.sampled_from([NO_KEYS, {"other": "x"}, *restrictions])
    return st.tuples(setting, others).map(lambda parts: {**parts[0], **parts[1]})


def entry(by: Json, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Return an entry of the file with at least one of the fields."""
    found = st.fixed_dictionaries({}, optional=fields).filter(bool)
    # Refused: false needs no host that gives a serial number.
    found = found.filter(
        lambda wanted: (
            wanted.get("unique_serial") is not False or wanted.get("hosts") in (None, "any")
        )
    )
    return found.map(lambda wanted: {**by, **wanted})


CLOUDS = st.fixed_dictionaries(
    {
        GOLD: stored(FLAVOR_KEY, TRAIT, SCOPE),
        PLAIN: stored(FLAVOR_KEY, TRAIT),
        "image": stored(IMAGE_KEY, TRAIT),
        "rack": st.fixed_dictionaries({}, optional={FLAVOR_KEY: TEXTS, IMAGE_KEY: TEXTS}),
        "servers": st.lists(
            st.sampled_from([{}, {IMAGE_KEY: "true"}, {IMAGE_KEY: "True", "other": "x"}]),
            min_size=2,
            max_size=2,
        ),
    }
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "flavors": st.tuples(
            entry({"name": GOLD}, hosts=SCOPES, **SETTING),
            entry({"name": PLAIN}, hosts=HOSTS, **SETTING),
        ).map(list),
        "images": entry({"id": image_id(1)}, hosts=HOSTS, **SETTING).map(lambda each: [each]),
        "aggregates": entry({"name": "rack-1"}, **SETTING).map(lambda each: [each]),
        "servers": st.tuples(
            *(
                st.fixed_dictionaries(
                    {
                        "id": st.just(server_id(number)),
                        "unique_serial": st.sampled_from([True, "unset"]),
                    }
                )
                for number in (1, 2)
            )
        ).map(list),
    },
).filter(bool)
WRITES = (
    "POST .*/flavors/.*",
    "DELETE .*/flavors/.*",
    "PATCH .*/images/",
    "POST .*/os-aggregates/.*",
    "POST .*/servers/.*",
    "DELETE .*/servers/.*",
)
#: A service that refuses a request has not carried it out; one that fails may have.
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(WRITES),
        st.sampled_from(
            [("before", 403), ("before", 409), ("before", 503), ("after", 500), ("after", 504)]
        ),
    ),
    max_size=3,
    unique_by=lambda fault: fault[0],
)


class Cloud(WritableCloud):
    """A cloud with two flavors, an image, a host aggregate and two servers."""

    def __init__(self, fake: FakeCloud, has: Json) -> None:
        super().__init__(fake)
        self.hosts(b=Node((TRAIT_UNIQUE, "CUSTOM_UNIQUE_SERIAL_KEYS", M_AUTO)))
        self.flavor(GOLD, has[GOLD])
        self.flavor(PLAIN, has[PLAIN])
        self.image(1, **has["image"])
        self.rack(1, **has["rack"])
        for number, metadata in enumerate(has["servers"], 1):
            self.server(number, flavor=PLAIN, host="b", metadata={**metadata})

    def keys(self, kind: str, id_: str) -> Mapping[str, str]:
        """Return what is stored with a resource."""
        if kind == "flavor":
            specs: Json = self.flavors[id_.removeprefix("id-")]["extra_specs"]
            return specs
        if kind == "image":
            return self.images[id_]
        if kind == "aggregate":
            metadata: Json = self.racks[int(id_)]["metadata"]
            return metadata
        (found,) = [each["metadata"] for each in self.records if each["id"] == id_]
        metadata = found
        return metadata

    def stored(self) -> Any:
        """Return a copy of all that can be written."""
        return copy.deepcopy((self.flavors, self.images, self.racks, self.records))

    def run(self, verb: str, *args: str) -> Result:
        """Run a command."""
        done = self.fake.openstack("unique", "serial", verb, "-f", "json", *args)
        assert "Traceback" not in done.err
        return done


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(has=CLOUDS, wanted=FILES, faults=FAULTS)
def test_the_account_is_true_and_undo_takes_all_back(
    has: Json, wanted: Json, faults: list[tuple[str, tuple[str, int]]]
) -> None:
    with (
        requests_mock.Mocker() as mocker,
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
    ):
        cloud = Cloud(FakeCloud(mocker, patch, "2.104"), has)
        file, journal = Path(folder, "file"), Path(folder, "journal")
        file.write_text(yaml.safe_dump(wanted))
        before = cloud.stored()
        for pattern, (moment, status) in faults:
            getattr(cloud, moment)[pattern] = functools.partial(int, status)

        done = cloud.run("apply", "--yes", "--long", str(file), "--journal", str(journal))
        rows = done.json
        for row in rows:
            now = cloud.keys(row["kind"], row["id"]).get(row["key"])
            is_done = row["result"] in ("done", "unchanged", "not-read-back")
            assert row["result"] != "unknown"
            assert now == (row["planned"] if is_done else row["before"]), row
        assert done.code == (0 if all(row["result"] == "done" for row in rows) else 1)
        # Nothing else was written.
        changed = {(row["kind"], row["id"], row["key"]) for row in rows}
        assert differences(before, cloud.stored()) <= changed

        cloud.before.clear()
        cloud.after.clear()
        if journal.exists():
            assert cloud.run("apply", "--yes", "--undo", str(journal)).code == 0
        assert cloud.stored() == before

        assert cloud.run("apply", "--yes", str(file)).code == 0
        again = cloud.run("plan", str(file))
        assert (again.code, again.json) == (0, [])


def differences(before: Any, after: Any) -> set[tuple[str, str, str]]:
    """Return the kind, the ID and the key of what differs between two copies."""
    found = set()
    for kind, here, there in (
        ("flavor", _specs(before[0]), _specs(after[0])),
        ("image", before[1], after[1]),
        ("aggregate", _metadata(before[2].values()), _metadata(after[2].values())),
        ("server", _metadata(before[3]), _metadata(after[3])),
    ):
        assert here.keys() == there.keys()
        for id_ in here:
            keys = here[id_].keys() | there[id_].keys()
            found |= {
                (kind, str(id_), key) for key in keys if here[id_].get(key) != there[id_].get(key)
            }
    return found


def _specs(flavors: Json) -> Json:
    return {flavor["id"]: flavor["extra_specs"] for flavor in flavors.values()}


def _metadata(resources: Any) -> Json:
    return {each["id"]: each["metadata"] for each in resources}
