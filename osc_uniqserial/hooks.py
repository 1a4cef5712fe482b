# SPDX-License-Identifier: Apache-2.0
"""Options and checks on stock commands: flavor, image, aggregate, volume, server, server image.

A hook changes the arguments before the stock command runs. A setting is written by the requests
that the command sends anyway, and a wrong one is refused before any of them. Every run of these
commands imports this module, ``--help`` included: it imports only modules that the shell has
loaded already.
"""

from __future__ import annotations

import abc
import argparse
import dataclasses
import functools
import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cliff import hooks
from osc_lib import exceptions

from osc_uniqserial import policy
from osc_uniqserial.keys import (
    LOWER,
    SETTINGS,
    STEERED,
    STEERING,
    TRAIT_SPEC,
    before_metadata,
)
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_KEYS,
    TRAIT_SERVER_MAY_ASK,
    TRAIT_UNIQUE,
    SerialSource,
    Setting,
    parse,
)
from osc_uniqserial.text import safe_text

LOG = logging.getLogger(__name__)

_STEERING_HELP = {
    "supported": f"'supported' requires trait {TRAIT_UNIQUE}",
    "aggregate": (
        "'aggregate' requires a host aggregate with --unique-serial"
        " (needs AggregateInstanceExtraSpecsFilter)"
    ),
}

#: When a change of a server's metadata counts. Nova makes the guest's XML then.
_COUNTS = (
    "%s counts at the next hard reboot (openstack server reboot --hard), stop and start, resize,"
    " cold migration, evacuation, rebuild or unshelve."
)

#: The options that ``server set`` carries out before it writes metadata, and after that.
_AROUND_METADATA = {
    "Changed before that": ("name", "description", "hostname", "pinned_availability_zone"),
    "Not done after that": ("state", "root_password", "password", "no_password", "tags"),
}
#: From 2.86 on, Nova validates extra specs; 2.85 is the newest microversion that does not.
_VALIDATES, _STORES_ANY = (2, 86), "2.85"


@dataclasses.dataclass(frozen=True)
class _Resource:
    """A resource that carries the setting.

    :ivar noun: its name in stock commands
    :ivar keys: each key that is valid on it, with the texts to write
    :ivar hosts: the values of ``--unique-serial-hosts`` on it
    :ivar remedy: the correct way to set it, for error messages
    """

    noun: str
    keys: Mapping[str, Mapping[Setting, str]]
    hosts: tuple[str, ...] = ()
    remedy: str = "use --unique-serial or --no-unique-serial"

    @property
    def a_noun(self) -> str:
        """The noun with its indefinite article."""
        return f"an {self.noun}" if self.noun[0] in "aeiou" else f"a {self.noun}"

    @property
    def steering(self) -> tuple[str, ...]:
        """The keys of the properties that restrict scheduling."""
        return tuple(STEERING[way].key for way in self.hosts)

    def has_ours(self, properties: Iterable[str] | None) -> bool:
        """Whether any of the properties is one that the options set."""
        return not {*self.keys, *self.steering}.isdisjoint(properties or ())


