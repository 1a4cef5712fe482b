# SPDX-License-Identifier: Apache-2.0
"""Options and checks on stock commands: flavor, image, aggregate and volume.

A hook changes the arguments before the stock command runs, so that a setting
travels in the requests which the command makes anyway, and so that a wrong one
is refused before any of them. Every run of these commands imports this module,
``--help`` included: keep it to what the shell has loaded already.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cliff import hooks
from osc_lib import exceptions

from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_UNIQUE,
    Setting,
    is_misspelt,
    is_near_miss,
    parse,
)
from osc_uniqserial.text import safe_text

LOG = logging.getLogger(__name__)

_TRAIT_SPEC = f"trait:{TRAIT_UNIQUE}"
_AGGREGATE_SPEC = f"aggregate_instance_extra_specs:{FLAVOR_KEY}"
#: Matches an aggregate whose hw:unique_serial is true as either key writes it.
_AGGREGATE_SPEC_VALUE = "<or> true <or> True"

_LOWER = {Setting.UNIQUE: "true", Setting.HOST: "false"}
#: What Nova's image isolation filter compares an aggregate with: str(bool)
#: (nova/scheduler/filters/aggregate_image_properties_isolation.py).
_TITLE = {Setting.UNIQUE: "True", Setting.HOST: "False"}


@dataclasses.dataclass(frozen=True)
class _Resource:
    """A resource that carries the setting.

    :ivar noun: its word in stock commands
    :ivar keys: each key that belongs on it, with the text that is written
    :ivar steering: the properties that steer scheduling
    :ivar remedy: the right way to set it, for error messages
    """

    noun: str
    keys: Mapping[str, Mapping[Setting, str]]
    steering: tuple[str, ...] = ()
    remedy: str = "use --unique-serial or --no-unique-serial"


FLAVOR = _Resource("flavor", {FLAVOR_KEY: _LOWER}, (_TRAIT_SPEC, _AGGREGATE_SPEC))
IMAGE = _Resource("image", {IMAGE_KEY: _LOWER}, (_TRAIT_SPEC,))
VOLUME_IMAGE = _Resource(
    "volume's image",
    IMAGE.keys,
    IMAGE.steering,
    remedy=f"use --image-property {IMAGE_KEY}=true or {IMAGE_KEY}=false",
)
AGGREGATE = _Resource("aggregate", {FLAVOR_KEY: _LOWER, IMAGE_KEY: _TITLE})


class _Hook(hooks.CommandHook):
    """A hook that changes nothing."""

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Leave the parser as it is."""
        return parser

    def get_epilog(self) -> str | None:
        """Add no epilog."""
        return None

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Leave the arguments as they are."""
        return parsed_args

    def after(self, parsed_args: argparse.Namespace, return_code: Any) -> Any:
        """Leave the result as it is."""
        return return_code

    @property
    def _clients(self) -> Any:
        app: Any = self.cmd.app
        return app.client_manager


class _SetHook(_Hook):
    """``--unique-serial`` and the check of raw properties, on create and set."""

    resource: _Resource
    hosts: tuple[str, ...] = ()

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the paired options, and the one that steers scheduling."""
        noun = self.resource.noun
        pair = parser.add_mutually_exclusive_group()
        if self.resource is AGGREGATE:
            yes = "Declare that servers on its hosts get a serial number of their own if they ask"
            no = "Declare that servers on its hosts cannot have a serial number of their own"
        else:
            yes = f"Servers of this {noun} get a serial number of their own: their UUID"
            no = f"Servers of this {noun} get the serial number that their host gives"
        keys = " and ".join(self.resource.keys)
        pair.add_argument(
            "--unique-serial",
            dest="unique_serial",
            action="store_const",
            const=Setting.UNIQUE,
            help=f"{yes} (sets {keys} to true)",
        )
        pair.add_argument(
            "--no-unique-serial",
            dest="unique_serial",
            action="store_const",
            const=Setting.HOST,
            help=f"{no} (sets {keys} to false)",
        )
        if self.hosts:
            ways = {
                "supported": f"'supported' requires trait {TRAIT_UNIQUE}",
                "aggregate": (
                    "'aggregate' requires a host aggregate with --unique-serial"
                    " (needs AggregateInstanceExtraSpecsFilter)"
                ),
            }
            parser.add_argument(
                "--unique-serial-hosts",
                metavar=f"<{'|'.join(self.hosts)}>",
                choices=self.hosts,
                help=(
                    f"Schedule servers of this {noun} only to hosts that give them a serial"
                    f" number of their own: {'; '.join(ways[way] for way in self.hosts)}"
                ),
            )
        return parser

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check the raw properties and add what the options ask for."""
        properties = checked(self.resource, parsed_args.properties or {})
        wanted = self._wanted(parsed_args)
        for key, value in wanted.items():
            if properties.get(key, value) != value:
                raise refusal(
                    f"the options ask for {key}={value}, but --property says"
                    f" {key}={properties[key]}: give only one of them"
                )
        properties.update(wanted)
        _refuse_contradiction(self.resource, properties)
        _tell_rewritten(parsed_args.properties, properties)
        if wanted or parsed_args.properties:
            parsed_args.properties = properties
        self._tell_about_hosts(getattr(parsed_args, "unique_serial_hosts", None))
        return parsed_args

    def _wanted(self, parsed_args: argparse.Namespace) -> dict[str, str]:
        wanted = {}
        if parsed_args.unique_serial:
            for key, words in self.resource.keys.items():
                wanted[key] = words[parsed_args.unique_serial]
        way = getattr(parsed_args, "unique_serial_hosts", None)
        if way == "supported":
            wanted[_TRAIT_SPEC] = "required"
        elif way == "aggregate":
            wanted[_AGGREGATE_SPEC] = _AGGREGATE_SPEC_VALUE
        return wanted

    def _tell_about_hosts(self, way: str | None) -> None:
        """Warn where the scheduler might not find a host, or not look for one."""
        if way == "aggregate":
            LOG.warning(
                "--unique-serial-hosts aggregate works only where the scheduler has"
                " AggregateInstanceExtraSpecsFilter enabled, which no API shows."
            )
        if way != "supported":
            return
        # Only this option asks the cloud something, so only it pays the import.
        from osc_uniqserial.api.rest import Rest, Unreadable

        query = {"name": f"in:{TRAIT_UNIQUE}", "associated": "true"}
        try:
            found = Rest(self._clients.sdk_connection).get("placement", "/traits", query, "1.6")
        except Unreadable as error:
            LOG.warning(
                "Whether any host has trait %s was not checked: %s.",
                TRAIT_UNIQUE,
                safe_text(str(error)),
            )
            return
        if not found["traits"]:
            LOG.warning(
                "No host has trait %s: until one has it, no server of this %s can be scheduled.",
                TRAIT_UNIQUE,
                self.resource.noun,
            )


class _UnsetHook(_Hook):
    """``--unique-serial`` on unset: what is not there is no error."""

    resource: _Resource

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the options that name what to remove."""
        keys = " and ".join(self.resource.keys)
        parser.add_argument(
            "--unique-serial",
            dest="unique_serial",
            action="store_true",
            help=f"Remove {keys} from this {self.resource.noun}",
        )
        if self.resource.steering:
            parser.add_argument(
                "--unique-serial-hosts",
                dest="unique_serial_hosts",
                action="store_true",
                help=(
                    f"Schedule servers of this {self.resource.noun} to any host again"
                    f" (removes {' and '.join(self.resource.steering)})"
                ),
            )
        return parser

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Add the keys to remove to those of ``--property``."""
        keys: list[str] = []
        if parsed_args.unique_serial:
            keys += self.resource.keys
        if getattr(parsed_args, "unique_serial_hosts", False):
            keys += self.resource.steering
        if keys:
            named: Iterable[str] = parsed_args.properties or []
            extra = [key for key in keys if key not in named]
            parsed_args.properties = [*named, *self.removable(parsed_args, extra)]
        return parsed_args

    def removable(self, parsed_args: argparse.Namespace, keys: list[str]) -> list[str]:
        """Return those of the keys that the command can be told to remove."""
        return keys


class CreateAggregate(_SetHook):
    """Hook of ``aggregate create``."""

    resource = AGGREGATE

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check, and stand by for a failure between the command's two requests."""
        parsed_args = super().before(parsed_args)
        if not set(self.resource.keys).isdisjoint(parsed_args.properties or {}):
            # The error of the second request reaches no hook: cliff calls none
            # after a command that raises. So it is met where it comes from.
            command: Any = self.cmd
            command.take_action = self._guarded(command.take_action)
        return parsed_args

    def _guarded(
        self, take_action: Callable[[argparse.Namespace], Any]
    ) -> Callable[[argparse.Namespace], Any]:
        def guarded(parsed_args: argparse.Namespace) -> Any:
            compute = self._clients.compute
            compute.set_aggregate_metadata = self._reporting(
                parsed_args.name, compute.set_aggregate_metadata
            )
            try:
                return take_action(parsed_args)
            finally:
                # The client outlives the command in the interactive shell.
                del compute.set_aggregate_metadata

        return guarded

    @staticmethod
    def _reporting(name: str, send: Callable[..., Any]) -> Callable[..., Any]:
        def send_metadata(aggregate: Any, metadata: Mapping[str, str]) -> Any:
            try:
                return send(aggregate, metadata)
            except Exception as error:
                raise unfinished("aggregate", name, aggregate, metadata, str(error)) from error

        return send_metadata


