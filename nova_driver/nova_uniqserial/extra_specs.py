# SPDX-License-Identifier: Apache-2.0
"""What nova-api loads: the validator of the extra spec, found through its entry point."""

from __future__ import annotations

from typing import Any

from nova.api.validation.extra_specs import base

from nova_uniqserial import image_meta
from nova_uniqserial.policy import FLAVOR_KEY

# All work is done at import: what fails there Nova logs and goes on without; what fails in
# register() would end nova-api (nova/api/validation/extra_specs/validators.py, load_validators).

# Compute API 2.98 then shows the image property that a server was built with.
image_meta.register()

VALIDATORS = [
    base.ExtraSpecValidator(
        name=FLAVOR_KEY,
        description=(
            "Where the guest's BIOS serial number comes from: true makes it the server's own"
            " UUID, false the identity of the compute host, whatever the host's"
            " [libvirt]sysinfo_serial says. Only computes with the driver of nova-uniqserial"
            " obey it. If either the flavor or the image says true, it is the UUID."
        ),
        value={
            "type": bool,
            "description": "Whether the guest's serial number is unique to the server.",
        },
    )
]


def register() -> list[Any]:
    """Return the validators of this distribution (``nova.api.extra_spec_validators``).

    Compute API 2.86 and later then accept booleans for ``hw:unique_serial``, in the spellings of
    oslo's strict truth table, and answer 400 to the rest.

    :returns: a list of ``nova.api.validation.extra_specs.base.ExtraSpecValidator``
    """
    return VALIDATORS
