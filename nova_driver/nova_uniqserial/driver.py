# SPDX-License-Identifier: Apache-2.0
"""The compute driver: libvirt's, with the serial number that flavor, image and server ask for.

Source of what is overridden: nova/virt/libvirt/driver.py, _get_guest_config_sysinfo, the one
method that sets the serial number; Nova calls it wherever it makes a domain's XML.
"""

from __future__ import annotations

import os
from typing import Any

import nova.conf
from nova import exception
from nova.virt.libvirt import driver
from oslo_log import log as logging

from nova_uniqserial import compatibility, image_meta
from nova_uniqserial.identity import (
    HOW_TO_REPAIR,
    MACHINE_ID,
    container,
    masked,
    why_no_serials,
)
from nova_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    NOTHING_SAID,
    UNSET,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
    Value,
    parse,
    resolve,
)
from nova_uniqserial.traits import TraitsMixin

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

image_meta.register()

#: Where Nova keeps the image properties that an instance was booted or rebuilt with
#: (nova/utils.py, SM_IMAGE_PROP_PREFIX).
_FROZEN_KEY = "image_" + IMAGE_KEY

#: LibvirtDriver's method that reads a serial number of the host.
_READERS = {
    SerialSource.HOST_OS: "_get_host_sysinfo_serial_os",
    SerialSource.HOST_HARDWARE: "_get_host_sysinfo_serial_hardware",
    SerialSource.HOST_AUTO: "_get_host_sysinfo_serial_auto",
}

#: Where the settings are stored, as log lines name it.
_FLAVOR = f"{FLAVOR_KEY} of the flavor"
_IMAGE = f"{IMAGE_KEY} of the image"
_SERVER = f"{IMAGE_KEY} in the metadata of the server"

#: Warnings that are remembered, so that each is logged once.
_WARNINGS_AT_MOST = 1000


