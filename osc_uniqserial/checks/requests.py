# SPDX-License-Identifier: Apache-2.0
"""Checks of the settings of flavors, images, volumes and host aggregates. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from osc_uniqserial.checks.check import Check, Part, Problem, run
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.model.cloud import Aggregate, Flavor, Host, Image, Volume
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY, TRAIT_UNIQUE, Setting, Value
from osc_uniqserial.text import some

_REQUESTS = frozenset({Part.FLAVORS, Part.IMAGES})
_AGGREGATES = frozenset({Part.AGGREGATES})
#: The resources that may have keys close to ours.
_WITH_KEYS = _REQUESTS | _AGGREGATES | {Part.VOLUMES}
#: The hosts that may meet a request.
_HOSTS = frozenset({Part.HOSTS, Part.TRAITS})


def _command(found: Flavor | Image | Volume | Aggregate, rest: str) -> str:
    """Return a command on a resource.

    :param rest: the verb, and the options before the ID
    """
    kind = "aggregate" if isinstance(found, Aggregate) else found.kind
    return f"openstack {kind} {rest} {shlex.quote(found.id)}"


def _null(value: Value) -> str:
    """Return the origin of a stored ``null``."""
    if value.raw != "null":
        return ""
    return "; Horizon stores null for a boolean property that is saved untouched"


def _names(hosts: Iterable[Host]) -> str:
    return some(sorted({host.name for host in hosts}))


@Check("invalid-value", Severity.MEDIUM, rests_on=_REQUESTS | _AGGREGATES)
def invalid_value(found: Flavor | Image | Aggregate, _cloud: Cloud) -> Iterator[Problem]:
    """Values that are no boolean."""
    if isinstance(found, Aggregate):
        kind, invalid, effect = "aggregate", found.invalid, "declares nothing"
    else:
        kind = found.kind
        invalid = {found.key: found.value} if found.value.setting is Setting.INVALID else {}
        effect = "counts as not set" + (
            "; from microversion 2.86 on Nova refuses it on a write"
            if isinstance(found, Flavor)
            else ", where Nova's own booleans would read it as false"
        )
    for key, value in invalid.items():
        yield Problem(
            f"{key}={value.raw!r} is no boolean and {effect}{_null(value)}",
            run(
                _command(found, "set --unique-serial"),
                f" (or --no-unique-serial, or {kind} unset --unique-serial)",
            ),
        )


@Check("misplaced-key", Severity.MEDIUM, rests_on=_REQUESTS)
def misplaced_key(request: Flavor | Image, _cloud: Cloud) -> Iterator[Problem]:
    """Keys of another resource, which have no effect."""
    for key in request.misplaced:
        a = "an" if request.kind == "image" else "a"
        text = (
            f"{key}={request.stored[key]!r} has no effect on {a} {request.kind}: the key there is"
            f" {request.key}"
        )
        if isinstance(request, Flavor) and ":" not in key:
            text += (
                "; worse, AggregateInstanceExtraSpecsFilter requires it on a host aggregate, so"
                " that servers may find no host"
            )
        yield Problem(text, run(_command(request, f"unset --property {shlex.quote(key)}")))


@Check("misspelt-key", Severity.MEDIUM, rests_on=_WITH_KEYS)
def misspelt_key(found: Flavor | Image | Volume | Aggregate, _cloud: Cloud) -> Iterator[Problem]:
    """Keys that are close to ours, and have no effect."""
    stored, key_there = (
        (found.metadata, f"{FLAVOR_KEY} or {IMAGE_KEY}")
        if isinstance(found, Aggregate)
        else (found.stored, found.key)
    )
    option = "--image-property" if isinstance(found, Volume) else "--property"
    for key in found.misspelt:
        yield Problem(
            f"{key}={stored[key]!r} is close to {key_there}, and has no effect: Nova reads no"
            " such key",
            run(_command(found, f"unset {option} {shlex.quote(key)}")),
        )


@Check("contradicting-request", Severity.LOW, rests_on=_REQUESTS)
def contradicting_request(request: Flavor | Image, _cloud: Cloud) -> Iterator[Problem]:
    """A request for the host's serial that requires hosts which give a unique one."""
    if request.value.setting is Setting.HOST and request.requires_unique:
        yield Problem(
            f"It asks for the host's own serial, and requires trait {TRAIT_UNIQUE}, which"
            " hosts have that give a unique one",
            run(
                _command(request, "unset --unique-serial-hosts"),
                f" (or {request.kind} set --unique-serial)",
            ),
        )


