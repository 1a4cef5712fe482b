# SPDX-License-Identifier: Apache-2.0
"""What a source of live serial numbers is.

A source yields readings, and what it could not read; it raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from osc_uniqserial.guests.domain_xml import Domain
from osc_uniqserial.model.guest import Reading, Seen


class Source(Protocol):
    """Something that live serial numbers are read from."""

    def __iter__(self) -> Iterator[Seen]:
        """Yield what there is."""


def reading_of(domain: Domain, source: str, host: str | None = None) -> Reading:
    """Return the reading of a domain.

    :param source: where it was read, for people
    :param host: the name of the compute service of its host; None when it is not known
    """
    return Reading(
        domain.id,
        domain.serial,
        source,
        host,
        domain.generated,
        name=domain.name,
        nova=domain.nova,
    )
