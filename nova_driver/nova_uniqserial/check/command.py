# SPDX-License-Identifier: Apache-2.0
"""The command ``python3 -m nova_uniqserial check``."""

from __future__ import annotations

import argparse
import functools
import io
import json
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from nova_uniqserial.check import folders, host, interpreter, loading, process, restart
from nova_uniqserial.check.rows import (
    WILL_NOT_START,
    CheckError,
    OptionError,
    Result,
    Row,
    exit_code,
)

if TYPE_CHECKING:
    from nova_uniqserial.check.configuration import Configuration

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
    try:
        _print(_json(rows) if args.format == "json" else _text(rows))
    except OSError as error:
        print(f"The result cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    return exit_code(rows)


def _print(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path may have characters that the encoding of the terminal does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except OSError as error:
        # Python writes again what is left when it closes the file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # The reader, such as head, has read enough.
        if not isinstance(error, BrokenPipeError):
            raise


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
    running: process.Process | None = None
    folder: str | None
    if given:
        yield from process.assess_given()
        words = [word for pair in given for word in pair]
        try:
            folder = os.getcwd()
        except OSError as error:
            raise CheckError("The working directory of this check was removed.") from error
    else:
        running = process.find(pid)
        yield process.assess(running)
        yield interpreter.assess(running)
        process.take_environment(running)
        words, folder = list(running.args), running.folder
    loaded = loading.nova_compute()
    yield loaded
    # Modules that import Nova or its libraries.
    if loaded.result is Result.OK:
        yield from _with_nova(running, words, folder)
    else:
        yield from _identities()


def _identities() -> Iterator[Row]:
    """Yield what does not depend on the configuration."""
    hardware = host.capabilities(host.LIBVIRT).hardware
    yield from host.assess_identities(host.machine_id(), hardware)


def _with_nova(
    running: process.Process | None, words: Sequence[str], folder: str | None
) -> Iterator[Row]:
    import nova.conf

    from nova_uniqserial import locations
    from nova_uniqserial.check import configuration

    args = locations.config_args(words, folder or "")
    read = configuration.read(nova.conf.CONF, args)
    yield from loading.assess()
    if isinstance(read, Row):
        yield read
        yield from _identities()
        return
    yield from _guarded("configuration", lambda: configuration.assess(read))
    if running is not None:
        yield from _guarded("restart", lambda: _of_the_process(running, read))
    yield from _of_the_host(read)


def _of_the_process(running: process.Process, read: Configuration) -> Iterator[Row]:
    package = list(folders.package_files())
    files = {path: path for path in (*read.files, *read.folders, *read.searched)}
    files.update((path, "nova-uniqserial") for path in package)
    yield restart.due(running, files)
    yield restart.access(running, [*read.files, *read.folders, *package])


def _of_the_host(read: Configuration) -> Iterator[Row]:
    from nova_uniqserial.check import configuration

    mode = read.value("sysinfo-serial")
    machine = host.machine_id()
    try:
        uri = read.option("libvirt", "connection_uri")
    except OptionError:
        # Reported below.
        uri = None
    reported = host.capabilities(uri)
    yield from host.assess_identities(machine, reported.hardware)

    def host_mode() -> Iterator[Row]:
        read.option("libvirt", "connection_uri")
        yield host.assess_mode(mode, read.option("libvirt", "virt_type"), machine, reported)

    yield from _guarded("host-mode", host_mode)
    ours = read.value("compute-driver") == configuration.DRIVER
    try:
        from nova_uniqserial.check import provider_yaml
    except ImportError:
        # A damaged installation, which the other rows report.
        return
    yield from _guarded("provider-yaml", lambda: [provider_yaml.assess(read.option, ours, mode)])


def _guarded(check: str, rows: Callable[[], Iterable[Row]]) -> list[Row]:
    """Return the rows of a step, or one row that it failed: each step has an answer."""
    try:
        return list(rows())
    except OptionError as error:
        return [Row(check, Result.FAILED, f"{error}.", WILL_NOT_START)]
    except Exception as error:  # Nova, its libraries and the files may have any form
        # Not its text, which may have a line of a file.
        return [
            Row(
                check,
                Result.UNKNOWN,
                f"This check ended with {type(error).__name__}.",
                "Run it again; if that does not help, report it to the project.",
            )
        ]


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
