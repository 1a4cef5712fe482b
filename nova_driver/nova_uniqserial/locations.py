# SPDX-License-Identifier: Apache-2.0
"""Find the file and the line that set an option.

oslo.config's own ``get_location`` names the last file that has the *section* of an option, not the
file that sets the option (oslo_config/cfg.py, ``_Namespace._sections_to_file``).
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterable, Mapping, Sequence
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
    """oslo.config's parser, which keeps the assignments of some options with their lines."""

    def __init__(self, filename: str, found: Mapping[tuple[str, str], list[Assignment]]) -> None:
        super().__init__(filename, {})
        self._found = found
        self._line = 0

    def _split_key_value(self, line: str) -> Any:
        # Called at the first line of an assignment, which ``assignment`` is not.
        self._line = self.lineno
        return super()._split_key_value(line)

    def assignment(self, key: str, value: list[str]) -> None:
        super().assignment(key, value)
        listed = self._found.get((_normal(self.section or ""), key))
        if listed is not None:
            listed.append(Assignment(self.filename, self._line, "\n".join(value)))


def _normal(section: str) -> str:
    """Return the name of a section as oslo.config compares it."""
    return section if section == "DEFAULT" else section.lower()


def files_in_order(conf: Any, args: Sequence[str]) -> list[str]:
    """Return the configuration files in the order in which they are read: a later one wins.

    :param conf: an ``oslo_config.cfg.ConfigOpts`` that has read its configuration
    :param args: the arguments that it was read with
    """
    return in_order(args, conf.default_config_files or (), conf.default_config_dirs or ())


def in_order(args: Sequence[str], files: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return the configuration files in the order in which they are read.

    :param args: the arguments of the program
    :param files: the default files
    :param folders: the default folders
    """
    given = list(_given(args))
    found: list[str] = []
    # Defaults come before what the arguments name (ConfigOpts._parse_config_files).
    if not any(option == "--config-file" for option, _ in given):
        found += files
    if not any(option == "--config-dir" for option, _ in given):
        for folder in folders:
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


def assignments(
    conf: Any, args: Sequence[str], options: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Assignment]]:
    """Return the assignments of options in the order of the files: the last one counts.

    :param conf: an ``oslo_config.cfg.ConfigOpts`` that has read its configuration
    :param args: the arguments that it was read with
    :param options: pairs of ``DEFAULT`` or the group of an option, and its name
    :raises OSError, UnicodeDecodeError: a file cannot be read
    :raises oslo_config.iniparser.ParseError: a file has another form
    """
    found: dict[tuple[str, str], list[Assignment]] = {option: [] for option in options}
    for file in files_in_order(conf, args):
        _Lines(file, found).parse()
    return found


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the value of an option comes from.

    :ivar place: a few words for messages
    :ivar unused: the assignments that this one replaces, in the order of the files
    """

    place: str
    unused: tuple[Assignment, ...] = ()


def origin(conf: Any, section: str, option: str, found: Sequence[Assignment]) -> Origin:
    """Return where the value of an option comes from.

    :param section: ``DEFAULT`` or the group of the option
    :param found: its assignments
    """
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