class SetAggregate(_SetHook):
    """Hook of ``aggregate set``."""

    resource = AGGREGATE


class UnsetAggregate(_UnsetHook):
    """Hook of ``aggregate unset``; Nova ignores keys that are not there."""

    resource = AGGREGATE


class CreateFlavor(_SetHook):
    """Hook of ``flavor create``."""

    resource = FLAVOR
    hosts = ("supported", "aggregate")

    def after(self, parsed_args: argparse.Namespace, return_code: Any) -> Any:
        """Fail when the flavor was created without its extra specs.

        The stock command logs the failure of its second request and exits 0.
        """
        wanted = parsed_args.properties or {}
        columns, values = return_code
        row = dict(zip(columns, values, strict=True))
        ours = {*self.resource.keys, *self.resource.steering}
        if "properties" not in row or ours.isdisjoint(wanted):
            return return_code
        column = row["properties"]
        stored = getattr(column, "machine_readable", lambda: column)() or {}
        if any(stored.get(key) != value for key, value in wanted.items()):
            raise unfinished("flavor", parsed_args.name, row.get("id"), wanted, "see above")
        return columns, values


class SetFlavor(_SetHook):
    """Hook of ``flavor set``."""

    resource = FLAVOR
    hosts = ("supported", "aggregate")


