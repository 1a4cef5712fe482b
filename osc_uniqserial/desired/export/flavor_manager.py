# SPDX-License-Identifier: Apache-2.0
"""The file of openstack-flavor-manager. Pure.

Read in its source (openstack_flavor_manager/main.py): a flavor is found by its name, among those
that are public. A missing one is created, without swap or an ephemeral disk. Keys with a colon are
extra specs, which are added or replaced; no other key can be written, and none is removed.
"""

from __future__ import annotations

from collections.abc import Iterator

from osc_uniqserial.desired.export.format import Format, Report
from osc_uniqserial.desired.export.quoting import yaml_string
from osc_uniqserial.desired.export.settings import CloudSettings, named
from osc_uniqserial.model.definition import FlavorDefinition


def _lines(settings: CloudSettings, report: Report) -> Iterator[str]:
    yield from ("", "reference: []")
    flavors = []
    for each in settings.flavors:
        if each.is_public:
            flavors.append(each)
        else:
            report(f"{named(each.resource)} is not public: openstack-flavor-manager finds none")
    yield "mandatory:" if flavors else "mandatory: []"
    for each in flavors:
        yield from _flavor(each, report)


def _flavor(each: FlavorDefinition, report: Report) -> Iterator[str]:
    yield f"  - name: {yaml_string(each.name)}"
    yield f"    flavorid: {yaml_string(each.id)}"
    yield from (f"    cpus: {each.vcpus}", f"    ram: {each.ram}", f"    disk: {each.disk}")
    yield "    public: true"
    for key in sorted(each.stored):
        if ":" in key:
            yield f"    {yaml_string(key)}: {yaml_string(each.stored[key])}"
        else:
            report(f"{named(each.resource)}: {key} has no colon: openstack-flavor-manager skips it")


FORMAT = Format(
    kinds=frozenset({"flavor"}),
    about=(
        "For openstack-flavor-manager, with --name local --url file:///PATH.",
        "It adds and replaces extra specs and removes none. It has no other resources.",
    ),
    lines=_lines,
)