class UniqueSerialMixin(TraitsMixin):
    """Gives guests the serial number of their effective policy. Comes before LibvirtDriver."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_nova(type(self))
        super().__init__(*args, **kwargs)
        # The stock method asks this for every guest, and an unreadable host identity would fail
        # those that do not need it. What a guest gets is decided below.
        self._sysinfo_serial_func = lambda: None
        self._host_policy = HostInput(
            mode=self._host_mode,
            honours=True,
            image_may_show_host=self._image_may_show_host,
            server_may_ask=self._server_may_ask,
        )
        #: Instances with a value that was warned of: UUID, where it is stored, the value.
        self._warned: set[tuple[str, str, str]] = set()

    def _why_no_serials(self) -> str | None:
        """Return why guests get no ``<sysinfo>``; None: they get it."""
        host: Any = self._host  # type: ignore[attr-defined]  # LibvirtDriver's
        arch: str = host.get_capabilities().host.cpu.arch
        return why_no_serials(CONF.libvirt.virt_type, arch)

    def init_host(self, host: str) -> None:
        """Start, log the identity that guests show, and warn when it cannot be read."""
        super().init_host(host)
        own = HostMode.AUTO if self._host_mode is HostMode.UNIQUE else self._host_mode
        source = resolve(NOTHING_SAID, NOTHING_SAID, HostInput(own, honours=True)).source
        if self._why_no_serials() or source not in _READERS:
            return
        try:
            serial = self._read_host_serial(source)
        except exception.InternalError as error:
            guests = (
                "ask for the host's serial number (false)"
                if self._host_mode is HostMode.UNIQUE
                else "do not ask for a unique serial number"
            )
            LOG.warning("Guests that %s cannot start on this host: %s", guests, error)
            return
        if self._host_mode in (HostMode.OS, HostMode.AUTO):
            self._log_identity(serial)

    def _log_identity(self, serial: str) -> None:
        """Log which identity of the host its guests show in the modes os and auto."""
        guests = "Guests that do not ask for a unique serial number show"
        # As _get_host_sysinfo_serial_auto decides.
        own = container()
        if os.path.exists(MACHINE_ID) and own is None:
            LOG.info("%s the machine ID of this host (%s).", guests, masked(serial))
        elif os.path.exists(MACHINE_ID):
            LOG.warning(
                "%s the machine ID %s, %s. Mount the host's %s read-only, or choose another"
                " [libvirt]sysinfo_serial.",
                guests,
                masked(serial),
                own,
                MACHINE_ID,
            )
        else:
            LOG.warning(
                "%s the hardware UUID of this host (%s), because %s is missing, as in a container:"
                " OSSN-0028 warns of it. Mount the host's file, or choose another"
                " [libvirt]sysinfo_serial.",
                guests,
                masked(serial),
                MACHINE_ID,
            )

    def _get_guest_config_sysinfo(self, instance: Any) -> Any:
        """Return the stock sysinfo with the serial number of the effective policy."""
        # LibvirtDriver's, which comes after this class.
        sysinfo = super()._get_guest_config_sysinfo(instance)  # type: ignore[misc]  # Nova: no types
        sysinfo.system_serial = self._serial(instance)
        return sysinfo

    def _serial(self, instance: Any) -> str | None:
        flavor, image, server = self._settings(instance)
        policy = resolve(
            SettingInput(flavor), SettingInput(image), self._host_policy, SettingInput(server)
        )
        LOG.debug(
            "Serial number: %s, decided by the %s (flavor: %s, image: %s, host mode: %s,"
            " server: %s).",
            policy.source.value,
            policy.decided_by.value,
            flavor.setting.value,
            image.setting.value,
            self._host_mode.value,
            server.setting.value,
            instance=instance,
        )
        if policy.source in _READERS:
            return self._read_host_serial(policy.source)
        return policy.expected_serial(instance.uuid)

    def _settings(self, instance: Any) -> tuple[Value, Value, Value]:
        """Read the settings of flavor, image and server.

        Nova's API loads all three with the instance. Where metadata were not loaded, reading them
        sends a request (nova/objects/instance.py, obj_load_attr). When that fails, so does the
        operation: a guest without an answer could get a wrong serial number.
        """
        flavor = instance.flavor
        specs = flavor.extra_specs if "extra_specs" in flavor else {}
        flavor_value = parse(specs.get(FLAVOR_KEY))
        image_value = parse(instance.system_metadata.get(_FROZEN_KEY))
        server_value = parse(instance.metadata.get(IMAGE_KEY)) if self._server_may_ask else UNSET
        for where, value in (
            (_FLAVOR, flavor_value),
            (_IMAGE, image_value),
            (_SERVER, server_value),
        ):
            if value.setting is Setting.INVALID:
                self._warn_once(instance, where, value, "is neither true nor false")
        if server_value.setting is Setting.HOST:
            self._warn_once(instance, _SERVER, server_value, "has no meaning there")
        return flavor_value, image_value, server_value

    def _warn_once(self, instance: Any, where: str, value: Value, why: str) -> None:
        warning = (instance.uuid, where, str(value.raw))
        if warning not in self._warned:
            if len(self._warned) >= _WARNINGS_AT_MOST:
                # Tenants choose how many there are: log some again rather than keep them all.
                self._warned.clear()
            self._warned.add(warning)
            LOG.warning(
                "%s is %r, which %s: it counts as not set.",
                where,
                str(value.raw),
                why,
                instance=instance,
            )

    def _read_host_serial(self, source: SerialSource) -> str:
        """Read the host's own serial number.

        :raises InternalError: as the stock driver does, with what to do
        """
        try:
            serial: str = getattr(self, _READERS[source])()
        except (exception.InternalError, OSError, ValueError) as error:
            # ValueError: /etc/machine-id holds something that is no ID.
            raise exception.InternalError(
                f"The serial number of this host ({source.value}) cannot be read: {error}. "
                + HOW_TO_REPAIR
            ) from error
        return serial


class UniqueSerialLibvirtDriver(
    UniqueSerialMixin,
    driver.LibvirtDriver,  # type: ignore[misc]  # Nova has no types: for mypy this is Any
):
    """What ``compute_driver = uniqserial.UniqueSerialLibvirtDriver`` loads."""


def check_nova(driver_class: type) -> None:
    """Check that the running Nova still uses what a driver of this module overrides.

    Not a method: Nova's own tests refuse public methods that its ComputeDriver does not have.

    :raises ImportError: see :func:`nova_uniqserial.compatibility.check`
    """
    classes = driver_class.__mro__
    stock = classes[classes.index(UniqueSerialMixin) + 1 :]
    override = UniqueSerialMixin._get_guest_config_sysinfo
    compatibility.check(stock, override, _READERS.values())