class UnsetFlavor(_UnsetHook):
    """Hook of ``flavor unset``."""

    resource = FLAVOR

    def removable(self, parsed_args: argparse.Namespace, keys: list[str]) -> list[str]:
        """Leave out what is not there: Nova answers 404 for it."""
        flavor = self._clients.compute.find_flavor(
            parsed_args.flavor, get_extra_specs=True, ignore_missing=True
        )
        # A flavor that is not there is for the command to report.
        stored = (flavor and flavor.extra_specs) or {}
        return [key for key in keys if key in stored]


class CreateImage(_SetHook):
    """Hook of ``image create``."""

    resource = IMAGE
    hosts = ("supported",)

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check, and refuse ``--volume``: there the command drops properties."""
        parsed_args = super().before(parsed_args)
        ours = {*self.resource.keys, *self.resource.steering}
        if getattr(parsed_args, "volume", None) and ours & set(parsed_args.properties or {}):
            raise refusal(
                "an image made with --volume takes its properties from the volume:"
                " create the image without it, then use 'openstack image set'"
            )
        return parsed_args


class SetImage(_SetHook):
    """Hook of ``image set``."""

    resource = IMAGE
    hosts = ("supported",)


class UnsetImage(_UnsetHook):
    """Hook of ``image unset``."""

    resource = IMAGE

    def removable(self, parsed_args: argparse.Namespace, keys: list[str]) -> list[str]:
        """Leave out what is not there: the command calls it an error."""
        image = self._clients.image.find_image(parsed_args.image, ignore_missing=True)
        stored = (image and image.properties) or {}
        return [key for key in keys if key in stored]


class CheckVolume(_Hook):
    """Hook of ``volume create`` and ``volume set``: the check, without options."""

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check image properties; a volume's own properties do nothing."""
        for key in getattr(parsed_args, "properties", None) or {}:
            if key in (FLAVOR_KEY, IMAGE_KEY) or is_near_miss(key) or is_misspelt(key):
                raise refusal(
                    f"{key} does nothing as a property of a volume: Nova reads the volume's"
                    f" image properties. Use 'openstack volume set --image-property"
                    f" {IMAGE_KEY}=true <volume>'"
                )
        given = getattr(parsed_args, "image_properties", None)
        if given:
            parsed_args.image_properties = checked(VOLUME_IMAGE, given)
            _refuse_contradiction(VOLUME_IMAGE, parsed_args.image_properties)
            _tell_rewritten(given, parsed_args.image_properties)
        return parsed_args


