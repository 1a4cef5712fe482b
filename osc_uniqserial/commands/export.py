# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial export``: the settings of today, as a file of another tool."""

from __future__ import annotations

import argparse

from osc_uniqserial.commands import options, output


class ExportSettings(output.Command):
    """Print the settings of today as a file of another tool.

    Changes nothing. The file has the flavors, images, host aggregates and servers that carry one of
    the keys, as far as the tool has such resources. What could not be read, and stored values
    without a meaning, are in comments at the top and on standard error. Exit code 3: something
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
            choices=list(FORMATS),
            required=True,
            help="The tool: plan (the file of 'openstack unique serial plan'), terraform, ansible"
            " (openstack.cloud) or flavor-manager (openstack-flavor-manager)",
        )
        options.add_servers(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Read the cloud, print the file and return the exit code."""
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
        for line in exported.lines:
            self.app.stdout.write(f"{line}\n")
        output.warn((*settings.unread, *exported.odd))
        if exported.odd:
            return output.FINDINGS
        return output.UNCHECKED if settings.unread else 0
