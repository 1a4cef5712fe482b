# SPDX-License-Identifier: Apache-2.0
"""Checks of what flavors, images and host aggregates say. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from osc_uniqserial.checks.check import Check, Part, Problem
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.model.cloud import Aggregate, Flavor, Host, Image, Volume
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY, TRAIT_UNIQUE, Setting, Value
from osc_uniqserial.text import some

#: The resources that may have keys close to ours.
_WITH_KEYS = frozenset({Part.FLAVORS, Part.IMAGES, Part.VOLUMES, Part.AGGREGATES})
#: The requests of flavors and images, and the hosts that may meet them.
_REQUESTS = frozenset({Part.FLAVORS, Part.IMAGES, Part.HOSTS, Part.TRAITS})


def _set_or_unset(kind: str, id_: str) -> Remedy:
    command = f"openstack {kind} set --unique-serial {shlex.quote(id_)}"
    return Remedy(f"{command} (or --no-unique-serial, or {kind} unset --unique-serial)", (command,))


def _unset_property(kind: str, id_: str, key: str) -> Remedy:
    option = "--image-property" if kind == "volume" else "--property"
    command = f"openstack {kind} unset {option} {shlex.quote(key)} {shlex.quote(id_)}"
    return Remedy(command, (command,))


def _null(value: Value) -> str:
    """Return where a stored ``null`` comes from."""
    if value.raw != "null":
        return ""
    return "; Horizon stores null for a boolean property that is saved untouched"


def _names(hosts: Iterable[Host]) -> str:
    return some(sorted({host.name for host in hosts}))


@Check("invalid-value", Severity.MEDIUM, rests_on={Part.FLAVORS, Part.IMAGES, Part.AGGREGATES})
def invalid_value(found: Flavor | Image | Aggregate, _cloud: Cloud) -> Iterator[Problem]:
    """Values that are no boolean."""
    if isinstance(found, Aggregate):
        for key, value in found.invalid.items():
            text = f"{key}={value.raw!r} is no boolean and says nothing{_null(value)}"
            yield Problem(text, _set_or_unset("aggregate", found.id))
    elif found.value.setting is Setting.INVALID:
        value = found.value
        rest = (
            "; from microversion 2.86 on Nova refuses it on a write"
            if isinstance(found, Flavor)
            else ", where Nova's own booleans would read it as false"
        )
        text = f"{found.key}={value.raw!r} is no boolean and counts as not set{rest}{_null(value)}"
        yield Problem(text, _set_or_unset(found.kind, found.id))


@Check("misplaced-key", Severity.MEDIUM, rests_on={Part.FLAVORS, Part.IMAGES})
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
                "; worse, AggregateInstanceExtraSpecsFilter wants it on a host aggregate, so that"
                " servers may find no host"
            )
        yield Problem(text, _unset_property(request.kind, request.id, key))


@Check("misspelt-key", Severity.MEDIUM, rests_on=_WITH_KEYS)
def misspelt_key(found: Flavor | Image | Volume | Aggregate, _cloud: Cloud) -> Iterator[Problem]:
    """Keys that are close to ours, and have no effect."""
    kind, stored, key_there = (
        ("aggregate", found.metadata, f"{FLAVOR_KEY} or {IMAGE_KEY}")
        if isinstance(found, Aggregate)
        else (found.kind, found.stored, found.key)
    )
    for key in found.misspelt:
        yield Problem(
            f"{key}={stored[key]!r} is close to {key_there}, and has no effect: Nova reads no"
            " such key",
            _unset_property(kind, found.id, key),
        )


@Check("contradicting-request", Severity.LOW, rests_on={Part.FLAVORS, Part.IMAGES})
def contradicting_request(request: Flavor | Image, _cloud: Cloud) -> Iterator[Problem]:
    """A request for the host's serial that requires hosts which give a unique one."""
    if request.value.setting is Setting.HOST and request.requires_unique:
        kind = request.kind
        command = f"openstack {kind} unset --unique-serial-hosts {shlex.quote(request.id)}"
        yield Problem(
            f"It asks for the host's own serial, and requires trait {TRAIT_UNIQUE}, which"
            " hosts have that give a unique one",
            Remedy(f"{command} (or {kind} set --unique-serial)", (command,)),
        )


