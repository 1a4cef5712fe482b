# SPDX-License-Identifier: Apache-2.0
"""The options that decide serial numbers, and the file and line that set each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from oslo_config import cfg, iniparser

from nova_uniqserial import locations, options
from nova_uniqserial.check.rows import Result, Row, safe

DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
_HOW_TO_READ = "Run this check as root or as the user of nova-compute."
_WILL_NOT_START = "Correct it: nova-compute does not start with it."

#: Check -> section and option.
OPTIONS = {
    "compute-driver": ("DEFAULT", "compute_driver"),
    "sysinfo-serial": ("libvirt", "sysinfo_serial"),
    "image-may-show-host": ("unique_serial", "image_may_show_host"),
    "server-may-ask": ("unique_serial", "server_may_ask"),
}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Nova's configuration as nova-compute reads it.

    :ivar conf: Nova's ``oslo_config.cfg.ConfigOpts``
    :ivar args: the arguments that name files
    """

    conf: Any
    args: Sequence[str]

    @property
    def files(self) -> list[str]:
        """The configuration files in the order in which they are read."""
        return locations.files_in_order(self.conf, self.args)

    def value(self, check: str) -> Any:
        """Return the value of an option of :data:`OPTIONS`; None where it is not valid."""
        section, option = OPTIONS[check]
        try:
            return _value(self.conf, section, option)
        except (ValueError, cfg.Error):
            return None


def _value(conf: Any, section: str, option: str) -> Any:
    return (conf if section == "DEFAULT" else conf[section])[option]


def read(conf: Any, args: Sequence[str]) -> Configuration | Row:
    """Read the files as nova-compute does; return a row where that fails.

    :param args: the arguments that name files, and no others; a path is relative where the
        working directory of nova-compute is not known
    """
    relative = [path for path in args[1::2] if not os.path.isabs(path)]
    if relative:
        return Row(
            "configuration",
            Result.UNKNOWN,
            f"{safe(', '.join(relative))} is relative to the working directory of nova-compute,"
            " which this user cannot read.",
            _HOW_TO_READ,
        )
    for folder in _search_folders():
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            return Row(
                "configuration",
                Result.UNKNOWN,
                f"{folder} cannot be searched by this user: its files are unknown.",
                _HOW_TO_READ,
            )
    try:
        conf(list(args), project="nova", prog="nova-compute")
    except cfg.ConfigFilesPermissionDeniedError as error:
        names = safe(", ".join(error.config_files))
        return Row(
            "configuration", Result.UNKNOWN, f"{names} cannot be read by this user.", _HOW_TO_READ
        )
    except (cfg.ConfigFilesNotFoundError, cfg.ConfigDirNotFoundError) as error:
        return Row("configuration", Result.FAILED, safe(error), _WILL_NOT_START)
    except cfg.ConfigFileParseError as error:
        # Not the text of the error, which has the line of the file: it may be a password.
        return Row(
            "configuration",
            Result.FAILED,
            f"{safe(error.config_file)} has a line that is no option, section or comment.",
            _WILL_NOT_START,
        )
    except cfg.Error as error:
        return Row(
            "configuration", Result.FAILED, f"The files are not valid ({type(error).__name__})."
        )
    options.register(conf)
    return Configuration(conf, args)


def _search_folders() -> list[str]:
    """Return where oslo.config looks for files that the arguments do not name."""
    home = os.path.expanduser("~")
    return [os.path.join(home, ".nova"), home, "/etc/nova", "/etc"]


def assess(configuration: Configuration) -> Iterator[Row]:
    """Yield the files and one row for each option."""
    files = configuration.files
    if files:
        yield Row("configuration", Result.OK, f"In this order: {safe(', '.join(files))}.")
    else:
        yield Row(
            "configuration",
            Result.WARNING,
            "No configuration file was found: only defaults count.",
            "Give the files of nova-compute with --config-file, or run this check where it runs.",
        )
    for check in OPTIONS:
        yield _option(configuration, check)


def _option(configuration: Configuration, check: str) -> Row:
    section, option = OPTIONS[check]
    name = f"[{section}]{option}"
    try:
        origin = locations.origin(configuration.conf, configuration.args, section, option)
        value = _value(configuration.conf, section, option)
    except (OSError, iniparser.ParseError) as error:
        return Row(check, Result.UNKNOWN, f"{name}: {type(error).__name__}", _HOW_TO_READ)
    except (ValueError, cfg.Error) as error:
        # The text has the value of this option only, which is no secret.
        text = f"{name} is not valid: {type(error).__name__}: {safe(error)}"
        return Row(check, Result.FAILED, text, _WILL_NOT_START)
    text = str(value).lower() if isinstance(value, bool) else safe(value)
    found = f"{name} is {text}, from {safe(origin.place)}."
    unused = "".join(
        f" It replaces {safe(one.value)} of {safe(one)}." for one in reversed(origin.unused)
    )
    if check == "compute-driver" and value != DRIVER:
        if any(one.value == DRIVER for one in origin.unused):
            return Row(
                check,
                Result.FAILED,
                f"{found}{unused} So the driver of nova-uniqserial is not loaded.",
                f"Set compute_driver = {DRIVER} in the last of these places, or remove it there;"
                " then restart nova-compute.",
            )
        return Row(
            check,
            Result.WARNING,
            f"{found}{unused} This driver ignores hw:unique_serial and hw_unique_serial.",
            f"Set compute_driver = {DRIVER} and restart nova-compute, unless this host is to keep"
            " its driver.",
        )
    return Row(check, Result.OK, found + unused)
