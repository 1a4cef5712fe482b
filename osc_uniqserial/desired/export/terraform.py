# SPDX-License-Identifier: Apache-2.0
"""Resources of the Terraform provider openstack, each with an import block. Pure.

Read in the provider (openstack/resource_openstack_compute_flavor_v2.go): when any extra spec
differs, all that its state has are deleted, and those of the configuration are written. Hosts of an
aggregate that are not named are removed from it. So both are written in full.

Images are left out: a difference in a format, in the size or in the protection makes the provider
delete an image, and without its source it cannot be created again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from osc_uniqserial.desired.export.format import Format, Report
from osc_uniqserial.desired.export.quoting import hcl_string
from osc_uniqserial.desired.export.settings import CloudSettings
from osc_uniqserial.model.cloud import Aggregate
from osc_uniqserial.model.definition import FlavorDefinition

_NO_LABEL = re.compile(r"[^A-Za-z0-9_-]+")
#: Nova stores the availability zone of an aggregate in its metadata; the provider hides it there.
_ZONE = "availability_zone"

#: The arguments of a resource; a text, number or list as HCL, or a map of texts.
_Arguments = dict[str, str | Mapping[str, str]]


def _lines(settings: CloudSettings, report: Report) -> Iterator[str]:
    labels = _Labels()
    for flavor in settings.flavors:
        yield from _resource(
            "openstack_compute_flavor_v2", labels.new(flavor.name), flavor.id, _flavor(flavor)
        )
    labels = _Labels()
    for each in settings.aggregates:
        yield from _resource(
            "openstack_compute_aggregate_v2", labels.new(each.name), each.id, _aggregate(each)
        )


def _flavor(each: FlavorDefinition) -> _Arguments:
    arguments: _Arguments = {"name": hcl_string(each.name), "flavor_id": hcl_string(each.id)}
    if each.description is not None:
        arguments["description"] = hcl_string(each.description)
    numbers = {"ram": each.ram, "vcpus": each.vcpus, "disk": each.disk, "swap": each.swap}
    arguments |= {key: str(number) for key, number in numbers.items()}
    arguments["ephemeral"] = str(each.ephemeral)
    if each.rxtx_factor is not None:
        arguments["rx_tx_factor"] = str(each.rxtx_factor)
    arguments["is_public"] = str(each.is_public).lower()
    arguments["extra_specs"] = each.stored
    return arguments


def _aggregate(each: Aggregate) -> _Arguments:
    arguments: _Arguments = {"name": hcl_string(each.name)}
    if each.zone is not None:
        arguments["zone"] = hcl_string(each.zone)
    arguments["hosts"] = f"[{', '.join(map(hcl_string, sorted(each.hosts)))}]"
    arguments["metadata"] = {key: text for key, text in each.metadata.items() if key != _ZONE}
    return arguments


def _resource(kind: str, label: str, id_: str, arguments: _Arguments) -> Iterator[str]:
    yield from ("", "import {", f"  to = {kind}.{label}", f"  id = {hcl_string(id_)}", "}")
    yield from ("", f'resource "{kind}" "{label}" {{')
    single = {key: value for key, value in arguments.items() if isinstance(value, str)}
    yield from _aligned("  ", single)
    for key, value in arguments.items():
        if not isinstance(value, str):
            yield from ("", f"  {key} = {{")
            texts = {hcl_string(name): hcl_string(value[name]) for name in sorted(value)}
            yield from _aligned("    ", texts)
            yield "  }"
    yield "}"


def _aligned(indent: str, items: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of arguments, as ``terraform fmt`` aligns them."""
    width = max(map(len, items), default=0)
    return (f"{indent}{key:{width}} = {value}" for key, value in items.items())


class _Labels:
    """Labels of resources of one type, each used once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def new(self, name: str) -> str:
        """Return a label that resembles a name."""
        word = _NO_LABEL.sub("_", name).lstrip("-")
        stem = word if word[:1].isalpha() else f"_{word}"
        label, number = stem, 1
        while label in self._used:
            number += 1
            label = f"{stem}_{number}"
        self._used.add(label)
        return label


FORMAT = Format(
    kinds=frozenset({"flavor", "aggregate"}),
    about=(
        "For Terraform 1.5 or newer, with the provider terraform-provider-openstack/openstack.",
        "The provider removes extra specs, metadata and hosts of these resources that are not"
        " named here.",
        "Images and servers are not exported: add hw_unique_serial to the properties or the"
        " metadata of",
        "resources that you have already.",
    ),
    lines=_lines,
)
