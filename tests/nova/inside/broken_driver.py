# SPDX-License-Identifier: Apache-2.0
"""A driver with a defect that Nova's own tests must find."""

from __future__ import annotations

from typing import Any

from nova.virt.uniqserial import UniqueSerialLibvirtDriver


class Broken(UniqueSerialLibvirtDriver):  # type: ignore[misc]  # Nova has no types
    """Forgets the serial number."""

    def _get_guest_config_sysinfo(self, instance: Any) -> Any:
        sysinfo = super()._get_guest_config_sysinfo(instance)
        sysinfo.system_serial = "0"
        return sysinfo
