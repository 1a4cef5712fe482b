# SPDX-License-Identifier: Apache-2.0
"""Hosts, flavors and images of all kinds, for tests of what always holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.api import hosts as api_hosts
from osc_uniqserial.api.rest import Json, Rest
from osc_uniqserial.model.cloud import (
    UNREADABLE,
    Aggregate,
    FlavorPart,
    Fleet,
    GivenModes,
    Host,
    Hypervisor,
    ImagePart,
)
from osc_uniqserial.policy import HostInput, HostMode, SettingInput
from tests.unit.builders import M_UNIQUE, OPEN, TRAIT_KEYS, TRAIT_UNIQUE


@dataclasses.dataclass(frozen=True)
class Node:
    """A compute host; an aggregate may declare that it gives a unique serial."""

    traits: frozenset[str] = frozenset()
    enabled: bool = True
    type: str = "QEMU"
    declared: bool = False


class FakeRest(Rest):
    """Nova and Placement with these hosts, named h0 and so on."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    def compute_microversion(self, wanted: str) -> str:
        return wanted

    def read(self, kind: Any, *about: Any) -> Any:
        return msgspec.convert(self.get(*about), kind)

    def get(
        self, _service: str, path: str, params: Any = None, _microversion: str | None = None
    ) -> Json:
        query = list(params.items() if isinstance(params, Mapping) else params or ())
        if path == "/os-hypervisors/detail":
            return {"hypervisors": [_hypervisor(*pair) for pair in enumerate(self.nodes)]}
        if path == "/os-aggregates":
            return {"aggregates": [_aggregate(*pair) for pair in enumerate(self.nodes)]}
        known = frozenset().union(*(node.traits for node in self.nodes))
        if path == "/traits":
            asked = dict(query)["name"].removeprefix("in:").split(",")
            return {"traits": sorted(known & set(asked))}
        assert path == "/resource_providers"
        found = [
            {"uuid": f"provider-{number}"}
            for number, node in enumerate(self.nodes)
            if all(_matches(wanted, node.traits, known) for _name, wanted in query)
        ]
        return {"resource_providers": found}


def read_fleet(rest: Rest, given: GivenModes) -> Fleet:
    """Return the hosts of a cloud that can be read completely."""
    fleet, _unlisted = api_hosts.read_hosts(rest, given)
    assert isinstance(fleet, Fleet)
    return fleet


def _matches(wanted: str, has: frozenset[str], known: frozenset[str]) -> bool:
    terms = wanted.removeprefix("in:").split(",")
    assert {term.lstrip("!") for term in terms} <= known, "Placement answers 400"
    found = [(term[1:] not in has) if term[0] == "!" else term in has for term in terms]
    return any(found) if wanted.startswith("in:") else all(found)


def _hypervisor(number: int, node: Node) -> Json:
    return {
        "id": f"provider-{number}",
        "hypervisor_hostname": f"node-{number}",
        "hypervisor_type": node.type,
        "status": "enabled" if node.enabled else "disabled",
        "service": {"host": f"h{number}"},
        "cpu_info": {"arch": "x86_64"},
    }


def _aggregate(number: int, node: Node) -> Json:
    metadata = {policy.FLAVOR_KEY: "true"} if node.declared else {}
    return {"id": number, "name": f"a{number}", "hosts": [f"h{number}"], "metadata": metadata}


#: What a flavor or an image says of the key.
SETTINGS = st.sampled_from(
    [
        UNREADABLE,
        *(SettingInput(policy.parse(raw)) for raw in (None, "true", "false", "banana")),
    ]
)
#: What it says of traits.
NEEDS = st.dictionaries(
    st.sampled_from(policy.TRAITS), st.sampled_from(["required", "forbidden"]), max_size=2
)
#: What hosts report: nothing; a stock one that says its mode; the driver, open to images or not.
TRAITS = st.one_of(
    st.just(frozenset[str]()),
    st.sampled_from(list(policy.MODE_TRAITS)).map(
        lambda mode: frozenset({mode, TRAIT_UNIQUE} if mode == M_UNIQUE else {mode})
    ),
    st.builds(
        lambda mode, more: frozenset({TRAIT_UNIQUE, TRAIT_KEYS, mode, *more}),
        st.sampled_from(list(policy.MODE_TRAITS)),
        st.sampled_from([(), (OPEN,)]),
    ),
)
#: The hosts of a cloud.
NODES = st.lists(
    st.builds(
        Node,
        TRAITS,
        st.sampled_from([True, True, False]),
        st.sampled_from(["QEMU", "QEMU", "KVM", "ironic"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)
#: Modes that the user gives.
MODES = st.dictionaries(
    st.sampled_from(["*", "h0", "h1", "h2", "h3"]), st.sampled_from(HostMode), max_size=3
).map(GivenModes)
RARELY = st.sampled_from([False, False, False, True])


@st.composite
def parts(draw: Any, known: Sequence[str]) -> tuple[FlavorPart, ImagePart]:
    """Return a flavor and an image; what they require exists in Placement."""
    flavor, image = (
        tuple(sorted((k, need) for k, need in draw(NEEDS).items() if k in known or need[0] == "f"))
        for _part in range(2)
    )
    return (
        FlavorPart(draw(SETTINGS), None, flavor, draw(RARELY)),
        ImagePart(draw(SETTINGS), None, image, draw(RARELY)),
    )


NAMES = st.text("abc", min_size=1, max_size=2)


@st.composite
def hosts(draw: Callable[..., Any]) -> Host:
    """Return a host with any traits, of any kind and in any state."""
    kind = draw(st.sampled_from(["QEMU", "QEMU", "ironic", None]))
    architecture = draw(st.sampled_from(["x86_64", "aarch64", None]))
    name = draw(NAMES)
    enabled, up, declared = (draw(st.sampled_from([True, False, None])) for _ in range(3))
    hypervisor = Hypervisor(name, name, name, enabled, up, kind, architecture)
    traits = draw(st.none() | st.frozensets(st.sampled_from(policy.TRAITS)))
    known = HostInput() if traits is None else policy.host_from_traits(traits)
    known = dataclasses.replace(known, smbios=hypervisor.writes_sysinfo(None))
    metadata = {policy.FLAVOR_KEY: "true"} if declared else {}
    aggregate = Aggregate("1", "rack", None, metadata, frozenset({name}))
    return Host(hypervisor, known, traits, (aggregate,))
