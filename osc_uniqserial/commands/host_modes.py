# SPDX-License-Identifier: Apache-2.0
"""The options ``--host-mode`` and ``--host-modes``: host modes that no trait declares."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from osc_lib import exceptions

from osc_uniqserial.policy import HostMode

if TYPE_CHECKING:
    from osc_uniqserial.model.cloud import GivenModes

_MODES = ", ".join(mode.value for mode in HostMode)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    parser.add_argument(
        "--host-mode",
        metavar="<host=mode>",
        dest="host_modes",
        type=_pair,
        action="append",
        default=[],
        help=(
            "[libvirt]sysinfo_serial of a host whose traits do not declare it: "
            f"{_MODES}; * stands for every other host (repeat option to give several)"
        ),
    )
    parser.add_argument(
        "--host-modes",
        metavar="<file>",
        dest="host_modes_file",
        help="YAML file with the same: a mapping of host to mode",
    )


def given(parsed_args: argparse.Namespace) -> GivenModes:
    """Return the given modes; --host-mode overrides the file.

    :raises CommandError: when the file cannot be read or is not a mapping of host to mode
    """
    from osc_uniqserial.model.cloud import GivenModes

    modes = _read(parsed_args.host_modes_file) if parsed_args.host_modes_file else {}
    return GivenModes(modes | dict(parsed_args.host_modes))


def _pair(text: str) -> tuple[str, HostMode]:
    host, found, mode = text.rpartition("=")
    if not found or not host:
        raise argparse.ArgumentTypeError(f"expected HOST=MODE, got {text!r}")
    try:
        return host, HostMode(mode)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{mode!r} is not a mode of [libvirt]sysinfo_serial; it is one of {_MODES}"
        ) from None


def _read(path: str) -> dict[str, HostMode]:
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise exceptions.CommandError(
            f"--host-modes: {path} cannot be read: {error.strerror}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise exceptions.CommandError(f"--host-modes: {path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise exceptions.CommandError(f"--host-modes: {path} must map each host to its mode")
    modes = {}
    for host, mode in content.items():
        try:
            modes[str(host)] = HostMode(mode)
        except ValueError:
            raise exceptions.CommandError(
                f"--host-modes: {path}: host {str(host)!r} has mode {mode!r}; it is one of {_MODES}"
            ) from None
    return modes