FLAVOR = _Resource("flavor", SETTINGS["flavor"], STEERED["flavor"])
IMAGE = _Resource("image", SETTINGS["image"], STEERED["image"])
SERVER_IMAGE = _Resource(
    "image", IMAGE.keys, IMAGE.hosts, remedy=f"use --property {IMAGE_KEY}=true or {IMAGE_KEY}=false"
)
VOLUME_IMAGE = _Resource(
    "volume's image",
    IMAGE.keys,
    IMAGE.hosts,
    remedy=f"use --image-property {IMAGE_KEY}=true or {IMAGE_KEY}=false",
)
AGGREGATE = _Resource("aggregate", SETTINGS["aggregate"])
SERVER = _Resource("server", SETTINGS["server"], remedy="use --unique-serial")
REBUILT_SERVER = dataclasses.replace(SERVER, remedy=f"use --property {IMAGE_KEY}=true")


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

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the paired options, and the one that restricts scheduling."""
        noun, hosts = self.resource.noun, self.resource.hosts
        if self.resource is AGGREGATE:
            yes = "Declare that servers on its hosts get a serial number of their own if they ask"
            no = "Declare that servers on its hosts cannot have a serial number of their own"
        else:
            yes = f"Servers of this {noun} get a serial number of their own: their UUID"
            no = f"Servers of this {noun} get the serial number that their host gives"
        keys = " and ".join(self.resource.keys)
        pair = parser.add_mutually_exclusive_group()
        for option, setting, text in (
            ("--unique-serial", Setting.UNIQUE, yes),
            ("--no-unique-serial", Setting.HOST, no),
        ):
            pair.add_argument(
                option,
                dest="unique_serial",
                action="store_const",
                const=setting,
                help=f"{text} (sets {keys} to {LOWER[setting]})",
            )
        if hosts:
            parser.add_argument(
                "--unique-serial-hosts",
                metavar=f"<{'|'.join(hosts)}>",
                choices=hosts,
                help=f"Schedule servers of this {noun} only to hosts that give them a serial number"
                f" of their own: {'; '.join(_STEERING_HELP[way] for way in hosts)}",
            )
        return parser

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check the raw properties, and add those that the options set."""
        given, resource = parsed_args.properties, self.resource
        properties = checked(resource, given or {})
        wanted: dict[str, str] = {}
        if parsed_args.unique_serial:
            wanted = {key: text[parsed_args.unique_serial] for key, text in resource.keys.items()}
        if way := getattr(parsed_args, "unique_serial_hosts", None):
            wanted[STEERING[way].key] = STEERING[way].value
        for key, value in wanted.items():
            if properties.get(key, value) != value:
                raise refusal(
                    f"the options ask for {key}={value}, but --property has"
                    f" {key}={properties[key]}: give only one of them"
                )
        properties.update(wanted)
        _refuse_contradiction(resource, properties)
        _warn_of_rewritten(given, properties)
        if wanted or given:
            parsed_args.properties = properties
        self._warn_of_hosts(way)
        return parsed_args

    def _warn_of_hosts(self, way: str | None) -> None:
        """Warn where the scheduler might find no host, or not use the property."""
        if way == "aggregate":
            LOG.warning(
                "--unique-serial-hosts aggregate works only where the scheduler has"
                " AggregateInstanceExtraSpecsFilter enabled, which no API shows."
            )
        if way != "supported":
            return
        # Only this option sends a request, so only this option imports the client.
        from osc_uniqserial.api.rest import Rest, Unreadable

        query = {"name": f"in:{TRAIT_UNIQUE}", "associated": "true"}
        try:
            found = Rest(self._clients.sdk_connection).get("placement", "/traits", query, "1.6")
        except Unreadable as error:
            text = "Whether any host has trait %s was not checked: %s."
            LOG.warning(text, TRAIT_UNIQUE, safe_text(str(error)))
            return
        if not found["traits"]:
            text = "No host has trait %s: until one has it, no server of this %s can be scheduled."
            LOG.warning(text, TRAIT_UNIQUE, self.resource.noun)


class _UnsetHook(_Hook):
    """``--unique-serial`` on unset: a missing key is no error."""

    resource: _Resource

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the options that remove the keys."""
        keys = " and ".join(self.resource.keys)
        parser.add_argument(
            "--unique-serial",
            action="store_true",
            help=f"Remove {keys} from this {self.resource.noun}",
        )
        if self.resource.steering:
            parser.add_argument(
                "--unique-serial-hosts",
                action="store_true",
                help=f"Schedule servers of this {self.resource.noun} to any host again"
                f" (removes {' and '.join(self.resource.steering)})",
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
            named = parsed_args.properties or []
            stored = self.stored(parsed_args)
            extra = [key for key in keys if key not in named and (stored is None or key in stored)]
            parsed_args.properties = [*named, *extra]
        return parsed_args

    def stored(self, parsed_args: argparse.Namespace) -> Mapping[str, str] | None:
        """Return the properties of the resource; None where missing ones do not matter."""
        return None


class _WatchHook(_Hook):
    """Explains a failure of the request that writes or removes the properties.

    cliff calls no hook after a command that raises, and some commands only log the error: it is
    caught where the request is sent.

    :cvar sender: the method of the compute client that sends the request
    :ivar written: the resource of the last request that succeeded; None before
    """

    sender: str
    resource: _Resource
    written: Any = None

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check, and watch the request where it concerns properties of ours."""
        parsed_args = super().before(parsed_args)
        if self.concerns_ours(parsed_args):
            command: Any = self.cmd
            command.take_action = functools.partial(self._take_action, command.take_action)
        return parsed_args

    def concerns_ours(self, parsed_args: argparse.Namespace) -> bool:
        """Whether properties of ours are written or removed."""
        return self.resource.has_ours(parsed_args.properties)

    def send(
        self,
        send: Callable[..., Any],
        parsed_args: argparse.Namespace,
        resource: Any,
        # A property may have the name of a parameter.
        /,
        *properties: Any,
        **named: str,
    ) -> Any:
        """Send the request, and explain its failure."""
        try:
            result = send(resource, *properties, **named)
        except Exception as error:
            raise self.explained(error, parsed_args, resource) from error
        self.written = resource
        return result

    @abc.abstractmethod
    def explained(
        self, error: Exception, parsed_args: argparse.Namespace, resource: Any
    ) -> Exception:
        """Return the error to raise in the place of one of the request."""

    def _take_action(
        self, take_action: Callable[[argparse.Namespace], Any], parsed_args: argparse.Namespace
    ) -> Any:
        compute = self._clients.compute
        send = functools.partial(self.send, getattr(compute, self.sender), parsed_args)
        setattr(compute, self.sender, send)
        try:
            return take_action(parsed_args)
        finally:
            # The client outlives the command in the interactive shell.
            delattr(compute, self.sender)


