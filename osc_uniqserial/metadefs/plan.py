# SPDX-License-Identifier: Apache-2.0
"""Plans to install our namespaces in Glance or to remove them. Pure.

How Glance stores namespaces (glance/api/v2/metadef_namespaces.py, metadef_properties.py):

- PUT on a namespace sets only its own fields and resets missing ones: without visibility and
  protected, the namespace becomes private and unprotected.
- PUT and POST on one property store its name inside its definition. Horizon prefers that name
  to the prefixed one (tree.service.js, ``angular.extend``) and writes the key without its
  prefix: ``unique_serial``. Only POST of a whole namespace stores properties without the name.
- An association cannot be changed, and nothing in a protected namespace can be deleted.

So a namespace whose content differs is created again under another name, with all its items
that are not ours. It then replaces the stored namespace. A deletion names the content that was
planned for: items that were added since then prevent it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import quote

from osc_uniqserial.metadefs.comparison import DIFFERENCES, Detail, Result, compare, foreign
from osc_uniqserial.metadefs.model import OWN_FIELDS, Item, Json, Kind, Namespace

COLLECTION = "/metadefs/namespaces"
#: Suffix of the name under which a namespace is created before it replaces the stored one.
REPLACEMENT = "::Replacement"


class Action(enum.Enum):
    """What a plan does to an item."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept (not ours)"
    REMOVED = "removed"
    REMOVED_NOT_OURS = "removed (not ours)"
    ABSENT = "absent"


