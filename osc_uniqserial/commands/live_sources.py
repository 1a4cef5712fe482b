# SPDX-License-Identifier: Apache-2.0
"""The options that name sources of live serial numbers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osc_uniqserial.guests.options import GuestSources


def add_options(parser: argparse.ArgumentParser, title: str) -> None:
    """Add the options to a command.

    :param title: description of the option group
    """
    sources = parser.add_argument_group("live serial numbers", title)
    sources.add_argument(
        "--libvirt-uri",
        metavar="<uri>",
        action="append",
        default=[],
        help="Read-only connection to libvirt, such as qemu+ssh://{host}/system: {host} stands"
        " for each compute host (repeat option to give several; needs libvirt-python)",
    )
    sources.add_argument(
        "--domain-xml",
        metavar="<path>",
        action="append",
        default=[],
        help="Output of 'virsh dumpxml': a file, a folder of files, or - for standard input"
        " (repeat option to give several)",
    )
    sources.add_argument(
        "--facts",
        metavar="<file>",
        action="append",
        default=[],
        help="JSON lines with uuid and serial as reported by guests; - for standard input"
        " (repeat option to give several)",
    )
    sources.add_argument(
        "--timeout",
        metavar="<seconds>",
        type=_seconds,
        help="Timeout of one connection to libvirt, for all its requests (default: 60)",
    )


def given(parsed_args: argparse.Namespace) -> GuestSources:
    """Return the given sources."""
    from osc_uniqserial.guests import libvirt
    from osc_uniqserial.guests.options import GuestSources

    return GuestSources(
        parsed_args.libvirt_uri,
        parsed_args.domain_xml,
        parsed_args.facts,
        parsed_args.timeout or libvirt.TIMEOUT,
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
