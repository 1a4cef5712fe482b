# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial show``: the effective policy of one server, and why."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output
from osc_uniqserial.commands.output import word

if TYPE_CHECKING:
    from osc_uniqserial.checks.live import LiveSerial
    from osc_uniqserial.effective.explanation import Explanation
    from osc_uniqserial.policy import SettingInput


def _raw(used: SettingInput) -> str | None:
    return used.value.raw if used.value else None


def _evidence(about: Explanation) -> dict[str, str | None]:
    return {
        "flavor": word(about.server.case.flavor.used.evidence),
        "image": word(about.server.case.image.used.evidence),
        "server": word(about.server.case.server.evidence),
        "host_mode": word(about.server.case.host.mode_evidence),
        "host_honours": word(about.server.case.host.honours_evidence),
        "host_meets_unique": word(about.server.case.host.meets_unique_evidence),
    }


#: Key and getter of each column. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[Explanation], Any]] = {
    "id": lambda about: about.server.id,
    "name": lambda about: about.server.name,
    "project_id": lambda about: about.server.project_id,
    "host": lambda about: about.server.host,
    "status": lambda about: about.server.status,
    "requested": lambda about: word(about.policy.requested),
    "flavor_value": lambda about: _raw(about.server.case.flavor.used),
    "image_value": lambda about: _raw(about.server.case.image.used),
    "server_value": lambda about: _raw(about.server.case.server),
    "host_mode": lambda about: word(about.server.case.host.mode),
    "host_honours": lambda about: about.server.case.host.honours,
    "serial_source": lambda about: word(about.policy.source),
    "expected_serial": lambda about: about.policy.expected_serial(about.server.id),
    "decided_by": lambda about: word(about.policy.decided_by),
    "survives_move": lambda about: about.survives_move,
    "pending": lambda about: (
        None if about.pending is None else [dataclasses.asdict(each) for each in about.pending]
    ),
    "why": lambda about: about.why,
    "evidence": _evidence,
}


class ShowUniqueSerial(output.ShowOne):
    """Show where a server's BIOS serial number comes from, and why.

    The answer is for the next time that the guest's XML is generated on its
    present host: stop and start, hard reboot, resize, rebuild or migration.
    Values that this user may not read are shown as unreadable, never guessed. With --live,
    the serial number that the guest has now is shown too.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the server, and the options for facts that no API returns."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server (name or ID)")
        parser.add_argument(
            "--all-projects",
            action="store_true",
            help="Look for the server's name in all projects (admin only)",
        )
        parser.add_argument(
            "--live",
            metavar="<uri>",
            help="Also read the guest's serial number, by a read-only connection to libvirt such as"
            " qemu+ssh://{host}/system: {host} stands for the server's host (needs"
            " libvirt-python)",
        )
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Return one value for each column."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial import pipelines

        explained = pipelines.explain(
            self.app.client_manager.sdk_connection,
            parsed_args.server,
            all_projects=parsed_args.all_projects,
            host_modes=options.host_modes(parsed_args).by_host,
        )
        about = explained.explanation
        output.warn(explained.notes)
        row = {name: getter(about) for name, getter in COLUMNS.items()}
        if parsed_args.live:
            live = _live(parsed_args.live, about)
            row |= {
                "live_serial": live.serial,
                "live_matches": live.matches,
                "live_why": live.why,
            }
        return tuple(row), row.values()


def _live(uri: str, about: Explanation) -> LiveSerial:
    from osc_uniqserial.checks import live
    from osc_uniqserial.guests import libvirt

    host = about.server.host
    uris, odd = libvirt.expand([uri], [host] if host else [])
    if odd:
        raise output.error(
            f"The server's host {host!r} has no name that can stand in a URI;"
            " give the URI without {host}"
        )
    if not uris:
        return live.LiveSerial(None, None, "The server has no host that this user can see.")
    source = libvirt.Libvirt(uris, libvirt.TIMEOUT, only=about.server.id)
    return live.of_one(about.policy, host, source)
