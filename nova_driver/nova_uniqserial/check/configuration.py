# SPDX-License-Identifier: Apache-2.0
"""The options that decide serial numbers, and the file and line that set each."""

from __future__ import annotations

import dataclasses
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from oslo_config import cfg

from nova_uniqserial import locations, options
from nova_uniqserial.check.rows import WILL_NOT_START, OptionError, Result, Row, listed, safe

DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
_CHECK = "configuration"
_HOW_TO_READ = "Run this check as root or as the user of nova-compute."
_NAMES = {"project": "nova", "prog": "nova-compute"}

#: Where oslo.config looks for files that the arguments do not name: Nova's folders, and others.
_FOLDERS = ("~/.nova", "/etc/nova")
_OTHER_FOLDERS = ("~", "/etc")

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

    @property
    def folders(self) -> list[str]:
        """The folders whose files are read."""
        return _snippet_folders(self.args)

    @property
    def searched(self) -> list[str]:
        """Nova's own folders in which default files are searched."""
        given = "--config-file" in self.args[::2]
        return [] if given else list(map(os.path.expanduser, _FOLDERS))

    @functools.cached_property
    def assignments(self) -> dict[tuple[str, str], list[locations.Assignment]]:
        """The places that set each of :data:`OPTIONS`."""
        return locations.assignments(self.conf, self.args, OPTIONS.values())

    def option(self, section: str, name: str) -> Any:
        """Return the value of an option of Nova.

        :raises OptionError: Nova refuses the value
        """
        try:
            return (self.conf if section == "DEFAULT" else self.conf[section])[name]
        except (cfg.Error, ValueError, RecursionError) as error:
            # RecursionError: the value refers to itself. The text of another error has the value:
            # it may be a password if it refers to another option.
            raw = self._raw(section, name)
            text = "" if raw is None or _refers(raw) else f": {safe(error)}"
            raise OptionError(
                f"[{section}]{name} is not valid ({type(error).__name__}){text}"
            ) from error

    def _raw(self, section: str, name: str) -> str | None:
        """Return the value of an option as it is written; None: it is not known."""
        variable = os.environ.get(f"OS_{section}__{name}".upper())
        if variable is not None:
            return variable
        (found,) = locations.assignments(self.conf, self.args, [(section, name)]).values()
        return found[-1].value if found else None

    def shown(self, section: str, name: str, value: Any) -> str:
        """Return a value of an option for a message: as written, if it refers to another option.

        The other one may be a password.
        """
        raw = self._raw(section, name)
        if raw is not None and _refers(raw):
            return safe(raw)
        return str(value).lower() if isinstance(value, bool) else safe(value)

    def value(self, check: str) -> Any:
        """Return the value of an option of :data:`OPTIONS`; None where it is not valid."""
        try:
            return self.option(*OPTIONS[check])
        except OptionError:
            return None


def _refers(raw: str) -> bool:
    """Whether a written value refers to another option."""
    return "$" in raw


def read(conf: Any, args: Sequence[str]) -> Configuration | Row:
    """Read the files as nova-compute does; return a row where that fails.

    :param args: the arguments that name files, and no others; a path is relative where the
        working directory of nova-compute is not known
    """
    relative = [path for path in args[1::2] if not os.path.isabs(path)]
    if relative:
        return Row(
            _CHECK,
            Result.UNKNOWN,
            f"{listed(relative)} is relative to the working directory of nova-compute,"
            " which this user cannot read.",
            _HOW_TO_READ,
        )
    problems = list(_problems(args))
    if problems:
        failed = [text for result, text in problems if result is Result.FAILED]
        if failed:
            return Row(_CHECK, Result.FAILED, f"{'; '.join(failed)}.", WILL_NOT_START)
        texts = "; ".join(text for _, text in problems)
        return Row(_CHECK, Result.UNKNOWN, f"{texts}.", _HOW_TO_READ)
    try:
        conf(list(args), **_NAMES)
    except cfg.ConfigFileParseError as error:
        # Not the text of the error, which has the line of the file: it may be a password.
        return Row(
            _CHECK,
            Result.FAILED,
            f"{safe(error.config_file)} has a line that is no option, section or comment.",
            WILL_NOT_START,
        )
    except cfg.Error as error:
        return Row(
            _CHECK,
            Result.FAILED,
            f"An option in the files is not valid ({type(error).__name__}).",
            "Correct it: nova-compute does not start with it, and its log names the option.",
        )
    options.register(conf)
    return Configuration(conf, args)


def _snippet_folders(args: Sequence[str]) -> list[str]:
    """Return the folders whose files are read: those of the arguments, else the default ones."""
    given = [path for option, path in zip(args[::2], args[1::2]) if option == "--config-dir"]
    return given or cfg.find_config_dirs(**_NAMES)


def _problems(args: Sequence[str]) -> Iterator[tuple[Result, str]]:
    """Yield what keeps files from being read. oslo.config names the file of few of them."""
    folders = _snippet_folders(args)
    for folder in map(os.path.expanduser, (*_FOLDERS, *_OTHER_FOLDERS)):
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            yield Result.UNKNOWN, f"{safe(folder)} cannot be read by this user"
    for folder in folders:
        try:
            os.listdir(folder)
        except OSError as error:
            yield _unread(folder, error)
    for path in locations.in_order(args, cfg.find_config_files(**_NAMES), folders):
        try:
            mode = os.stat(path).st_mode
            if path != os.devnull and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                # Reading it may never end.
                yield Result.FAILED, f"{safe(path)} is no regular file"
                continue
            # In the encoding of the locale, as oslo.config.
            with open(path) as file:
                for _ in file:
                    pass
        except OSError as error:
            yield _unread(path, error)
        except UnicodeDecodeError as error:
            yield Result.FAILED, f"{safe(path)} has bytes that are no text in {error.encoding}"


def _unread(path: str, error: OSError) -> tuple[Result, str]:
    if isinstance(error, PermissionError):
        return Result.UNKNOWN, f"{safe(path)} cannot be read by this user"
    return Result.FAILED, f"{safe(path)} cannot be read ({safe(error.strerror)})"


def assess(configuration: Configuration) -> Iterator[Row]:
    """Yield the files and one row for each option."""
    files = configuration.files
    if files:
        yield Row(_CHECK, Result.OK, f"In this order: {listed(files)}.")
    else:
        yield Row(
            _CHECK,
            Result.WARNING,
            "No configuration file was found: only defaults count.",
            "Give the files of nova-compute with --config-file, or run this check where it runs.",
        )
    for check in OPTIONS:
        yield _option(configuration, check)


def _option(configuration: Configuration, check: str) -> Row:
    section, option = OPTIONS[check]
    try:
        value = configuration.option(section, option)
    except OptionError as error:
        return Row(check, Result.FAILED, f"{error}.", WILL_NOT_START)
    if value is None:
        # compute_driver has no default; the others cannot be None.
        return Row(
            check,
            Result.FAILED,
            f"[{section}]{option} is not set: nova-compute does not start.",
            f"Set {option} = {DRIVER}.",
        )
    origin = locations.origin(
        configuration.conf, section, option, configuration.assignments[section, option]
    )
    text = configuration.shown(section, option, value)
    found = f"[{section}]{option} is {text}, from {safe(origin.place)}."
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