def refusal(reason: str) -> exceptions.CommandError:
    """Return the error of a command that did nothing."""
    return exceptions.CommandError(f"Refused: {reason}. Nothing was changed.")


def unfinished(
    noun: str, name: str, resource_id: object, properties: Mapping[str, str], reason: str
) -> exceptions.CommandError:
    """Return the error of a create whose second request failed, with the way out."""
    options = " ".join(
        f"--property {shlex.quote(f'{key}={value}')}" for key, value in sorted(properties.items())
    )
    return exceptions.CommandError(
        f"The {noun} {name!r} exists now (ID {resource_id}), but not all of its properties"
        f" were set ({safe_text(reason)})."
        f" To finish it: openstack {noun} set {options} {resource_id}"
    )


def checked(resource: _Resource, properties: Mapping[str, str]) -> dict[str, str]:
    """Return raw properties with our keys in the form that is written.

    :raises CommandError: for a value that is no boolean, or a misplaced or misspelt key
    """
    result = dict(properties)
    right = next(iter(resource.keys))
    for key in properties:
        if is_near_miss(key) or is_misspelt(key):
            raise refusal(
                f"{key!r} has no effect on {_a(resource.noun)}: the key there is {right}"
                f" ({resource.remedy})"
            )
    for key in (FLAVOR_KEY, IMAGE_KEY):
        if key not in properties:
            continue
        if key not in resource.keys:
            raise refusal(
                f"{key}={properties[key]} has no effect on {_a(resource.noun)}:"
                f" the key there is {right} ({resource.remedy})"
            )
        setting = parse(properties[key]).setting
        if setting not in _LOWER:
            raise refusal(
                f"{key}={properties[key]!r} is no boolean: write {key}=true or {key}=false"
                f" on {_a(resource.noun)} ({resource.remedy})"
            )
        result[key] = resource.keys[key][setting]
    return result


def _tell_rewritten(given: Mapping[str, str] | None, written: Mapping[str, str]) -> None:
    for key, text in (given or {}).items():
        if written[key] != text:
            LOG.warning("Property %s=%s is written as %s=%s.", key, text, key, written[key])


def _refuse_contradiction(resource: _Resource, properties: Mapping[str, str]) -> None:
    """Refuse settings that cannot be meant together."""
    said = {key: parse(properties[key]).setting for key in resource.keys if key in properties}
    if len(set(said.values())) > 1:
        pairs = " and ".join(f"{key}={properties[key]}" for key in said)
        raise refusal(f"{pairs} contradict each other")
    steering = [
        f"{key}={properties[key]}"
        for key in resource.steering
        if key in properties and _reserves(key, properties[key])
    ]
    if steering and Setting.HOST in said.values():
        raise refusal(
            f"{steering[0]} reserves hosts for unique serial numbers, but this"
            f" {resource.noun} would refuse one ({next(iter(said))}=false)"
        )
    if properties.get(_TRAIT_SPEC) == "forbidden" and Setting.UNIQUE in said.values():
        raise refusal(
            f"{next(iter(said))}=true and {_TRAIT_SPEC}=forbidden contradict each other:"
            " no host that gives a unique serial number would be allowed"
        )


def _reserves(key: str, text: str) -> bool:
    """Tell whether a steering property keeps servers on hosts that give unique serials.

    An aggregate extra spec is one value, or ``<or>`` before each of several
    (nova/scheduler/filters/extra_specs_ops.py).
    """
    if key == _TRAIT_SPEC:
        return text == "required"
    return any(parse(word).setting is Setting.UNIQUE for word in text.split("<or>"))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
