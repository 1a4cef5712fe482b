# SPDX-License-Identifier: Apache-2.0
"""The file of ``openstack unique serial plan`` with the settings of today. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from osc_uniqserial.desired.export.format import Format, Report
from osc_uniqserial.desired.export.quoting import comment, yaml_string
from osc_uniqserial.desired.export.settings import CloudSettings, named
from osc_uniqserial.keys import SETTINGS, STEERED, STEERING
from osc_uniqserial.model.cloud import Aggregate, Image
from osc_uniqserial.model.definition import FlavorDefinition
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import Setting

_WORDS = {Setting.UNIQUE: "true", Setting.HOST: "false", Setting.UNSET: "unset"}


def _lines(settings: CloudSettings, report: Report) -> Iterator[str]:
    requests: tuple[tuple[str, tuple[FlavorDefinition, ...] | tuple[Image, ...]], ...] = (
        ("flavors", settings.flavors),
        ("images", settings.images),
    )
    for title, resources in requests:
        entries = [
            _entry(each.resource, {"unique_serial": _WORDS.get(each.value.setting), "hosts": hosts})
            for each in resources
            for hosts in [_hosts(each, report)]
        ]
        yield from _section(title, entries)
    aggregates = [
        _entry(each.resource, {"unique_serial": _declared(each, report)})
        for each in settings.aggregates
    ]
    yield from _section("aggregates", aggregates)
    servers = [
        _entry(each.resource, {"unique_serial": "true"})
        for each in settings.servers
        if each.value.setting is Setting.UNIQUE
    ]
    yield from _section("servers", servers)


def _hosts(each: FlavorDefinition | Image, report: Report) -> str | None:
    """Return the word for what a flavor or image requires of hosts; None: there is none."""
    ways = {way: STEERING[way] for way in STEERED[each.kind]}
    stored = {way: each.stored.get(rule.key) for way, rule in ways.items()}
    used = [way for way, text in stored.items() if text is not None]
    if not used:
        return "any"
    (way, *more) = used
    if not more and stored[way] == ways[way].value and each.value.setting is not Setting.HOST:
        return way
    texts = ", ".join(f"{ways[way].key}={stored[way]!r}" for way in used)
    asked = " beside a false" if each.value.setting is Setting.HOST else ""
    text = f"{texts}{asked} cannot be written as an entry, and is left as it is"
    report(f"{named(each.resource)}: {text}")
    return None


def _declared(each: Aggregate, report: Report) -> str | None:
    """Return the word for what an aggregate declares; None: there is none."""
    texts = SETTINGS["aggregate"]
    for setting, word in _WORDS.items():
        if all(each.metadata.get(key) == texts[key].get(setting) for key in texts):
            return word
    stored = ", ".join(
        f"{key}={each.metadata[key]!r}" if key in each.metadata else f"no {key}" for key in texts
    )
    report(f"{named(each.resource)}: {stored} cannot be written as an entry, and is left as it is")
    return None


def _entry(about: Resource, values: Mapping[str, str | None]) -> list[str]:
    """Return the lines of an entry; none when there is nothing to write about a resource."""
    written = [f"    {key}: {value}" for key, value in values.items() if value is not None]
    if not written:
        return []
    name = f"  # {comment(about.name)}" if about.name else ""
    return [f"  - id: {yaml_string(about.id or '')}{name}", *written]


def _section(title: str, entries: list[list[str]]) -> Iterator[str]:
    lines = [line for entry in entries for line in entry]
    yield from ["", f"{title}:", *lines] if lines else ["", f"{title}: []"]


FORMAT = Format(
    kinds=frozenset({"flavor", "image", "aggregate", "server"}),
    about=("The settings of today, for 'openstack unique serial plan' and 'apply'.",),
    lines=_lines,
)