@Check("key-not-honoured", Severity.MEDIUM, rests_on=_REQUESTS | _HOSTS)
def key_not_honoured(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """A request that no host obeys."""
    setting, able = request.value.setting, cloud.able
    if not able or any(host.input.honours is None for host in able):
        return
    if setting is Setting.UNIQUE and all(host.meets_unique is False for host in able):
        unmet = "a unique serial, and no host gives one"
    elif setting is Setting.HOST and not any(host.input.honours for host in able):
        unmet = "the host's own serial, and no host honours the keys"
    else:
        return
    yield Problem(
        f"The {request.kind} asks for {unmet}: it has no effect",
        Remedy("Install nova-uniqserial on the compute hosts (see the manual, install/nova)"),
    )


@Check("no-valid-host", Severity.HIGH, rests_on=_REQUESTS | {Part.TRAITS})
def no_valid_host(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """Required traits that no host has which is up and enabled."""
    required = sorted(request.required)
    if not required or not cloud.traits_known:
        return
    if any(request.required <= (host.traits or frozenset()) for host in cloud.ready):
        return
    yield Problem(
        f"It requires {', '.join(required)}, and no host that is up and enabled"
        " has it: a server finds no valid host",
        run(_command(request, f"unset --property trait:{required[0]}"), ", or provide such a host"),
    )


@Check("not-steered", Severity.LOW, rests_on=_REQUESTS | _HOSTS)
def not_steered(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """A request for unique that some hosts meet and others do not, without a requirement.

    Other properties that may keep servers from hosts count as a requirement.
    """
    if request.value.setting is not Setting.UNIQUE:
        return
    if request.requires_unique or request.bounds_hosts:
        return
    others = [host for host in cloud.enabled if host.meets_unique is False]
    if others and any(host.meets_unique for host in cloud.enabled):
        yield Problem(
            "It asks for a unique serial, but nothing keeps its servers from"
            f" {_names(others)}, where they do not get one",
            run(_command(request, "set --unique-serial-hosts supported")),
        )


@Check("inherited-key", Severity.LOW, rests_on={Part.IMAGES})
def inherited_key(image: Image, _cloud: Cloud) -> Iterator[Problem]:
    """A snapshot that has the key of the server that it was made of."""
    raw = image.value.raw
    if image.is_snapshot and raw is not None:
        yield Problem(
            f"This snapshot has {IMAGE_KEY}={raw!r} from the server that it was"
            " made of, and hands it on to every server that is built from it",
            run(
                _command(image, "unset --unique-serial"),
                ", if its servers are to follow their own flavor; [DEFAULT]"
                " non_inheritable_image_properties keeps the property out of new snapshots",
            ),
        )


@Check("tenant-image-shows-host", Severity.MEDIUM, rests_on=_HOSTS | {Part.IMAGES})
def tenant_image_shows_host(image: Image, cloud: Cloud) -> Iterator[Problem]:
    """An image of a tenant that shows the identity of hosts in mode unique."""
    if image.value.setting is not Setting.HOST or image.visibility == "public":
        return
    exposed = [host for host in cloud.able if host.exposed_by_images and host.input.mode]
    if not exposed:
        return
    command = _command(image, "unset --unique-serial")
    yield Problem(
        f"{IMAGE_KEY}={image.value.raw!r} of an image that is {image.visibility} shows the"
        f" host's identity to guests on {_names(exposed)}, where they would have their"
        " own UUID (OSSN-0028)",
        Remedy(
            f"Set [unique_serial] image_may_show_host = false on these hosts, or: {command}",
            (command,),
        ),
    )


@Check("aggregate-conflict", Severity.MEDIUM, rests_on=_AGGREGATES)
def aggregate_conflict(aggregate: Aggregate, cloud: Cloud) -> Iterator[Problem]:
    """Declarations that contradict each other, of one aggregate or of several."""
    declares = aggregate.declares
    if len(declares) > 1:
        stored = [f"{key}={text!r}" for key, text in aggregate.values.items()]
        both = "contradict each other" if len(stored) > 1 else "is true and false"
        yield Problem(
            f"{' and '.join(stored)} {both}",
            run(_command(aggregate, "set --unique-serial"), " (or --no-unique-serial)"),
        )
    if len(declares) != 1:
        return
    against = {
        host: other.name
        for other in cloud.fleet.aggregates
        if other.id != aggregate.id and other.declares - declares
        for host in other.hosts & aggregate.hosts
    }
    if against:
        yield Problem(
            f"It declares {'true' if Setting.UNIQUE in declares else 'false'}, and aggregate"
            f" {some(sorted(set(against.values())))} declares the opposite for"
            f" {some(sorted(against))}",
            run(_command(aggregate, "unset --unique-serial"), ", here or there"),
        )


@Check("aggregate-host-mismatch", Severity.MEDIUM, rests_on=_AGGREGATES | _HOSTS)
def aggregate_host_mismatch(aggregate: Aggregate, cloud: Cloud) -> Iterator[Problem]:
    """A declaration that is wrong for a host."""
    if len(aggregate.declares) != 1:
        return
    unique = Setting.UNIQUE in aggregate.declares
    wrong = [
        host
        for host in cloud.fleet.hosts
        if host.name in aggregate.hosts and host.meets_unique is (not unique)
    ]
    if wrong:
        one = len(wrong) == 1
        claim, truth = (
            ("true", f"{'does' if one else 'do'} not give a unique serial")
            if unique
            else ("false", f"{'gives' if one else 'give'} a unique serial on request")
        )
        yield Problem(
            f"It declares {claim}, but {_names(wrong)} {truth}",
            run(
                f"{_command(aggregate, 'remove host')} HOST",
                " for each, or correct the declaration",
            ),
        )
