# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial export``: the settings of today, as a file of another tool."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable

from osc_uniqserial.commands import options, output

#: The format that has all servers, and not the settings.
_NETBOX = "netbox"


class ExportSettings(output.Command):
    """Print the settings of today as a file of another tool.

    Changes nothing. The file has the flavors, images, host aggregates and servers that carry one of
    the keys, as far as the tool has such resources. What could not be read, and stored values
    without a meaning, are in comments at the top and on standard error. For NetBox, the file has
    all servers with the serial numbers that the policy gives them. Exit code 3: something
    stored has no meaning, or the format cannot express it; 4: none of that, but something could
    not be read.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the format and the options for the servers."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.desired.export import FORMATS

        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--as",
            dest="format",
            choices=[*FORMATS, _NETBOX],
            required=True,
            help="The tool: plan (the file of 'openstack unique serial plan'), terraform, ansible"
            " (openstack.cloud), flavor-manager (openstack-flavor-manager) or netbox (its bulk"
            " import of virtual machines, NetBox 4.1 or newer)",
        )
        parser.add_argument(
            "--cluster",
            metavar="<name>",
            help="Name of the cluster in NetBox that has the servers (needed with --as netbox)",
        )
        options.add_servers(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Read the cloud, print the file and return the exit code."""
        if bool(parsed_args.cluster) is not (parsed_args.format == _NETBOX):
            raise output.WrongUsage(
                "--as netbox needs --cluster with the name of a cluster in NetBox"
                if parsed_args.format == _NETBOX
                else f"--cluster is for --as netbox, not for --as {parsed_args.format}"
            )
        if parsed_args.format == _NETBOX:
            return self._machines(parsed_args)
        return self._settings(parsed_args)

    def _settings(self, parsed_args: argparse.Namespace) -> int:
        from osc_uniqserial import pipelines
        from osc_uniqserial.desired.export import FORMATS
        from osc_uniqserial.desired.export.format import render

        form = FORMATS[parsed_args.format]
        if "server" not in form.kinds and (parsed_args.all_projects or parsed_args.project):
            raise output.WrongUsage(
                f"--all-projects and --project select servers: --as {parsed_args.format} has none"
            )
        project = options.project_id(self.app.client_manager, parsed_args)
        progress = output.Progress()
        try:
            settings = pipelines.export(
                self.app.client_manager.sdk_connection,
                form.kinds,
                scope=pipelines.Scope(project, parsed_args.all_projects or None),
                workers=parsed_args.max_workers,
                progress=progress.update,
            )
        finally:
            progress.end()
        exported = render(form, settings)
        return self._print(exported.lines, exported.odd, settings.unread)

    def _machines(self, parsed_args: argparse.Namespace) -> int:
        from osc_uniqserial import pipelines
        from osc_uniqserial.desired.export.netbox import Machines, is_safe

        if not is_safe(parsed_args.cluster):
            raise output.WrongUsage(
                f"--cluster {parsed_args.cluster!r}: a name with double quotes, control characters"
                " or blanks at an end, or one that a spreadsheet takes for a formula, cannot be"
                " written safely: rename the cluster in NetBox. Nothing was read"
            )
        project = options.project_id(self.app.client_manager, parsed_args)
        progress = output.Progress()
        machines = Machines()
        try:
            run = pipelines.machines(
                self.app.client_manager.sdk_connection,
                scope=pipelines.Scope(project, parsed_args.all_projects or None),
                workers=parsed_args.max_workers,
                progress=progress.update,
            )
            for servers in run:
                machines.add(servers)
        finally:
            progress.end()
        odd: list[str] = []
        lines = list(machines.lines(parsed_args.cluster, odd.append))
        if run.scope:
            output.warn([f"Servers: {run.scope}"])
        return self._print(lines, odd, [*run.unread, *machines.unread])

    def _print(self, lines: Iterable[str], odd: Collection[str], unread: Collection[str]) -> int:
        """Print the file and the notes; return the exit code."""
        for line in lines:
            self.app.stdout.write(f"{line}\n")
        output.warn((*unread, *odd))
        if odd:
            return output.FINDINGS
        return output.UNCHECKED if unread else 0
