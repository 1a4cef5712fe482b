# SPDX-License-Identifier: Apache-2.0
"""Traits of this project in provider.yaml, against the options of the host."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_uniqserial.check.rows import Result, Row, first_of, safe
from nova_uniqserial.policy import (
    TRAIT_IMAGE_MAY_SHOW_HOST,
    TRAIT_KEYS,
    TRAIT_SERVER_MAY_ASK,
    TRAIT_UNIQUE,
    TRAITS,
    HostMode,
    mode_trait,
)

_CHECK = "provider-yaml"
_DRIVERS_OWN = {TRAIT_KEYS, TRAIT_IMAGE_MAY_SHOW_HOST, TRAIT_SERVER_MAY_ASK}
_STALE = (
    " Restart nova-compute, and remove them from the resource provider too: Nova keeps a trait"
    " that is removed from the file alone."
)


def assess(option: Callable[[str, str], Any], driver_is_ours: bool, mode: Any) -> Row:
    """Return whether the declared traits are true.

    :param option: returns the value of an option of Nova, by section and name
    :param mode: ``[libvirt]sysinfo_serial``; None: not valid
    :raises OptionError: Nova refuses the value of an option
    """
    folder = option("compute", "provider_config_location")
    if os.path.exists(folder) and not os.access(folder, os.R_OK | os.X_OK):
        return _unread([folder])
    files = glob.glob(os.path.join(folder, "*.yaml"))
    special = [path for path in files if os.path.exists(path) and not os.path.isfile(path)]
    if special:
        # Reading a pipe may never end.
        text = f"{first_of(special)} is no regular file: nova-compute does not start with it."
        return Row(_CHECK, Result.FAILED, text, "Remove it.")
    unread = [path for path in files if os.path.exists(path) and not os.access(path, os.R_OK)]
    if unread:
        return _unread(unread)
    from nova import exception
    from nova.compute import provider_config

    try:
        providers = provider_config.get_provider_configs(folder)
    except (exception.ProviderConfigException, ValueError, RecursionError) as error:
        # Nova expects neither a file that is not UTF-8 nor one that is nested too deep.
        return Row(
            _CHECK,
            Result.FAILED,
            f"nova-compute does not start with the files in {safe(folder)}: {safe(error)}",
            "Correct the file.",
        )
    declared: set[str] = set()
    for provider in providers.values():
        traits = set(provider.get("traits", {}).get("additional", ())) & set(TRAITS)
        applies = _applies(option, provider["identification"]) if traits else False
        if applies is None:
            return Row(
                _CHECK,
                Result.UNKNOWN,
                f"{provider.get('__source_file')} in {safe(folder)} declares"
                f" {_names(traits)} for a resource provider that may be this host's.",
                "Use the UUID $COMPUTE_NODE, which is the host that reads the file.",
            )
        if applies:
            declared |= traits
    return _judge(declared, safe(folder), driver_is_ours, mode)


def _unread(paths: Sequence[str]) -> Row:
    text = f"{first_of(paths)} cannot be read by this user."
    return Row(
        _CHECK, Result.UNKNOWN, text, "Run this check as root or as the user of nova-compute."
    )


def _applies(option: Callable[[str, str], Any], identification: Mapping[str, str]) -> bool | None:
    """Return whether an entry is for this host; None: not known."""
    name, identity = identification.get("name"), identification.get("uuid")
    if name is not None:
        # Nova compares it with what libvirt has as the name of the host: one of these.
        if name == socket.gethostname() or name == socket.getfqdn():
            return True
        alike = (socket.gethostname(), option("DEFAULT", "host"))
        is_alike = name.split(".")[0] in {each.split(".")[0] for each in alike}
        return None if is_alike else False
    if identity == "$COMPUTE_NODE":
        return True
    try:
        # Nova 27 and later keep it here.
        with open(
            os.path.join(option("DEFAULT", "state_path"), "compute_id"), encoding="ascii"
        ) as file:
            return file.read().strip() == str(identity).lower()
    except (OSError, ValueError):
        return None


def _judge(declared: set[str], folder: str, driver_is_ours: bool, mode: Any) -> Row:
    found = f"The files in {folder} declare {_names(declared)}"
    if driver_is_ours:
        if not declared:
            return Row(_CHECK, Result.OK, f"{folder} declares no trait that the driver reports.")
        return Row(
            _CHECK,
            Result.WARNING,
            f"{found}, which the driver reports by itself; what a file declares stays when it is"
            " no longer true.",
            "Remove them from the files and restart nova-compute.",
        )
    wrong = declared & _DRIVERS_OWN
    if wrong:
        return Row(
            _CHECK,
            Result.FAILED,
            f"{found}. {_names(wrong)}: only the driver of nova-uniqserial makes this true, and"
            " this host has another driver.",
            f"Remove {_names(wrong)} from the files.{_STALE}",
        )
    try:
        known = HostMode(mode)
    except ValueError:
        text = f"{found}; the host mode is not known."
        return Row(_CHECK, Result.UNKNOWN, text, "See sysinfo-serial.")
    true = {mode_trait(known)} | ({TRAIT_UNIQUE} if known is HostMode.UNIQUE else set())
    wrong = declared - true
    if wrong:
        return Row(
            _CHECK,
            Result.FAILED,
            f"{found}, and [libvirt]sysinfo_serial is {known.value}: {_names(wrong)} is not true.",
            f"Remove {_names(wrong)} from the files, declare {_names(true)}.{_STALE}",
        )
    if not declared:
        return Row(
            _CHECK,
            Result.WARNING,
            f"{folder} does not declare the mode of this host, {known.value}, so the client reports"
            " it as unknown.",
            f"Declare {_names(true)}, or set compute_driver to the driver of nova-uniqserial.",
        )
    return Row(_CHECK, Result.OK, f"{found}, as [libvirt]sysinfo_serial is {known.value}.")


def _names(traits: set[str]) -> str:
    return ", ".join(sorted(traits)) or "no trait of this project"
