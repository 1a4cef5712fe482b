# SPDX-License-Identifier: Apache-2.0
"""Checks of a cloud, and the engine that runs them. Pure.

A check is registered when its module is imported here.
"""

from osc_uniqserial.checks import (
    guests,
    hosts,
    inventory,
    metadefs,
    requests,
    servers,
    unread,
)
from osc_uniqserial.checks.check import REGISTRY, by_severity
from osc_uniqserial.checks.inventory import InventoryComparison
from osc_uniqserial.checks.live import Verification

__all__ = [
    "ALL",
    "AUDIT",
    "VERIFY",
    "guests",
    "hosts",
    "inventory",
    "metadefs",
    "requests",
    "servers",
    "unread",
]

_COMPARISONS = {Verification, InventoryComparison}

#: All checks by ID, the gravest first.
ALL = by_severity(REGISTRY.values())
#: The checks of verify: guests, an inventory, and servers that could not be read.
VERIFY = by_severity(
    each
    for each in ALL.values()
    if not _COMPARISONS.isdisjoint(each.applies_to) or each is unread.servers_unread
)
#: The checks of audit without a source of serial numbers to compare.
AUDIT = by_severity(each for each in ALL.values() if _COMPARISONS.isdisjoint(each.applies_to))