_ACTIONS = {
    Result.OK: Action.UNCHANGED,
    Result.MISSING: Action.CREATED,
    Result.DIFFERS: Action.UPDATED,
    Result.NOT_OURS: Action.KEPT,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """An item and its action."""

    namespace: str
    item: Item
    action: Action
    details: tuple[Detail, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One request that writes.

    :ivar right: the policy rule of Glance that allows the request
    :ivar words: description of the request
    :ivar seen: namespaces that must be unchanged before a deletion: the namespace to delete as
        it was planned from, and the copy that stays
    """

    method: Literal["POST", "PUT", "DELETE"]
    path: str
    right: str
    words: str
    body: Json | None = None
    seen: tuple[Namespace, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a command. A dry run shows the rows and sends no requests."""

    rows: tuple[Row, ...] = ()
    steps: tuple[Step, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        """Return both plans in sequence."""
        return Plan(self.rows + other.rows, self.steps + other.steps)


def names(ours: Iterable[Namespace]) -> tuple[str, ...]:
    """Return the names of our namespaces and of their replacements."""
    return tuple(name for each in ours for name in (each.name, each.name + REPLACEMENT))


def path(name: str) -> str:
    """Return the path of one namespace."""
    return f"{COLLECTION}/{quote(name, safe=':')}"


def plan_install(ours: Sequence[Namespace], stored: Mapping[str, Namespace]) -> Plan:
    """Plan the installation of our namespaces.

    :param stored: the namespaces of :func:`names` that Glance has
    :raises NotOurs: when the replacement of an interrupted installation has items that the
        namespace itself does not have
    """
    plan = Plan()
    for each in ours:
        plan += _install(each, stored.get(each.name), stored.get(each.name + REPLACEMENT))
    return plan


def plan_remove(
    ours: Sequence[Namespace], stored: Mapping[str, Namespace], force: bool = False
) -> Plan:
    """Plan the removal of our namespaces.

    :param force: also remove items that are not ours
    :raises NotOurs: when there are such items and ``force`` is False
    """
    plan = Plan()
    for each in ours:
        found = [stored[name] for name in names([each]) if name in stored]
        if not found:
            plan += Plan((Row(each.name, Item(Kind.NAMESPACE), Action.ABSENT),))
        for held in found:
            extra = foreign(each, held)
            rows = (
                Row(held.name, Item(Kind.NAMESPACE), Action.REMOVED),
                *(Row(held.name, item, Action.REMOVED_NOT_OURS) for item in extra),
            )
            plan += Plan(rows, (*_unprotect(held), _delete(held)))
    not_ours = tuple(row for row in plan.rows if row.action is Action.REMOVED_NOT_OURS)
    if not_ours and not force:
        raise NotOurs(not_ours)
    return plan


def _install(ours: Namespace, stored: Namespace | None, spare: Namespace | None) -> Plan:
    """Plan the installation of one namespace.

    :param spare: the replacement of an interrupted installation
    """
    if stored is not None:
        plan = Plan() if spare is None else _discard(ours, stored, spare)
        return plan + Plan(_rows(ours, stored), _steps(ours, stored))
    if spare is not None:
        # The namespace was deleted already: its replacement is a complete copy.
        moved = dataclasses.replace(
            spare, **{field: getattr(ours, field) for field in ("name", *OWN_FIELDS)}
        )
        return Plan(_rows(ours, spare), (_move(spare, moved), *_steps(ours, moved)))
    return Plan((Row(ours.name, Item(Kind.NAMESPACE), Action.CREATED),), (_create(ours),))


def _discard(ours: Namespace, stored: Namespace, spare: Namespace) -> Plan:
    """Plan the deletion of a replacement that is a copy of the stored namespace."""
    held = foreign(ours, stored)
    lost = [item for item in foreign(ours, spare) if item not in held]
    if lost:
        # The namespace was created again before the installation was repeated.
        raise NotOurs(tuple(Row(spare.name, item, Action.KEPT) for item in lost))
    row = Row(spare.name, Item(Kind.NAMESPACE), Action.REMOVED)
    return Plan((row,), (*_unprotect(spare), _delete(spare, stored)))


def _rows(ours: Namespace, stored: Namespace) -> tuple[Row, ...]:
    return tuple(
        Row(found.namespace, found.item, _ACTIONS[found.result], found.details)
        for found in compare(ours, stored)
    )


def _steps(ours: Namespace, stored: Namespace) -> tuple[Step, ...]:
    """Plan the update of a stored namespace, keeping its items that are not ours.

    Glance always has a complete namespace: the replacement is complete before the stored
    namespace is deleted.
    """
    merged = dataclasses.replace(
        ours,
        owner=stored.owner,
        associations={**stored.associations, **ours.associations},
        properties={**stored.properties, **ours.properties},
        objects=stored.objects,
        tags=stored.tags,
    )
    itself, *content = compare(ours, stored)
    if DIFFERENCES.isdisjoint(found.result for found in content):
        if itself.result is Result.OK:
            return ()
        return (_put(stored.name, merged, f"update namespace {ours.name}"),)
    spare = dataclasses.replace(
        merged, name=ours.name + REPLACEMENT, visibility="private", protected=False
    )
    return (_create(spare), *_unprotect(stored), _delete(stored, spare), _move(spare, merged))


def _create(namespace: Namespace) -> Step:
    words = f"create namespace {namespace.name}"
    return Step("POST", COLLECTION, "add_metadef_namespace", words, namespace.document())


def _put(name: str, fields: Namespace, words: str) -> Step:
    return Step("PUT", path(name), "modify_metadef_namespace", words, fields.own_fields())


def _move(stored: Namespace, to: Namespace) -> Step:
    return _put(stored.name, to, f"rename namespace {stored.name} to {to.name}")


def _unprotect(stored: Namespace) -> tuple[Step, ...]:
    """Glance answers 403 to the deletion of a protected namespace."""
    if not stored.protected:
        return ()
    fields = dataclasses.replace(stored, protected=False)
    return (_put(stored.name, fields, f"unprotect namespace {stored.name}"),)


def _delete(*seen: Namespace) -> Step:
    """Delete the first namespace; the second one is the copy that stays."""
    name = seen[0].name
    words = f"delete namespace {name}"
    return Step("DELETE", path(name), "delete_metadef_namespace", words, seen=seen)


class NotOurs(Exception):
    """A namespace of ours has items that are not ours; the message lists them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        super().__init__(f"not ours: {', '.join(f'{row.item} of {row.namespace}' for row in rows)}")
