# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have, and the values that were given for them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import output
from osc_uniqserial.policy import HostMode

if TYPE_CHECKING:
    from osc_uniqserial import strict_yaml
    from osc_uniqserial.guests.options import GuestSources
    from osc_uniqserial.model.cloud import GivenModes

_MODES = ", ".join(mode.value for mode in HostMode)
_WORKERS = 4
#: The longest timeout in seconds.
_LONGEST = 86_400


def add_servers(parser: argparse.ArgumentParser) -> None:
    """Add the options for the servers to read: --all-projects, --project, --max-workers."""
    from openstackclient.identity import common

    parser.add_argument(
        "--all-projects", action="store_true", help="Servers of all projects (admin only)"
    )
    parser.add_argument(
        "--project",
        metavar="<project>",
        help="Servers of this project (name or ID) (admin only)",
    )
    common.add_project_domain_option_to_parser(parser)
    parser.add_argument(
        "--max-workers",
        metavar="<number>",
        type=positive,
        default=_WORKERS,
        help=f"Maximum number of concurrent requests to Nova (default: {_WORKERS})",
    )


def project_id(client_manager: Any, parsed_args: argparse.Namespace) -> str | None:
    """Return the ID of the project of --project; None without that option."""
    if not parsed_args.project:
        return None
    from openstackclient.identity import common

    found: str = common.find_project(
        client_manager.identity, parsed_args.project, parsed_args.project_domain
    ).id
    return found


def add_host_modes(parser: argparse.ArgumentParser) -> None:
    """Add --host-mode and --host-modes: host modes that no trait declares."""
    parser.add_argument(
        "--host-mode",
        metavar="<host=mode>",
        dest="host_modes",
        type=_host_mode,
        action="append",
        default=[],
        help="[libvirt]sysinfo_serial of a host whose traits do not declare it:"
        f" {_MODES}; * stands for every other host (repeat option to give several)",
    )
    parser.add_argument(
        "--host-modes",
        metavar="<file>",
        dest="host_modes_file",
        help="YAML file with the same: a mapping of host to mode",
    )


def host_modes(parsed_args: argparse.Namespace) -> GivenModes:
    """Return the given modes; --host-mode overrides the file.

    :raises CommandError: when the file cannot be read or is not a mapping of host to mode
    """
    from osc_uniqserial.model.cloud import GivenModes

    modes = _read_modes(parsed_args.host_modes_file) if parsed_args.host_modes_file else {}
    return GivenModes(modes | dict(parsed_args.host_modes))


def _host_mode(text: str) -> tuple[str, HostMode]:
    host, _equals, mode = text.rpartition("=")
    if not host:
        raise argparse.ArgumentTypeError(f"expected HOST=MODE, got {text!r}")
    try:
        return host, HostMode(mode)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{mode!r} is not a mode of [libvirt]sysinfo_serial; it is one of {_MODES}"
        ) from None


def _read_modes(path: str) -> dict[str, HostMode]:
    from osc_uniqserial import strict_yaml

    try:
        document = strict_yaml.load(strict_yaml.read(path))
        return parse_modes(document)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except strict_yaml.BadYaml as error:
        reason = f"{path}: {error}"
    raise output.error(f"--host-modes: {reason}. {output.NOTHING}")


def parse_modes(document: strict_yaml.Node | None) -> dict[str, HostMode]:
    """Return the mode of each host.

    :raises BadYaml: when the document is no mapping of hosts to modes
    """
    from osc_uniqserial import strict_yaml

    if not isinstance(document, strict_yaml.Mapping):
        raise strict_yaml.BadYaml(
            "it does not map hosts to modes: write lines such as 'HOST: auto'"
        )
    modes = {}
    for host, mode in document.items.values():
        try:
            modes[host.text] = HostMode(document.text(host.text))
        except ValueError:
            found = f"mode {mode}" if document.text(host.text) else "no mode"
            if not isinstance(mode, strict_yaml.Scalar):
                found = f"{mode} for its mode"
            raise strict_yaml.BadYaml(
                f"line {host.line}: host {host} has {found}: write one of {_MODES}"
            ) from None
    return modes


def add_live_sources(parser: argparse.ArgumentParser, title: str) -> None:
    """Add the options that name sources of serial numbers to compare.

    :param title: description of the option group
    """
    group = parser.add_argument_group("serial numbers to compare", title)
    for option, metavar, text in (
        (
            "--libvirt-uri",
            "<uri>",
            "Read-only connection to libvirt, such as qemu+ssh://{host}/system: {host} stands"
            " for each compute host (repeat option to give several; needs libvirt-python)",
        ),
        (
            "--domain-xml",
            "<path>",
            "Output of 'virsh dumpxml': a file, a folder of files, or - for standard input"
            " (repeat option to give several)",
        ),
        (
            "--facts",
            "<file>",
            "JSON with uuid and serial as reported by guests: lines, arrays or output of Ansible,"
            " osquery, PowerShell or GLPI; - for standard input (repeat option to give several)",
        ),
    ):
        group.add_argument(option, metavar=metavar, action="append", default=[], help=text)
    group.add_argument(
        "--timeout",
        metavar="<seconds>",
        type=_seconds,
        help="Timeout of one connection to libvirt, for all its requests (default: 60)",
    )
    group.add_argument(
        "--inventory",
        metavar="<file>",
        help="Inventory in CSV or JSON with a serial number and a UUID or name, as NetBox, GLPI,"
        " ServiceNow and Snipe-IT export it; - for standard input",
    )


def live_sources(parsed_args: argparse.Namespace) -> GuestSources:
    """Return the given sources of serial numbers to compare."""
    from osc_uniqserial.guests import libvirt
    from osc_uniqserial.guests.options import GuestSources

    return GuestSources(
        parsed_args.libvirt_uri,
        parsed_args.domain_xml,
        parsed_args.facts,
        parsed_args.timeout or libvirt.TIMEOUT,
        parsed_args.inventory,
    )


def positive(text: str) -> int:
    """Return a whole number above 0.

    :raises ArgumentTypeError: when the text is no such number
    """
    with contextlib.suppress(ValueError):
        if 0 < int(text) <= sys.maxsize:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a positive number")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= _LONGEST:
            return float(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds above 0 and up to {_LONGEST} (a day)"
    )