class CreateAggregate(_WatchHook, _SetHook):
    """Hook of ``aggregate create``: reports a failure between its two requests."""

    resource = AGGREGATE
    sender = "set_aggregate_metadata"

    def explained(
        self, error: Exception, parsed_args: argparse.Namespace, resource: Any
    ) -> Exception:
        """Return the error with the command that finishes the aggregate."""
        properties = parsed_args.properties
        return unfinished("aggregate", parsed_args.name, resource, properties, str(error))


class SetAggregate(_SetHook):
    """Hook of ``aggregate set``."""

    resource = AGGREGATE


class UnsetAggregate(_UnsetHook):
    """Hook of ``aggregate unset``; Nova ignores missing keys."""

    resource = AGGREGATE


class _WriteFlavor(_WatchHook, _SetHook):
    """Hook of the commands that write extra specs, with the reason why Nova refuses ours.

    The stock commands log the error, and go on.

    :ivar shell_options: options of ``openstack`` with which Nova does not refuse it
    """

    resource = FLAVOR
    sender = "create_flavor_extra_specs"
    shell_options = ""

    def explained(
        self, error: Exception, parsed_args: argparse.Namespace, resource: Any
    ) -> Exception:
        """Return the error; where microversion 2.86 is its cause, one that explains this."""
        version = self._clients.compute.default_microversion or ""
        is_refused = getattr(error, "status_code", None) == 400 and FLAVOR_KEY in str(error)
        if not is_refused or not _is_at_least(version, _VALIDATES):
            return error
        self.shell_options = f"--os-compute-api-version {_STORES_ANY} "
        return exceptions.CommandError(
            f"Nova refuses {FLAVOR_KEY} with compute API version {version}: from 2.86 on it accepts"
            " no keys of the hw namespace that it has no validator for. Install nova-uniqserial on"
            f" the controllers and restart nova-api, or use a version below: openstack"
            f" {self.shell_options}flavor set {_property_options(parsed_args.properties)}"
            f" {shlex.quote(str(getattr(resource, 'id', resource)))}"
        )


class CreateFlavor(_WriteFlavor):
    """Hook of ``flavor create``."""

    def after(self, parsed_args: argparse.Namespace, return_code: Any) -> Any:
        """Fail when the flavor was created without its extra specs.

        The stock command logs the failure of its second request and exits 0.
        """
        wanted = parsed_args.properties or {}
        columns, values = return_code
        row = dict(zip(columns, values, strict=True))
        if "properties" not in row or not self.resource.has_ours(wanted):
            return return_code
        column = row["properties"]
        stored = getattr(column, "machine_readable", lambda: column)() or {}
        if any(stored.get(key) != value for key, value in wanted.items()):
            raise unfinished(
                "flavor", parsed_args.name, row.get("id"), wanted, "see above", self.shell_options
            )
        return columns, values


class SetFlavor(_WriteFlavor):
    """Hook of ``flavor set``."""


