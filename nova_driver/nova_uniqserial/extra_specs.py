# SPDX-License-Identifier: Apache-2.0
"""What nova-api loads: the validator of the extra spec, found through its entry point.

Imports nothing of ours at the top: nova-api ends when a plugin cannot be imported. Nova means to
log that, but its handler fails itself (nova/api/validation/extra_specs/validators.py reads
``module_name`` of an entry point, which entry points do not have any more).
"""

from __future__ import annotations

from typing import Any

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


def register() -> list[Any]:
    """Return the validators of this distribution (``nova.api.extra_spec_validators``).

    Compute API 2.86 and later then accept booleans for ``hw:unique_serial``, in the spellings of
    oslo's strict truth table, and answer 400 to the rest. The image property becomes known to this
    process too, so that 2.98 shows it.

    :returns: a list of ``nova.api.validation.extra_specs.base.ExtraSpecValidator``; empty, with an
        error in the log, when this distribution is damaged or does not fit this Nova
    """
    try:
        return validators()
    except Exception:  # whatever it is: a cloud's API is worth more than one extra spec
        LOG.exception(
            "nova-uniqserial does not work here: compute API 2.86 and later refuse"
            " hw:unique_serial, and 2.98 does not show hw_unique_serial. Install it again."
        )
        return []


def validators() -> list[Any]:
    """Return the validators.

    :raises Exception: this distribution is damaged or does not fit this Nova
    """
    from nova.api.validation.extra_specs import base

    from nova_uniqserial import image_meta
    from nova_uniqserial.policy import FLAVOR_KEY

    image_meta.register()
    return [
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
