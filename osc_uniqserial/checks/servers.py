# SPDX-License-Identifier: Apache-2.0
"""Checks of servers: the result of their policy, and of a migration. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from osc_uniqserial.checks.check import Check, Detail, Group, Part, Problem, Shared, run
from osc_uniqserial.checks.cloud import Assessment, Cloud
from osc_uniqserial.effective.explanation import HOST_SOURCES, NOT_OBEYED, pending_changes
from osc_uniqserial.model.cloud import ServerFacts
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.policy import SerialSource, Setting
from osc_uniqserial.text import quoted, some

_RESIZE = "openstack server resize --flavor FLAVOR SERVER"
#: The command by which a server asks for a serial number of its own.
ASK = "openstack server set --unique-serial SERVER"
_RESTART = "openstack server reboot --hard SERVER"
#: What makes a host obey the requests of servers.
OBEY = Remedy(
    "Upgrade nova-uniqserial on the host, or set [unique_serial] server_may_ask = true there;"
    " restart nova-compute and hard reboot the servers"
)
#: Servers with all inputs of their policies; an unreadable input takes SERVERS away.
_POLICIES = frozenset({Part.SERVERS})
_MOVES = frozenset({Part.SERVERS, Part.TRAITS})
_BUILT_WITH = frozenset({Part.SERVERS, Part.IMAGES, Part.VOLUMES})


@Check("serial-shared", Severity.HIGH, Shared.HOST, at_least=2, rests_on=_POLICIES)
def serial_shared(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers with the serial of one host."""
    # Servers whose host is hidden may be on different ones.
    if server.effective.source in HOST_SOURCES and server.case.host_visible:
        yield Detail()


@serial_shared.explained_by
def _(group: Group, cloud: Cloud) -> Problem:
    return Problem(
        f"{group.servers.counted} have one serial number, the host's: licences and"
        " inventories take them for one machine",
        _own_serial(group, cloud),
    )


