# SPDX-License-Identifier: Apache-2.0
"""Checks of the metadata definitions in Glance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from osc_uniqserial.checks.check import Check, Part, Problem, run
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.metadefs import Fault, NamespaceFault
from osc_uniqserial.model.finding import Remedy, Severity

_METADEFS = frozenset({Part.METADEFS})
_INSTALL = run("openstack unique serial metadef install")
_COMPARE = run("openstack unique serial metadef check")


def _of(fault: Fault, text: str, remedy: Remedy) -> None:
    """Register the check for a kind of fault."""

    def find(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
        if namespace.fault is fault:
            yield Problem(text, remedy)

    Check(fault.value, Severity.LOW, rests_on=_METADEFS)(find)


_of(
    Fault.MISSING,
    "It is missing, or private to another project: Horizon does not offer its keys",
    _INSTALL,
)
_of(
    Fault.PRIVATE,
    "It is private: only one project and administrators see it in Horizon",
    _INSTALL,
)
_of(Fault.OUTDATED, "It differs from the one of this version", _INSTALL)
_of(Fault.CONFLICT, "It offers a key that ours offer too: Horizon shows it twice", _COMPARE)


@Check("metadefs-unreadable", Severity.UNCHECKED, takes_away=_METADEFS)
def metadefs_unreadable(namespace: NamespaceFault, _cloud: Cloud) -> Iterator[Problem]:
    """A namespace, or the list of all, that could not be read."""
    if namespace.fault is Fault.UNREADABLE:
        yield Problem(f"It could not be read: {namespace.reason}")
