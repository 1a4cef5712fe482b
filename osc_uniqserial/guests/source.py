# SPDX-License-Identifier: Apache-2.0
"""Interface of a source of live serial numbers.

A source yields readings. Parts that it cannot read are values too: a source raises no errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from osc_uniqserial.guests.domain_xml import Domain
from osc_uniqserial.model.guest import Reading, Seen


class Source(Protocol):
    """A source of live serial numbers."""

    def __iter__(self) -> Iterator[Seen]:
        """Yield readings, complete hosts and unread parts."""


def reading_of(domain: Domain, source: str, host: str | None = None) -> Reading:
    """Return the reading of a domain.

    :param source: the file or URI of the reading, for messages
    :param host: name of the host's compute service; None when it is unknown
    """
    return Reading(
        domain.id, domain.serial, source, host, domain.generated, name=domain.name, nova=domain.nova
    )
