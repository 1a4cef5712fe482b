# SPDX-License-Identifier: Apache-2.0
"""Checks of the metadata definitions in Glance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from osc_uniqserial.checks.check import Check, Part, Problem
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.metadefs import Fault, NamespaceFault
from osc_uniqserial.model.finding import Remedy, Severity

#: Repairs what is missing or differs.
INSTALL = "openstack unique serial metadef install"
#: Shows what differs.
COMPARE = "openstack unique serial metadef check"

_METADEFS = frozenset({Part.METADEFS})
_INSTALL = Remedy(INSTALL, (INSTALL,))


@Check("metadefs-missing", Severity.LOW, rests_on=_METADEFS)
def metadefs_missing(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """A namespace that Glance does not have."""
    if namespace.fault is Fault.MISSING:
        text = "It is not there, or private to another project: Horizon does not offer the keys"
        yield Problem(text, _INSTALL)


@Check("metadefs-private", Severity.LOW, rests_on=_METADEFS)
def metadefs_private(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """A namespace that only one project sees."""
    if namespace.fault is Fault.PRIVATE:
        text = "It is private: only one project and administrators see it in Horizon"
        yield Problem(text, _INSTALL)


@Check("metadefs-outdated", Severity.LOW, rests_on=_METADEFS)
def metadefs_outdated(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """A namespace that differs from ours."""
    if namespace.fault is Fault.OUTDATED:
        yield Problem("It differs from the one of this version", _INSTALL)


@Check("metadefs-conflict", Severity.LOW, rests_on=_METADEFS)
def metadefs_conflict(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """Another namespace that offers a key."""
    if namespace.fault is Fault.CONFLICT:
        text = "It offers a key that ours offer too: Horizon shows it twice"
        yield Problem(text, Remedy(COMPARE, (COMPARE,)))


@Check("metadefs-unreadable", Severity.UNCHECKED, takes_away=_METADEFS)
def metadefs_unreadable(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """A namespace, or the list of all, that could not be read."""
    if namespace.fault is Fault.UNREADABLE:
        yield Problem(f"It could not be read: {namespace.reason}")
