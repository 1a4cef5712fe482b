# SPDX-License-Identifier: Apache-2.0
"""Find the file and the line that set an option.

oslo.config's own ``get_location`` names the last file that has the *section* of an option, not the
file that sets the option (oslo_config/cfg.py, ``_Namespace._sections_to_file``).
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterable, Sequence
from typing import Any

from oslo_config import cfg


@dataclasses.dataclass(frozen=True)
class Assignment:
    """One place where a file sets an option.

    :ivar line: number of the line, from 1
    :ivar value: the text as it is written
    """

    file: str
    line: int
    value: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class _Lines(cfg.ConfigParser):
    """oslo.config's parser, which keeps the line of the last assignment of each option."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename, {})
        #: Section and option -> line.
        self.lines: dict[tuple[str, str], int] = {}

    def _split_key_value(self, line: str) -> Any:
        # Called at the first line of an assignment, which ``assignment`` is not.
        key, value = super()._split_key_value(line)
        if self.section:
            self.lines[_normal(self.section), key] = self.lineno
        return key, value

    def last(self, section: str, option: str) -> str | None:
        """Return the value that counts in this file."""
        found = None
        for name, options in self.sections.items():
            if _normal(name) == section and option in options:
                found = options[option][-1]
        return found


def _normal(section: str) -> str:
    """Return the name of a section as oslo.config compares it."""
    return section if section == "DEFAULT" else section.lower()


def files_in_order(conf: Any, args: Sequence[str]) -> list[str]:
    """Return the configuration files in the order in which they are read: a later one wins.

    :param conf: an ``oslo_config.cfg.ConfigOpts`` that has read its configuration
    :param args: the arguments that it was read with
    """
    given = list(_given(args))
    found: list[str] = []
    # Defaults come before what the arguments name (ConfigOpts._parse_config_files).
    if not any(option == "--config-file" for option, _ in given):
        found += conf.default_config_files or ()
    if not any(option == "--config-dir" for option, _ in given):
        for folder in conf.default_config_dirs or ():
            found += _inside(folder)
    for option, path in given:
        found += [path] if option == "--config-file" else _inside(path)
    return [os.path.abspath(os.path.expanduser(path)) for path in found]


def _given(args: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield the files and folders of the arguments, with the option that names each."""
    rest = iter(args)
    for arg in rest:
        option, equals, value = arg.partition("=")
        if option in ("--config-file", "--config-dir"):
            yield option, value if equals else next(rest, "")


def config_args(args: Sequence[str], folder: str) -> list[str]:
    """Return the arguments that name configuration files, and no others.

    :param folder: what relative paths are relative to
    """
    return [
        word
        for option, path in _given(args)
        for word in (option, os.path.join(folder, os.path.expanduser(path)))
    ]


def _inside(folder: str) -> list[str]:
    return sorted(glob.glob(os.path.join(os.path.expanduser(folder), "*.conf")))


def assignments(files: Iterable[str], section: str, option: str) -> list[Assignment]:
    """Return the assignments of an option in the order of the files: the last one counts.

    :raises OSError: a file cannot be read
    :raises oslo_config.iniparser.ParseError: a file has another form
    """
    found = []
    for file in files:
        parser = _Lines(file)
        parser.parse()
        value = parser.last(section, option)
        if value is not None:
            found.append(Assignment(file, parser.lines[section, option], value))
    return found


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the value of an option comes from.

    :ivar place: a few words for messages
    :ivar unused: the assignments that this one replaces, in the order of the files
    """

    place: str
    unused: tuple[Assignment, ...] = ()


def origin(conf: Any, args: Sequence[str], section: str, option: str) -> Origin:
    """Return where the value of an option comes from.

    :param section: ``DEFAULT`` or the group of the option
    :raises OSError, oslo_config.iniparser.ParseError: see :func:`assignments`
    """
    found = assignments(files_in_order(conf, args), section, option)
    group = None if section == "DEFAULT" else section
    location = conf.get_location(option, group)
    kind = location.location.name
    if kind == "environment":
        return Origin(f"the environment variable {location.detail}", tuple(found))
    if kind == "user" and found:
        return Origin(str(found[-1]), tuple(found[:-1]))
    if kind in ("opt_default", "set_default"):
        return Origin("the default", tuple(found))
    return Origin("a configuration source that is no file", tuple(found))
