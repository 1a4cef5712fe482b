# SPDX-License-Identifier: Apache-2.0
"""Reports to Placement what a compute host does with the keys."""

from __future__ import annotations

import sys
from typing import Any

import nova.conf
from nova import exception
from nova.compute import provider_config
from oslo_log import log as logging

from nova_uniqserial import locations, options
from nova_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_IMAGE_MAY_SHOW_HOST,
    TRAIT_KEYS,
    TRAIT_SERVER_MAY_ASK,
    TRAIT_UNIQUE,
    TRAITS,
    HostMode,
    mode_trait,
)

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

options.register(CONF)


def _host_mode() -> HostMode:
    """Return ``[libvirt]sysinfo_serial``.

    :raises ImportError: a mode of a newer Nova; it keeps nova-compute from starting, with this text
    """
    mode = CONF.libvirt.sysinfo_serial
    try:
        return HostMode(mode)
    except ValueError:
        raise ImportError(
            f"[libvirt]sysinfo_serial is {mode}, which nova-uniqserial does not know: guests could"
            " get a wrong serial number. Choose another mode, or upgrade nova-uniqserial."
        ) from None


def _place(section: str, option: str) -> str:
    """Return where an option was set, for the log."""
    try:
        found = locations.assignments(CONF, sys.argv[1:], [(section, option)])
        return locations.origin(CONF, section, option, found[section, option]).place
    except Exception:  # the files may have changed: no reason to end nova-compute
        return "a place that is not known"


class TraitsMixin:
    """A compute driver that says on its resource provider that it honours the keys.

    Comes before the compute driver among the bases of a class.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._host_mode = _host_mode()
        self._image_may_show_host: bool = CONF.unique_serial.image_may_show_host
        self._server_may_ask: bool = CONF.unique_serial.server_may_ask

    def _why_no_serials(self) -> str | None:
        """Say why the guests of this host get no serial number; None when they get one."""
        return None

    def init_host(self, host: str) -> None:
        """Start, and log what this host will do."""
        super().init_host(host)  # type: ignore[misc]  # the compute driver's
        reason = self._why_no_serials()
        if reason:
            LOG.warning(
                "Guests of this host have no serial number (%s): %s and %s do nothing here, and no"
                " trait is reported.",
                reason,
                FLAVOR_KEY,
                IMAGE_KEY,
            )
        else:
            LOG.info(
                "%s and %s are honoured on this host. Host mode ([libvirt]sysinfo_serial): %s. "
                "[unique_serial]image_may_show_host: %s, server_may_ask: %s. compute_driver is from"
                " %s; sysinfo_serial is from %s.",
                FLAVOR_KEY,
                IMAGE_KEY,
                self._host_mode.value,
                str(self._image_may_show_host).lower(),
                str(self._server_may_ask).lower(),
                _place("DEFAULT", "compute_driver"),
                _place("libvirt", "sysinfo_serial"),
            )
        self._warn_of_declared_traits()

    def _warn_of_declared_traits(self) -> None:
        """Warn of traits of ours in provider.yaml: Nova adds those after the driver, for good."""
        location = CONF.compute.provider_config_location
        try:
            providers = provider_config.get_provider_configs(location)
        except exception.ProviderConfigException:
            # Nova has read the files before and ends by itself when they are bad.
            return
        for provider in providers.values():
            declared = set(provider.get("traits", {}).get("additional", ())) & set(TRAITS)
            if declared:
                LOG.warning(
                    "%s in %s declares %s. The compute driver reports these traits by itself, and"
                    " what the file says stays even when it is no longer true: remove them from"
                    " the file and restart nova-compute.",
                    provider.get("__source_file", "A file"),
                    location,
                    ", ".join(sorted(declared)),
                )

    def update_provider_tree(
        self, provider_tree: Any, nodename: str, allocations: Any | None = None
    ) -> None:
        """Let the compute driver report first, then make the traits true.

        Nova keeps custom traits that nobody removes, so those that no longer hold are removed
        here: after a change of nova.conf the next report is right.

        :param provider_tree: a ``nova.compute.provider_tree.ProviderTree``
        :param nodename: the node's hypervisor hostname
        :param allocations: see ``nova.virt.driver.ComputeDriver.update_provider_tree``
        :raises ReshapeNeeded: the compute driver's, untouched
        """
        super().update_provider_tree(  # type: ignore[misc]  # the compute driver's
            provider_tree, nodename, allocations=allocations
        )
        true = self._true_traits()
        reported = set(provider_tree.data(nodename).traits) & set(TRAITS)
        provider_tree.remove_traits(nodename, *sorted(reported - true))
        provider_tree.add_traits(nodename, *sorted(true - reported))

    def _true_traits(self) -> set[str]:
        if self._why_no_serials():
            return set()
        true = {TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(self._host_mode)}
        if self._image_may_show_host:
            true.add(TRAIT_IMAGE_MAY_SHOW_HOST)
        if self._server_may_ask:
            true.add(TRAIT_SERVER_MAY_ASK)
        return true
