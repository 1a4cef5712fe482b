# SPDX-License-Identifier: Apache-2.0
"""The command ``python3 -m nova_uniqserial check``."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence

from nova_uniqserial.check import folders, host, loading, process
from nova_uniqserial.check.rows import CheckError, Result, Row, exit_code

#: Checks that others cannot do without.
_REQUIRED = ("nova", "configuration", "driver")
#: What is checked with and without a running nova-compute.
_CHECKS = (
    "nova",
    "driver",
    "validator",
    "image-property",
    "configuration",
    "compute-driver",
    "sysinfo-serial",
    "image-may-show-host",
    "server-may-ask",
    "machine-id",
    "hardware-uuid",
    "host-mode",
    "provider-yaml",
)

_EPILOG = """\
exit codes: 0: all is ok; 3: something failed, or there is a warning; 4: nothing of that, but
something is unknown; 1: the check could not run; 2: wrong arguments
"""


def main(argv: Sequence[str]) -> int:
    """Print one row for each check.

    :returns: the exit code
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.given and args.pid is not None:
        parser.error("--pid cannot be used with --config-file or --config-dir")
    # Nova's own warnings are not ours.
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        rows = _complete(list(_rows(args.given, args.pid)))
    except CheckError as error:
        print(f"{error} Nothing was checked.", file=sys.stderr)
        return 1
    print(_json(rows) if args.format == "json" else _text(rows))
    return exit_code(rows)


def _pair(option: str, path: str) -> tuple[str, str]:
    return option, path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m nova_uniqserial check",
        description=(
            "Check what nova-uniqserial does on this compute host. Changes nothing, and prints no"
            " identity of the host in full. Run it with the Python of nova-compute, where that"
            " runs: in its container, if it has one."
        ),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, what in (("--config-file", "PATH"), ("--config-dir", "DIR")):
        parser.add_argument(
            option,
            metavar=what,
            action="append",
            dest="given",
            type=functools.partial(_pair, option),
            help="configuration as for nova-compute, in the same order; without it, that of the"
            " running nova-compute is checked",
        )
    parser.add_argument("--pid", type=int, help="the nova-compute, if several run here")
    parser.add_argument(
        "-f", "--format", choices=("text", "json"), default="text", help="default: text"
    )
    return parser


def _rows(given: Sequence[tuple[str, str]] | None, pid: int | None) -> Iterator[Row]:
    folder: str | None
    if given:
        running = None
        words, folder = [word for pair in given for word in pair], os.getcwd()
    else:
        running = process.find(pid)
        yield from process.assess(running)
        process.take_environment(running)
        words, folder = list(running.args), running.folder
    loaded = loading.nova_compute()
    yield loaded
    # Modules that import Nova or its libraries.
    if loaded.result is Result.OK:
        yield from _with_nova(running, words, folder)
    else:
        yield from host.assess_identities(
            host.machine_id(), host.capabilities(host.LIBVIRT).hardware
        )


def _with_nova(
    running: process.Process | None, words: Sequence[str], folder: str | None
) -> Iterator[Row]:
    import nova.conf

    from nova_uniqserial import locations
    from nova_uniqserial.check import configuration

    args = locations.config_args(words, folder or "")
    read = configuration.read(nova.conf.CONF, args)
    yield from loading.assess()
    machine = host.machine_id()
    if isinstance(read, Row):
        yield read
        yield from host.assess_identities(machine, host.capabilities(host.LIBVIRT).hardware)
        return
    yield from configuration.assess(read)
    if running is not None:
        files = {path: path for path in read.files}
        files.update((path, "nova-uniqserial") for path in folders.package_files())
        yield process.restart_due(running, files)
    conf, mode = read.conf, read.value("sysinfo-serial")
    reported = host.capabilities(conf.libvirt.connection_uri or host.LIBVIRT)
    yield from host.assess_identities(machine, reported.hardware)
    yield host.assess_mode(mode, conf.libvirt.virt_type, machine, reported)
    ours = read.value("compute-driver") == configuration.DRIVER
    try:
        from nova_uniqserial.check import provider_yaml
    except ImportError:
        # A damaged installation, which the other rows report.
        return
    yield provider_yaml.assess(conf, ours, mode)


def _complete(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, with one for each check that had no input."""
    done = {row.check for row in rows}
    failed = " and ".join(row.check for row in rows if row.check in _REQUIRED and not _good(row))
    missing = [check for check in _CHECKS if check not in done]
    return [
        *rows,
        *(Row(check, Result.UNKNOWN, f"Not checked (see {failed}).") for check in missing),
    ]


def _good(row: Row) -> bool:
    return row.result in (Result.OK, Result.WARNING)


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(
        [
            {
                "check": row.check,
                "result": row.result.value,
                "reason": row.reason,
                "remedy": row.remedy,
            }
            for row in rows
        ],
        indent=2,
    )


def _text(rows: Sequence[Row]) -> str:
    width = max(len(row.check) for row in rows)
    lines = []
    for row in rows:
        head = f"{row.result.value:<7}  {row.check:<{width}}  "
        for text in filter(None, (row.reason, row.remedy)):
            lines += textwrap.wrap(
                text,
                100,
                initial_indent=head,
                subsequent_indent=" " * len(head),
                break_long_words=False,
                break_on_hyphens=False,
            )
            head = " " * len(head)
    return "\n".join(lines)
