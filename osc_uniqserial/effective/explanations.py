# SPDX-License-Identifier: Apache-2.0
"""The effective policy of many servers: the report of one server, made once a case. Pure."""

from __future__ import annotations

import dataclasses

from osc_uniqserial import policy
from osc_uniqserial.effective import explanation
from osc_uniqserial.effective.explanation import Explanation
from osc_uniqserial.effective.migration_targets import MigrationTargets
from osc_uniqserial.model.cloud import Fleet, ServerFacts

#: How many are kept to be used again.
_KEPT = 5_000


class Explanations:
    """Judges servers over a fleet."""

    def __init__(self, fleet: Fleet | None) -> None:
        self._destinations = None if fleet is None else MigrationTargets(fleet)
        self._made: dict[object, Explanation] = {}

    def of(self, sighting: ServerFacts) -> Explanation:
        """Return the report about a server, as ``show`` prints it."""
        # The words name the host, or the status where there is none.
        key = (sighting.case, sighting.host or (sighting.status,), id(sighting.on))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            made = self._made[key] = self._make(sighting)
        return dataclasses.replace(made, server=sighting)

    def _make(self, sighting: ServerFacts) -> Explanation:
        case = sighting.case
        effective = policy.resolve(case.flavor.used, case.image.used, case.host)
        moves = None
        if self._destinations and explanation.needs_other_hosts(case, effective):
            moves = self._destinations.moves(case, sighting.on)
        return explanation.build(sighting, moves)