class UnsetFlavor(_UnsetHook):
    """Hook of ``flavor unset``."""

    resource = FLAVOR

    def stored(self, parsed_args: argparse.Namespace) -> Mapping[str, str]:
        """Return the extra specs: Nova answers 404 to the removal of a missing one."""
        flavor = self._clients.compute.find_flavor(
            parsed_args.flavor, get_extra_specs=True, ignore_missing=True
        )
        # The command reports a missing flavor.
        return (flavor and flavor.extra_specs) or {}


class CreateImage(_SetHook):
    """Hook of ``image create``."""

    resource = IMAGE

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check, and refuse ``--volume``: the command ignores properties then."""
        parsed_args = super().before(parsed_args)
        volume = getattr(parsed_args, "volume", None)
        if volume and self.resource.has_ours(parsed_args.properties):
            raise refusal(
                "an image made with --volume takes its properties from the volume:"
                " create the image without it, then use 'openstack image set'"
            )
        return parsed_args


class SetImage(_SetHook):
    """Hook of ``image set``."""

    resource = IMAGE


class UnsetImage(_UnsetHook):
    """Hook of ``image unset``."""

    resource = IMAGE

    def stored(self, parsed_args: argparse.Namespace) -> Mapping[str, str]:
        """Return the properties: the removal of a missing one is an error of the command."""
        image = self._clients.image.find_image(parsed_args.image, ignore_missing=True)
        return (image and image.properties) or {}


class CreateServer(_SetHook):
    """Hook of ``server create``."""

    resource = SERVER

    def get_parser(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the only option that has a meaning on a server."""
        parser.add_argument(
            "--unique-serial",
            action="store_const",
            const=Setting.UNIQUE,
            help=f"Ask for a serial number of its own: its UUID (sets {IMAGE_KEY} to true)",
        )
        return parser


class SetServer(_WatchHook, CreateServer):
    """Hook of ``server set``: reports when the request counts, and what was not changed."""

    sender = "set_server_metadata"

    def explained(
        self, error: Exception, parsed_args: argparse.Namespace, resource: Any
    ) -> Exception:
        """Return the error with what the command did before the request, and did not do after."""
        text = f"The metadata of server {parsed_args.server!r} were not changed"
        text += _why_not(error, resource)
        for said, options in _AROUND_METADATA.items():
            if given := [name for name in options if getattr(parsed_args, name, None)]:
                text += f" {said}: {', '.join(given)}."
        return exceptions.CommandError(safe_text(text))

    def after(self, parsed_args: argparse.Namespace, return_code: Any) -> Any:
        """Report when the request counts."""
        if self.written:
            LOG.warning(_COUNTS, "The request")
            self._warn_of_host(self.written)
        return return_code

    def _warn_of_host(self, server: Any) -> None:
        """Warn where the host of the server is known not to obey the request."""
        if not server.hypervisor_hostname:
            LOG.warning(
                "This user cannot see whether the server's host obeys it. Where the guest has"
                " another serial number than its UUID after that, the host does not."
            )
            return
        # Only this request needs the client.
        from osc_uniqserial import pipelines
        from osc_uniqserial.api.rest import CloudError, Rest, Unreadable

        connection = self._clients.sdk_connection
        query = {
            "name": server.hypervisor_hostname,
            "required": f"{TRAIT_KEYS},{TRAIT_SERVER_MAY_ASK}",
        }
        try:
            obeying = Rest(connection).get("placement", "/resource_providers", query, "1.18")
            if obeying["resource_providers"]:
                return
        except Unreadable as error:
            # Placement answers 400 where no host has the trait.
            LOG.debug("Not known by one request: %s", safe_text(str(error)))
        try:
            found = pipelines.explain(connection, server.id).explanation
        except CloudError as error:
            LOG.warning("Whether the host obeys it was not checked: %s.", safe_text(str(error)))
            return
        if found.policy.source is not SerialSource.INSTANCE_UUID:
            LOG.warning("%s", safe_text(found.why))