@Check("key-not-honoured", Severity.MEDIUM, rests_on=_REQUESTS)
def key_not_honoured(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """A request that no host obeys."""
    setting, able = request.value.setting, cloud.able
    if not able or any(host.input.honours is None for host in able):
        return
    if setting is Setting.UNIQUE and all(host.meets_unique is False for host in able):
        said = "a unique serial, and no host gives one"
    elif setting is Setting.HOST and not any(host.input.honours for host in able):
        said = "the host's own serial, and no host honours the keys"
    else:
        return
    yield Problem(
        f"The {request.kind} asks for {said}: it has no effect",
        Remedy("Install nova-uniqserial on the compute hosts (its guide tells how)"),
    )


@Check("no-valid-host", Severity.HIGH, rests_on={Part.FLAVORS, Part.IMAGES, Part.TRAITS})
def no_valid_host(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """Required traits that no host has which is up and enabled."""
    required = request.required
    if not required or not cloud.traits_known:
        return
    if any(required <= (host.traits or frozenset()) for host in cloud.ready):
        return
    first, *_others = sorted(required)
    name = shlex.quote(request.id)
    command = f"openstack {request.kind} unset --property trait:{first} {name}"
    yield Problem(
        f"It requires {', '.join(sorted(required))}, and no host that is up and enabled"
        " has it: a server finds no valid host",
        Remedy(f"{command}, or provide such a host", (command,)),
    )


@Check("not-steered", Severity.LOW, rests_on=_REQUESTS)
def not_steered(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
    """A request for unique that some hosts meet and others do not, without a requirement.

    What may keep servers from hosts by other means is taken for a requirement.
    """
    if request.value.setting is not Setting.UNIQUE:
        return
    if request.requires_unique or request.bounds_hosts:
        return
    others = [host for host in cloud.enabled if host.meets_unique is False]
    if not others or not any(host.meets_unique for host in cloud.enabled):
        return
    kind, name = request.kind, shlex.quote(request.id)
    command = f"openstack {kind} set --unique-serial-hosts supported {name}"
    yield Problem(
        "It asks for a unique serial, but nothing keeps its servers from"
        f" {_names(others)}, where they do not get one",
        Remedy(command, (command,)),
    )


@Check("inherited-key", Severity.LOW, rests_on={Part.IMAGES})
def inherited_key(image: Image, _cloud: Cloud) -> Iterator[Problem]:
    """A snapshot that has the key of the server that it was made of."""
    raw = image.value.raw
    if image.is_snapshot and raw is not None:
        command = f"openstack image unset --unique-serial {shlex.quote(image.id)}"
        yield Problem(
            f"This snapshot has {IMAGE_KEY}={raw!r} from the server that it was"
            " made of, and hands it on to every server that is built from it",
            Remedy(
                f"{command}, if its servers are to follow their own flavor; [DEFAULT]"
                " non_inheritable_image_properties keeps the property out of new snapshots",
                (command,),
            ),
        )


@Check("tenant-image-shows-host", Severity.MEDIUM, rests_on={Part.IMAGES, Part.HOSTS, Part.TRAITS})
def tenant_image_shows_host(image: Image, cloud: Cloud) -> Iterator[Problem]:
    """An image of a tenant that shows the identity of hosts in mode unique."""
    if image.value.setting is not Setting.HOST or image.visibility == "public":
        return
    exposed = [host for host in cloud.able if host.exposed_by_images and host.input.mode]
    if not exposed:
        return
    command = f"openstack image unset --unique-serial {shlex.quote(image.id)}"
    yield Problem(
        f"{IMAGE_KEY}={image.value.raw!r} of an image that is {image.visibility} shows the"
        f" host's identity to guests on {_names(exposed)}, where they would have their"
        " own UUID (OSSN-0028)",
        Remedy(
            f"Set [unique_serial] image_may_show_host = false on these hosts, or: {command}",
            (command,),
        ),
    )


@Check("aggregate-conflict", Severity.MEDIUM, rests_on={Part.AGGREGATES})
def aggregate_conflict(aggregate: Aggregate, cloud: Cloud) -> Iterator[Problem]:
    """Declarations that contradict each other, of one aggregate or of several."""
    declares, name = aggregate.declares, shlex.quote(aggregate.id)
    if len(declares) > 1:
        values = aggregate.values
        command = f"openstack aggregate set --unique-serial {name}"
        yield Problem(
            f"{FLAVOR_KEY}={values[FLAVOR_KEY].raw!r} and"
            f" {IMAGE_KEY}={values[IMAGE_KEY].raw!r} contradict each other",
            Remedy(f"{command} (or --no-unique-serial)", (command,)),
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
        command = f"openstack aggregate unset --unique-serial {name}"
        yield Problem(
            f"It says {'true' if Setting.UNIQUE in declares else 'false'}, and aggregate"
            f" {some(sorted(set(against.values())))} says otherwise of {some(sorted(against))}",
            Remedy(f"{command}, here or there", (command,)),
        )


@Check(
    "aggregate-host-mismatch", Severity.MEDIUM, rests_on={Part.AGGREGATES, Part.HOSTS, Part.TRAITS}
)
def aggregate_host_mismatch(aggregate: Aggregate, cloud: Cloud) -> Iterator[Problem]:
    """A declaration that is not true of a host."""
    if len(aggregate.declares) != 1:
        return
    unique = Setting.UNIQUE in aggregate.declares
    wrong = [
        host
        for host in cloud.fleet.hosts
        if host.name in aggregate.hosts and host.meets_unique is (not unique)
    ]
    if not wrong:
        return
    claim, truth = (
        ("true", "do not give a unique serial")
        if unique
        else ("false", "give a unique serial to who asks")
    )
    command = f"openstack aggregate remove host {shlex.quote(aggregate.id)} HOST"
    yield Problem(
        f"It says {claim}, but {_names(wrong)} {truth}",
        Remedy(f"{command} for each, or correct what it says", (command,)),
    )
