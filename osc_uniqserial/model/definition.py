# SPDX-License-Identifier: Apache-2.0
"""Flavors with all that is needed to create them again, and requests of single servers. Pure."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from osc_uniqserial import policy
from osc_uniqserial.model.cloud import Flavor
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import Value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FlavorDefinition(Flavor):
    """A flavor with the fields of a request that creates it.

    :ivar ram: in MiB
    :ivar disk: in GiB
    :ivar swap: in MiB
    :ivar ephemeral: in GiB
    :ivar rxtx_factor: None when it is hidden from this user
    :ivar description: None without one
    """

    ram: int
    vcpus: int
    disk: int
    swap: int
    ephemeral: int
    rxtx_factor: float | None
    is_public: bool
    description: str | None


class ServerRequest(NamedTuple):
    """A server with a request of its own in its metadata.

    :ivar text: the stored text
    """

    resource: Resource
    text: str

    @property
    def value(self) -> Value:
        """The value of the key."""
        return policy.parse(self.text)