class UnsetServer(_WatchHook, _UnsetHook):
    """Hook of ``server unset``: a missing key is no error."""

    resource = SERVER
    sender = "delete_server_metadata"

    def concerns_ours(self, parsed_args: argparse.Namespace) -> bool:
        """Whether the request may be removed."""
        return parsed_args.all_properties or super().concerns_ours(parsed_args)

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Add the key, unless all properties are removed."""
        parsed_args.unique_serial &= not parsed_args.all_properties
        return super().before(parsed_args)

    def send(
        self,
        send: Callable[..., Any],
        parsed_args: argparse.Namespace,
        resource: Any,
        /,
        *properties: Any,
        **named: str,
    ) -> Any:
        """Remove the keys that the server has.

        The command has read the server, with its metadata.
        """
        (keys,), stored = properties, resource.metadata
        had_ours = self.resource.has_ours(stored)
        if keys and stored is not None and not had_ours:
            keys = [key for key in keys if key not in self.resource.keys]
            if not keys:
                return None
        # The client changes what is stored with the resource.
        asked = stored is None or parse(stored.get(IMAGE_KEY)).setting is Setting.UNIQUE
        result = super().send(send, parsed_args, resource, keys, **named)
        if not asked:
            self.written = None
        return result

    def explained(
        self, error: Exception, parsed_args: argparse.Namespace, resource: Any
    ) -> Exception:
        """Return the error with when the metadata can be removed."""
        keys, of = parsed_args.properties, f"metadata of server {parsed_args.server!r}"
        if len(keys) > 1:
            text = f"Not all of these were removed from the {of} ({', '.join(keys)})"
        else:
            text = (
                f"{keys[0]} was not removed from the {of}" if keys else f"The {of} were not removed"
            )
        return exceptions.CommandError(safe_text(text + _why_not(error, resource)))

    def after(self, parsed_args: argparse.Namespace, return_code: Any) -> Any:
        """Report when the removal counts."""
        if self.written:
            LOG.warning(_COUNTS, "The removal")
        return return_code


def _why_not(error: Exception, server: Any) -> str:
    """Return why a request did not change the metadata of a server, and when it can.

    :param server: as the command read it
    """
    status = getattr(error, "status_code", None)
    reason = " ".join(str(getattr(error, "details", None) or error).split()).rstrip(".")
    text = f": {reason}."
    if server.status == "UNKNOWN":
        return f"{text} The cell of the server is down: repeat the command when it is up again."
    if status is None or status >= 500:
        return f", as far as is known{text} To check: openstack server show {server.id}"
    if status != 409:
        return text
    text += (
        " Nova changes metadata only while the server is not locked, and is ACTIVE, PAUSED,"
        " SUSPENDED or SHUTOFF."
    )
    if first := before_metadata(server.status, server.id):
        text += f" Its status is {server.status}: before that, use {first}."
    return text


class CheckRebuild(_Hook):
    """Hook of ``server rebuild``: the check, without options.

    Its properties replace the metadata of the server.
    """

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check the properties."""
        parsed_args.properties = _checked_without_options(REBUILT_SERVER, parsed_args.properties)
        if parsed_args.properties and IMAGE_KEY not in parsed_args.properties:
            LOG.warning(
                "--property replaces all metadata of the server: a request for a serial number of"
                " its own (%s=true) is removed, unless it is given too.",
                IMAGE_KEY,
            )
        return parsed_args


class CheckServerImage(_Hook):
    """Hook of ``server image create``: the check, without options.

    Its properties become those of the image, though its help describes them as metadata.
    """

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check the properties."""
        parsed_args.properties = _checked_without_options(SERVER_IMAGE, parsed_args.properties)
        return parsed_args


class CheckVolume(_Hook):
    """Hook of ``volume create`` and ``volume set``: the check, without options."""

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Check image properties; a volume's own properties have no effect."""
        for key in getattr(parsed_args, "properties", None) or {}:
            if key in (FLAVOR_KEY, IMAGE_KEY) or _is_misspelt(key):
                raise refusal(
                    f"{key} has no effect as a property of a volume: Nova reads the volume's"
                    f" image properties. Use 'openstack volume set --image-property"
                    f" {IMAGE_KEY}=true <volume>'"
                )
        if given := getattr(parsed_args, "image_properties", None):
            parsed_args.image_properties = _checked_without_options(VOLUME_IMAGE, given)
        return parsed_args


def refusal(reason: str) -> exceptions.CommandError:
    """Return the error of a command that changed nothing."""
    return exceptions.CommandError(f"Refused: {reason}. Nothing was changed.")


