# SPDX-License-Identifier: Apache-2.0
"""The identity of a host, which guests show in the modes os, auto and hardware."""

from __future__ import annotations

#: What Nova reads in mode os, and in mode auto where it exists (nova/virt/libvirt/driver.py).
MACHINE_ID = "/etc/machine-id"


def masked(identity: str) -> str:
    """Return so much of a host's identity that hosts can be told apart, and no more."""
    return f"{identity[:4]}***"