@Check("host-identity-shown", Severity.MEDIUM, Shared.HOST, rests_on=_POLICIES)
def host_identity_shown(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers that show the identity of their host."""
    if server.effective.source in HOST_SOURCES:
        yield Detail()


@host_identity_shown.explained_by
def _(group: Group, cloud: Cloud) -> Problem:
    return Problem(
        f"{group.clause('show')} the identity of the host to whoever is in the guest (OSSN-0028),"
        " and another one after a move",
        _own_serial(group, cloud),
    )


def _own_serial(group: Group, cloud: Cloud) -> Remedy:
    if group.name in cloud.servers_may_ask:
        return Remedy(
            f"{ASK}, then {_RESTART}; to change all servers of a host in another mode: set"
            " [libvirt]sysinfo_serial = unique there",
            (ASK, _RESTART),
        )
    if group.name in cloud.unique_by_mode:
        return Remedy(
            "Resize them to another flavor without hw:unique_serial=false, or take"
            " hw_unique_serial=false out of their image and rebuild them, which erases the root"
            " disk; against images,"
            " [unique_serial] image_may_show_host = false on the host helps too"
        )
    return Remedy(
        "Set [libvirt]sysinfo_serial = unique on the host, restart nova-compute and hard reboot"
        " the servers; where the host honours the keys: resize them to another flavor made with"
        " --unique-serial"
    )


@Check("unique-not-effective", Severity.HIGH, Shared.HOST, rests_on=_POLICIES)
def unique_not_effective(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers that request a unique serial and do not get it on their host."""
    if server.case.placed and server.is_lost and not server.case.asks_alone:
        has_serial = server.effective.source is not SerialSource.ABSENT
        mode = server.host.mode.value if server.host.mode else ""
        yield Detail((server.host.smbios, mode, has_serial))


@unique_not_effective.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    smbios, mode, has_serial = group.cause
    if smbios:
        why = f"does not honour the keys (mode {mode})" if mode else "does not honour the keys"
        remedy = (
            "Install nova-uniqserial on the host, or set [libvirt]sysinfo_serial = unique"
            " there; restart nova-compute and hard reboot the servers"
        )
    else:
        why = "writes no serial number"
        remedy = "Move the servers to hosts with libvirt and KVM or QEMU on x86"
    shows = "the guest shows its host's identity" if has_serial else "the guest has none"
    text = f"{group.clause('ask')} for a unique serial, but the host {why}, so {shows}"
    return Problem(text, Remedy(remedy))


@Check("server-request-not-obeyed", Severity.HIGH, Shared.HOST, rests_on=_POLICIES)
def server_request_not_obeyed(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers that request a unique serial in their metadata and do not get it on their host."""
    if server.case.placed and server.is_lost and server.case.asks_alone:
        yield Detail((server.host.smbios, server.host.honours))


@server_request_not_obeyed.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    smbios, honours = group.cause
    if not smbios:
        why, remedy = (
            "writes no serial number",
            "Move them to hosts with libvirt and KVM or QEMU on x86",
        )
    elif honours:
        why = f"does not obey the requests of servers: {NOT_OBEYED}"
        remedy = OBEY.text
    else:
        why = "does not honour the keys"
        remedy = (
            "Install nova-uniqserial on the host, or set [libvirt]sysinfo_serial = unique there;"
            " restart nova-compute and hard reboot the servers"
        )
    text = f"{group.clause('ask')} for a unique serial by metadata, but the host {why}"
    return Problem(text, Remedy(remedy))


@Check("server-value-without-effect", Severity.LOW, Shared.CLOUD, rests_on=_POLICIES)
def server_value_without_effect(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers with a value in their metadata that has no meaning there."""
    if server.server and server.server.setting in (Setting.HOST, Setting.INVALID):
        yield Detail((server.server.setting is Setting.HOST,))


@server_value_without_effect.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    (is_false,) = group.cause
    value = "false" if is_false else "a value that is no boolean"
    return Problem(
        f"{group.clause('have')} {value} as hw_unique_serial in their metadata: it counts as not"
        " set, because only true has a meaning on a server",
        run("openstack server unset --unique-serial SERVER"),
    )


@Check("server-key-without-effect", Severity.MEDIUM, Shared.CLOUD, rests_on=_POLICIES)
def server_key_without_effect(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers with a key in their metadata that is close to ours, and has no effect."""
    if server.case.wrong_key is not None:
        yield Detail(example=server.case.wrong_key)


@server_key_without_effect.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.clause('have')} a key in their metadata that is close to hw_unique_serial, and has"
        f" no effect: {group.example!r}{', for example' if len(group.servers) > 1 else ''}",
        run(
            "openstack server unset --property KEY SERVER",
            ", and openstack server set --unique-serial SERVER",
        ),
    )


@Check("changes-on-move", Severity.MEDIUM, Shared.FLAVOR, rests_on=_MOVES | {Part.HOSTS})
def changes_on_move(server: Assessment, cloud: Cloud) -> Iterator[Detail]:
    """Servers that have their UUID as serial, and another serial on a possible target host."""
    if server.effective.source is not SerialSource.INSTANCE_UUID:
        return
    if server.case.is_bound_to_unique:
        return
    outlook = cloud.targets.outlook(server.case)
    if outlook and outlook.changing:

        def applies(found: ServerFacts) -> bool:
            return found.on is not None and outlook.changes(found.on.hypervisor.id)

        names = some(sorted({host.name for host in outlook.changing.values()}))
        yield Detail(example=names, applies=applies)


@changes_on_move.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.clause('have')} the server's UUID as serial now, and another one after a move, for"
        f" example to {group.example}; neither flavor nor image prevents that",
        run(_RESIZE, ", to a flavor made with --unique-serial --unique-serial-hosts supported"),
    )


@Check("cannot-move", Severity.MEDIUM, Shared.HOST, rests_on=_MOVES)
def cannot_move(server: Assessment, cloud: Cloud) -> Iterator[Detail]:
    """Servers that require traits which no other host has."""
    required = server.required
    if required:

        def applies(found: ServerFacts) -> bool:
            on = found.on
            return on is not None and not cloud.targets.other_with(required, on.hypervisor.id)

        yield Detail(tuple(trait for trait, _need in required), applies=applies)


@cannot_move.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.clause('require')} {', '.join(group.cause)}, and no other enabled host has that:"
        " they cannot be moved or evacuated",
        Remedy("Enable or start another host that has it, or provide one"),
    )


@Check("host-lacks-trait", Severity.MEDIUM, Shared.HOST, rests_on=_MOVES)
def host_lacks_trait(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers that require traits which their host does not have."""
    needed = tuple(trait for trait, _need in server.required)
    if needed:

        def applies(found: ServerFacts) -> bool:
            on = found.on
            return on is not None and on.traits is not None and not on.traits.issuperset(needed)

        yield Detail(needed, applies=applies)


@host_lacks_trait.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.servers.counted}: flavor or image require {', '.join(group.cause)}, which their"
        " host does not have (any more): a rebuild to another image that requires it fails, and"
        " none would be placed here again",
        run("openstack server migrate SERVER", ", or restore the trait of the host"),
    )


@Check("setting-conflict", Severity.LOW, Shared.FLAVOR_AND_IMAGE, rests_on=_BUILT_WITH)
def setting_conflict(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers with opposite settings of flavor and image, or of these and of their metadata."""
    settings = {value.setting for value in (server.flavor, server.image) if value}
    if settings >= {Setting.UNIQUE, Setting.HOST}:
        yield Detail((False,))
    elif Setting.HOST in settings and server.case.asks_alone:
        yield Detail((True,))


@setting_conflict.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    _flavor, image = group.key
    (by_server,) = group.cause
    if by_server:
        return Problem(
            f"{group.servers.counted}: flavor or image ask for the host's own serial number, and"
            " the servers for one of their own; true wins where the host obeys it",
            # Without the request the servers would lose their serial number.
            Remedy(
                "Correct the flavor or the image, so that new servers get what is meant; the"
                " request of these may stay"
            ),
        )
    return Problem(
        f"{group.servers.counted}: flavor and image ({image or 'of the root volume'}) ask for"
        " opposites; true wins",
        Remedy(
            "Correct the flavor or the image (openstack flavor set, image set); a resize to another"
            " flavor applies that of a flavor, and a rebuild, which erases the root disk, that of"
            " an image"
        ),
    )


def _changed(id_: str, kind: str, shared: Shared, current: Part, remedy: Remedy) -> None:
    """Register the check of servers that were built with an earlier setting.

    :param kind: flavor or image
    :param current: the list with the current settings
    """

    def find(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
        for change in pending_changes(server.case.flavor, server.case.image):
            if change.input == kind:
                yield Detail((change.now, change.next))

    def explain(group: Group, _cloud: Cloud) -> Problem:
        now, later = map(quoted, group.cause)
        return Problem(f"{group.clause('use')} {now} where the {kind} now has {later}", remedy)

    check = Check(id_, Severity.MEDIUM, shared, rests_on={Part.SERVERS, current})
    check(find).explained_by(explain)


_changed(
    "flavor-changed",
    "flavor",
    Shared.FLAVOR,
    Part.FLAVORS,
    run(
        _RESIZE,
        " applies it, to another flavor with the same setting; a hard reboot does not",
    ),
)
_changed(
    "image-changed",
    "image",
    Shared.IMAGE,
    Part.IMAGES,
    run(
        "openstack server rebuild SERVER",
        " applies it, and erases the root disk; a hard reboot does not",
    ),
)


@Check("invalid-value-in-use", Severity.INFO, Shared.FLAVOR, rests_on=_BUILT_WITH)
def invalid_value_in_use(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers that were built with a value that is no boolean."""
    for shared, value in ((Shared.FLAVOR, server.flavor), (Shared.IMAGE, server.image)):
        if value and value.setting is Setting.INVALID:
            yield Detail((value.raw,), shared=shared)


@invalid_value_in_use.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    (raw,) = group.cause
    return Problem(f"{group.clause('carry')} {quoted(raw)}, which counts as not set")