def unfinished(
    noun: str,
    name: str,
    resource_id: object,
    properties: Mapping[str, str],
    reason: str,
    shell_options: str = "",
) -> exceptions.CommandError:
    """Return the error of a create command whose second request failed, with the repair.

    :param shell_options: options of ``openstack`` that the repair needs, each with a blank
    """
    return exceptions.CommandError(
        f"The {noun} {name!r} exists now (ID {resource_id}), but not all of its properties"
        f" were set ({safe_text(reason)})."
        f" To finish it: openstack {shell_options}{noun} set {_property_options(properties)}"
        f" {resource_id}"
    )


def _property_options(properties: Mapping[str, str]) -> str:
    pairs = (f"{key}={value}" for key, value in sorted(properties.items()))
    return " ".join(f"--property {shlex.quote(pair)}" for pair in pairs)


def _is_at_least(version: str, least: tuple[int, int]) -> bool:
    """Return whether a microversion is another one or a later one."""
    try:
        return tuple(map(int, version.split("."))) >= least
    except ValueError:
        return False


def _is_misspelt(key: str) -> bool:
    return policy.is_near_miss(key) or policy.is_misspelt(key)


def checked(resource: _Resource, properties: Mapping[str, str]) -> dict[str, str]:
    """Return raw properties with canonical values of our keys.

    :raises CommandError: for a value that is no boolean, or a misplaced or misspelt key
    """
    result, there = dict(properties), resource.a_noun
    right = f"the key there is {next(iter(resource.keys))} ({resource.remedy})"
    for key in properties:
        if _is_misspelt(key):
            raise refusal(f"{key!r} has no effect on {there}: {right}")
    for key in (FLAVOR_KEY, IMAGE_KEY):
        if key not in properties:
            continue
        if key not in resource.keys:
            raise refusal(f"{key}={properties[key]} has no effect on {there}: {right}")
        setting = parse(properties[key]).setting
        if setting is Setting.HOST and setting not in resource.keys[key]:
            raise refusal(
                f"{key}={properties[key]} has no effect on {there}, which can only ask for a serial"
                f" number of its own. To withdraw the request, use 'openstack server unset"
                f" --unique-serial <server>'"
            )
        valid = " or ".join(f"{key}={text}" for text in resource.keys[key].values())
        if setting not in LOWER:
            raise refusal(
                f"{key}={properties[key]!r} is no boolean: write {valid}"
                f" on {there} ({resource.remedy})"
            )
        result[key] = resource.keys[key][setting]
    return result


def _checked_without_options(
    resource: _Resource, given: Mapping[str, str] | None
) -> Mapping[str, str] | None:
    """Return raw properties as they are written; None stays None."""
    if not given:
        return given
    properties = checked(resource, given)
    _refuse_contradiction(resource, properties)
    _warn_of_rewritten(given, properties)
    return properties


def _warn_of_rewritten(given: Mapping[str, str] | None, written: Mapping[str, str]) -> None:
    for key, text in (given or {}).items():
        if written[key] != text:
            LOG.warning("Property %s=%s is written as %s=%s.", key, text, key, written[key])


def _refuse_contradiction(resource: _Resource, properties: Mapping[str, str]) -> None:
    """Refuse settings that contradict each other."""
    settings = {key: parse(properties[key]).setting for key in resource.keys if key in properties}
    if len(set(settings.values())) > 1:
        pairs = " and ".join(f"{key}={properties[key]}" for key in settings)
        raise refusal(f"{pairs} contradict each other")
    steering = [
        f"{key}={properties[key]}"
        for key in resource.steering
        if key in properties and _reserves(key, properties[key])
    ]
    if steering and Setting.HOST in settings.values():
        raise refusal(
            f"{steering[0]} reserves hosts for unique serial numbers, but this"
            f" {resource.noun} would refuse one ({next(iter(settings))}=false)"
        )
    if properties.get(TRAIT_SPEC) == "forbidden" and Setting.UNIQUE in settings.values():
        raise refusal(
            f"{next(iter(settings))}=true and {TRAIT_SPEC}=forbidden contradict each other:"
            " no host that gives a unique serial number would be allowed"
        )


def _reserves(key: str, text: str) -> bool:
    """Return whether a property restricts servers to hosts that give unique serial numbers.

    An aggregate extra spec is one value, or ``<or>`` before each of several
    (nova/scheduler/filters/extra_specs_ops.py).
    """
    if key == TRAIT_SPEC:
        return text == "required"
    return any(parse(word).setting is Setting.UNIQUE for word in text.split("<or>"))
