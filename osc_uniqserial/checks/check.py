# SPDX-License-Identifier: Apache-2.0
"""What audit and verify look for, and what each finding means. Pure.

The texts are plain: they are shown in a terminal, in HTML and on pages of the documentation. A
paragraph is one line; a line that begins with four spaces is a command.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType


class Severity(enum.Enum):
    """How grave a finding is; UNCHECKED: it is not one, something could not be checked."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNCHECKED = "unchecked"


class Part(enum.StrEnum):
    """What is read of a cloud.

    HOSTS: which compute hosts there are, their hypervisors, and the mode and driver of each.
    TRAITS: the traits of all hosts, and so which hosts there are; not what a host leaves unsaid.
    SERVERS: all servers, and what decides the serial number of each.
    GUESTS: the live serial numbers of all servers.
    The others are lists as they are now.
    """

    FLAVORS = "flavors"
    IMAGES = "images"
    AGGREGATES = "aggregates"
    HOSTS = "hosts"
    TRAITS = "traits"
    METADEFS = "metadefs"
    SERVERS = "servers"
    VOLUMES = "volumes"
    GUESTS = "guests"


class GuestSource(enum.Enum):
    """What tells of guests, by the option that names it."""

    LIBVIRT = "libvirt-uri"
    DOMAINS = "domain-xml"
    FACTS = "facts"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """What is looked for.

    :ivar id: kebab-case; an interface
    :ivar summary: what is found, in one line without a full stop
    :ivar meaning: what was seen
    :ivar why: why it matters
    :ivar repair: how to repair it
    :ivar accept: when it is fine to leave it as it is; begins with "Never:" where it is not
    :ivar rests_on: what must have been read for "nothing found" to be worth anything; empty for
        what could not be checked
    :ivar takes_away: what could not be read, wholly or partly; empty for all else
    :ivar all_projects: whether it is looked for only where the servers of all projects are
    :ivar told_by: the sources of which each can tell it, of what is about guests
    """

    id: str
    severity: Severity
    summary: str
    meaning: str
    why: str
    repair: str
    accept: str
    rests_on: frozenset[Part] = frozenset()
    takes_away: frozenset[Part] = frozenset()
    all_projects: bool = False
    told_by: frozenset[GuestSource] = frozenset()


def in_doubt(checks: Mapping[str, Check], found: Iterable[str]) -> frozenset[str]:
    """Return the IDs of checks that rest on something that could not be read.

    :param found: the IDs of all that was found
    """
    missing = {part for id_ in found if id_ in checks for part in checks[id_].takes_away}
    return frozenset(id_ for id_, check in checks.items() if check.rests_on & missing)


def _text(text: str) -> str:
    """Join lines to paragraphs. Empty lines part them; indented lines stay as they are."""
    lines: list[str] = []
    joins = False
    for line in map(str.rstrip, text.strip("\n").splitlines()):
        if not line or line.startswith("    "):
            lines += [line] if line else []
            joins = False
        elif joins:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
            joins = True
    return "\n".join(lines)


def _check(
    id_: str,
    severity: Severity,
    summary: str,
    *,
    meaning: str,
    why: str,
    repair: str,
    accept: str,
    rests_on: Iterable[Part] = (),
    takes_away: Iterable[Part] = (),
    all_projects: bool = False,
    told_by: Iterable[GuestSource] = GuestSource,
) -> Check:
    return Check(
        id_,
        severity,
        summary,
        _text(meaning),
        _text(why),
        _text(repair),
        _text(accept),
        frozenset(rests_on),
        frozenset(takes_away),
        all_projects,
        frozenset(told_by),
    )


def by_severity(checks: Iterable[Check]) -> Mapping[str, Check]:
    """Return checks by ID, the gravest first."""
    rank = list(Severity)
    ordered = sorted(checks, key=lambda each: (rank.index(each.severity), each.id))
    return MappingProxyType({each.id: each for each in ordered})


#: Servers with all that makes their policies; what could not be read of that takes SERVERS away.
_POLICIES = (Part.SERVERS,)
#: What flavors and images ask for, and what hosts do with it.
_REQUESTS = (Part.FLAVORS, Part.IMAGES, Part.HOSTS, Part.TRAITS)
#: Servers, and the guests that they are.
_LIVE = (Part.SERVERS, Part.GUESTS)

_TRAITS_REPAIR = """
List the traits of the host's resource provider. Its ID is the one of the finding's resource.

    openstack --os-placement-api-version 1.6 resource provider trait list PROVIDER

Then set those that are to stay. The command replaces all traits, so repeat --trait for each.

    openstack --os-placement-api-version 1.6 resource provider trait set --trait TRAIT PROVIDER

Correct the host's provider.yaml too. Nova keeps a trait that is only taken out of that file.
"""
_NOT_CHECKED = "Never: it does not say that all is well, it says that nobody looked."

# --- audit ------------------------------------------------------------------

_AUDIT = (
    _check(
        "serial-shared",
        Severity.HIGH,
        "Servers on one host share one serial number, the host's",
        meaning="""
Two or more servers on this host take their serial number from the host. So they all have the
same one.
""",
        why="""
Licence servers and inventories take the servers for one machine. The number is the identity of
the host, which whoever is in a guest can read (OSSN-0028).
""",
        repair="""
Set [libvirt]sysinfo_serial = unique in the host's nova.conf, restart nova-compute, and hard
reboot the servers.

    openstack server reboot --hard SERVER

Where the host honours the keys, resize the servers to another flavor, one that asks for a unique
serial number.

    openstack flavor create --ram RAM --vcpus VCPUS --disk DISK --unique-serial FLAVOR
    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER

Where the host is in mode unique already, the flavor or the image says false. Resize the servers to
a flavor that does not, or rebuild them from an image that does not.

Either way the serial number changes once. Software that is licensed to the old one may have to
be activated again.
""",
        accept="""
When nothing in the servers reads the serial number and their users may know the host's identity,
or when a licence is meant for the host and covers all servers on it.
""",
        rests_on=_POLICIES,
    ),
    _check(
        "unique-not-effective",
        Severity.HIGH,
        "Servers ask for a unique serial number, and their host does not give it",
        meaning="""
The flavor or image of these servers asks for a unique serial number. Their host does not honour
the keys and is not in mode unique, or it writes no serial number at all. So the guests show the
identity of the host, or have no serial number.
""",
        why="""
Somebody asked for a serial number that stays, and believes to have it. Licences may be bound to
the host instead, and be charged again after a move.
""",
        repair="""
Install nova-uniqserial on the host, or set [libvirt]sysinfo_serial = unique there. Restart
nova-compute and hard reboot the servers.

    openstack server reboot --hard SERVER

Or move them to a host that gives a unique serial number. Where this host writes none (not libvirt
with KVM or QEMU, or not x86) that is the only way.

    openstack unique serial host list
    openstack --os-compute-api-version 2.56 server migrate --host HOST SERVER
    openstack server migration confirm SERVER
""",
        accept="""
Never: what is asked for does not happen. Where nobody needs it, take the request out of the
flavor or image. The servers lose it with a resize or a rebuild.
""",
        rests_on=_POLICIES,
    ),
    _check(
        "no-valid-host",
        Severity.HIGH,
        "A flavor or image requires a trait that no host has that is up and enabled",
        meaning="""
The extra specs of the flavor, or the properties of the image, require one or more traits of this
project. No compute host that is up and enabled has all of them.
""",
        why="""
A server that is built from it finds no valid host. Servers that have it already cannot be moved,
resized or unshelved.
""",
        repair="""
Take the requirement out.

    openstack flavor unset --property trait:TRAIT FLAVOR
    openstack image unset --property trait:TRAIT IMAGE

Or provide a host that has the trait: enable or start one that has it, install nova-uniqserial's
compute driver, or declare the trait in the provider.yaml of stock hosts in mode unique.

    openstack unique serial host list
    openstack compute service set --enable HOST nova-compute
""",
        accept="""
While the hosts are being set up, and nobody builds from the flavor or image yet.
""",
        # The state of hosts comes with their list; TRAITS is not there without it.
        rests_on=(Part.FLAVORS, Part.IMAGES, Part.TRAITS),
    ),
    _check(
        "host-identity-shown",
        Severity.MEDIUM,
        "Servers show the identity of their host, and another one after a move",
        meaning="""
The serial number of these servers is the machine ID or the hardware UUID of their host.
""",
        why="""
Whoever is in the guest reads the identity of the host (OSSN-0028), and can tell which servers
are on the same one. After a move the number is another one: software that is licensed to it asks
for a new licence, and inventories see a new machine.
""",
        repair="""
Set [libvirt]sysinfo_serial = unique in the host's nova.conf, restart nova-compute, and hard
reboot the servers.

    openstack server reboot --hard SERVER

Where the host honours the keys, resize the servers to another flavor, one that asks for a unique
serial number.

    openstack flavor create --ram RAM --vcpus VCPUS --disk DISK --unique-serial FLAVOR
    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER

Where the host is in mode unique already, the flavor or the image says false. Resize the servers to
a flavor that does not, or rebuild them from an image that does not.

Either way the serial number changes once. Software that is licensed to the old one may have to
be activated again.
""",
        accept="""
When the flavor or image asks for the host's own serial number on purpose, or when the users of
the servers may know the host's identity and nothing in the servers depends on the number.
""",
        rests_on=_POLICIES,
    ),
    _check(
        "changes-on-move",
        Severity.MEDIUM,
        "Servers have their own UUID as serial number now, but may lose it on a move",
        meaning="""
The serial number of these servers is their own UUID on their present host. At least one enabled
host would give them another one, or none, and neither flavor nor image keeps them from it.
""",
        why="""
A cold migration, an evacuation or an unshelve may change the serial number without a word.
Licences are then charged again.
""",
        repair="""
Resize the servers to another flavor, one that asks for a unique serial number and for hosts that
give it.

    openstack flavor create --ram RAM --vcpus VCPUS --disk DISK FLAVOR
    openstack flavor set --unique-serial --unique-serial-hosts supported FLAVOR
    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER

Or make the other hosts give it too: nova-uniqserial's compute driver, or
[libvirt]sysinfo_serial = unique.
""",
        accept="""
When nothing in the servers depends on the serial number, or when they are never moved to the
other hosts, for example because they are deleted rather than moved.
""",
        rests_on=(Part.SERVERS, Part.HOSTS, Part.TRAITS),
    ),
    _check(
        "flavor-changed",
        Severity.MEDIUM,
        "Servers use what their flavor said earlier, not what it says now",
        meaning="""
The flavor says something else about serial numbers now than when these servers were built or
last resized. A server keeps its own copy of the flavor until a resize.
""",
        why="""
The flavor does not tell what these servers get. Who marked it for licensed software may believe
that they have a serial number of their own.
""",
        repair="""
Resize the servers to another flavor that says the same as this one does now. A hard reboot does
not apply it.

    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER
""",
        accept="""
When these servers are to stay as they are, and the change is meant for new ones only.
""",
        rests_on=(Part.SERVERS, Part.FLAVORS),
    ),
    _check(
        "image-changed",
        Severity.MEDIUM,
        "Servers use what their image said earlier, not what it says now",
        meaning="""
The image says something else about serial numbers now than when these servers were built. A
server keeps the image properties of its build until a rebuild. This is found only where Nova
tells what a server was built with (microversion 2.98 and nova-uniqserial on the controllers).
""",
        why="""
The image does not tell what these servers get. Who marked it may believe that they have a serial
number of their own.
""",
        repair="""
Resize the servers to another flavor, one that asks for a unique serial number. That wins over
the image.

    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER

A rebuild applies the image. It erases the root disk: all data on it are lost. A hard reboot does
not apply it.

    openstack server rebuild SERVER
""",
        accept="""
When these servers are to stay as they are, and the change is meant for new ones only.
""",
        rests_on=(Part.SERVERS, Part.IMAGES),
    ),
    _check(
        "cannot-move",
        Severity.MEDIUM,
        "Servers require a trait that no other host has that is up and enabled",
        meaning="""
The flavor or image of these servers requires one or more traits of this project. No host that is
up and enabled has them, but for the one that the servers are on.
""",
        why="""
The servers cannot be migrated or evacuated. When their host fails, they stay down.
""",
        repair="""
Enable or start another host that has the traits.

    openstack unique serial host list
    openstack compute service set --enable HOST nova-compute

Or provide one: install nova-uniqserial's compute driver on another host, or declare the trait in
the provider.yaml of stock hosts in mode unique.
""",
        accept="""
When the cloud has one such host only, and the servers may be down as long as it is.
""",
        rests_on=(Part.SERVERS, Part.TRAITS),
    ),
    _check(
        "host-lacks-trait",
        Severity.MEDIUM,
        "Servers require a trait that their own host lacks",
        meaning="""
The flavor or image of these servers requires one or more traits of this project, and the
resource provider of their host does not have all of them. The host lost them, or the servers
were forced to it.
""",
        why="""
The host may no longer do what the servers were promised. A rebuild to another image that
requires the trait fails, and a server like these would not be placed here again.
""",
        repair="""
Move the servers to a host that has the traits.

    openstack server migrate SERVER
    openstack server migration confirm SERVER

Or restore the traits of the host, if it does what they say: restart nova-compute where
nova-uniqserial's driver is installed, else correct the host's provider.yaml.
""",
        accept="""
Never: either the servers do not get what they require, or the host does not say what it does.
""",
        rests_on=(Part.SERVERS, Part.TRAITS),
    ),
    _check(
        "invalid-value",
        Severity.MEDIUM,
        "A stored value of a key is no boolean, and counts as not set",
        meaning="""
The value of hw:unique_serial or hw_unique_serial on this flavor, image or host aggregate is
neither true nor false. It counts as not set. The word null comes from Horizon, which stores it
for a boolean property that is saved untouched.
""",
        why="""
Who wrote it wanted something and does not get it. Servers for licensed software may have the
serial number of their host.
""",
        repair="""
Write what was meant. With --no-unique-serial instead, servers get the host's own serial number.

    openstack flavor set --unique-serial FLAVOR
    openstack image set --unique-serial IMAGE
    openstack aggregate set --unique-serial AGGREGATE

To ask for nothing, take it out.

    openstack flavor unset --unique-serial FLAVOR
    openstack image unset --unique-serial IMAGE
    openstack aggregate unset --unique-serial AGGREGATE

Servers that are there already keep what they have until a resize or a rebuild.
""",
        accept="""
Never: nobody can tell what was meant, and programs read such a value differently.
""",
        rests_on=(Part.FLAVORS, Part.IMAGES, Part.AGGREGATES),
    ),
    _check(
        "misplaced-key",
        Severity.MEDIUM,
        "A key is misspelt, or is where nothing reads it",
        meaning="""
The flavor has the key of images, the image has the key of flavors, or one of them has another
spelling of a key. It has no effect there.
""",
        why="""
Who wrote it wanted something and does not get it. On a flavor, hw_unique_serial is worse: the
scheduler's AggregateInstanceExtraSpecsFilter looks for it on host aggregates, so that servers
may find no valid host.
""",
        repair="""
Take it out, and write the right key with the option that knows it. With --no-unique-serial
instead, servers get the host's own serial number.

    openstack flavor unset --property KEY FLAVOR
    openstack flavor set --unique-serial FLAVOR
    openstack image unset --property KEY IMAGE
    openstack image set --unique-serial IMAGE
""",
        accept="""
When another program of this cloud reads this very property. Else never.
""",
        rests_on=(Part.FLAVORS, Part.IMAGES),
    ),
    _check(
        "key-not-honoured",
        Severity.MEDIUM,
        "A flavor or image asks for a serial number that no host gives on request",
        meaning="""
The flavor or image asks for a unique serial number and no host gives one, or it asks for the
host's own and no host honours the keys. So it has no effect.
""",
        why="""
Released Nova stores the keys and ignores them. Who set the key may believe that it works, and
buy licences accordingly.
""",
        repair="""
Install nova-uniqserial on the compute hosts. For unique serial numbers alone, setting
[libvirt]sysinfo_serial = unique on the hosts is enough.

    openstack unique serial status

If nobody needs it, take the setting out.

    openstack flavor unset --unique-serial FLAVOR
    openstack image unset --unique-serial IMAGE
""",
        accept="""
While nova-uniqserial is being rolled out, and no server for licensed software is built from it.
""",
        rests_on=_REQUESTS,
    ),
    _check(
        "aggregate-conflict",
        Severity.MEDIUM,
        "A host aggregate contradicts itself, or another one about the same host",
        meaning="""
The two keys of this host aggregate say opposites, or another host aggregate says the opposite of
a host that is in both.
""",
        why="""
Nothing can be learned about the hosts from such host aggregates. Flavors that are steered by
host aggregates may send servers to hosts that do not give them a unique serial number.
""",
        repair="""
Find out what the hosts do, and let the host aggregate say that. With --no-unique-serial instead
it says that its hosts do not give a unique serial number.

    openstack unique serial host list
    openstack aggregate set --unique-serial AGGREGATE

Where two host aggregates contradict each other, take it out of one of them.

    openstack aggregate unset --unique-serial AGGREGATE
""",
        accept="""
Never: one of the two is wrong.
""",
        rests_on=(Part.AGGREGATES,),
    ),
    _check(
        "aggregate-host-mismatch",
        Severity.MEDIUM,
        "A host aggregate says of a host what is not so",
        meaning="""
The host aggregate says that its hosts give a unique serial number to who asks, and one of them
does not; or it says that they do not, and one of them does.
""",
        why="""
Where the scheduler follows host aggregates, servers that need a unique serial number may land on
a host that does not give it, or be kept from one that does.
""",
        repair="""
Take the host out of the host aggregate.

    openstack aggregate remove host AGGREGATE HOST

Or correct what the host aggregate says. With --no-unique-serial instead it says that its hosts
do not give a unique serial number.

    openstack aggregate set --unique-serial AGGREGATE
""",
        accept="""
While the hosts of the host aggregate are being changed one after the other.
""",
        rests_on=(Part.AGGREGATES, Part.HOSTS, Part.TRAITS),
    ),
    _check(
        "contradicting-traits",
        Severity.MEDIUM,
        "A host has traits that cannot all be true",
        meaning="""
The resource provider of this host has several traits that declare a mode, or a trait that
promises a unique serial number and one of a mode that does not give it without nova-uniqserial's
driver. So the mode of the host counts as unknown.
""",
        why="""
The scheduler believes every trait: servers that require a unique serial number may be placed
where they do not get one. What the servers on this host get cannot be told.
""",
        repair=_TRAITS_REPAIR,
        accept="""
Never: at least one of the traits is wrong.
""",
        rests_on=(Part.TRAITS,),
    ),
    _check(
        "incomplete-traits",
        Severity.MEDIUM,
        "A host claims to honour the keys, but lacks traits that its driver reports",
        meaning="""
The resource provider of this host has CUSTOM_UNIQUE_SERIAL_KEYS, but not all that
nova-uniqserial's compute driver reports with it. Somebody set it by hand, or the driver does not
work.
""",
        why="""
The host may not honour the keys at all, while the trait makes everybody believe that it does.
""",
        repair="""
See nova-compute's log on the host. Where the driver is installed, a restart of nova-compute
reports all traits. Where it is not, remove the trait, and never set it by hand.
"""
        + _TRAITS_REPAIR,
        accept="""
Never: the trait says what is not known to be so.
""",
        rests_on=(Part.TRAITS,),
    ),
    _check(
        "wrong-traits",
        Severity.MEDIUM,
        "A host that writes no serial numbers has traits that describe one",
        meaning="""
The guests of this host have no serial number from Nova: it is not libvirt with KVM or QEMU, or
not x86. Its resource provider has traits of this project all the same.
""",
        why="""
Servers that require the trait may be placed here, where they get no serial number.
""",
        repair=_TRAITS_REPAIR,
        accept="""
Never: the traits promise or describe what is not there.
""",
        rests_on=(Part.TRAITS,),
    ),
    _check(
        "tenant-image-shows-host",
        Severity.MEDIUM,
        "An image that is not public shows the identity of hosts that would show none",
        meaning="""
The image is not public, and asks for the host's own serial number. There are hosts in mode unique
that honour the keys and let an image ask for that. Guests that are built from it show the host's
identity there, where they would have their own UUID.
""",
        why="""
Whoever may upload an image can read the identity of a host in the guest (OSSN-0028), although
the operator chose a mode that hides it.
""",
        repair="""
Set [unique_serial] image_may_show_host = false in nova.conf of the hosts, and restart
nova-compute. An image's false then counts as not set. Or correct the image.

    openstack image unset --unique-serial IMAGE
""",
        accept="""
When the project that owns the image may know the identity of the hosts, for example because it
is the operator's own.
""",
        rests_on=(Part.IMAGES, Part.HOSTS, Part.TRAITS),
    ),
    _check(
        "setting-conflict",
        Severity.LOW,
        "Flavor and image of servers ask for opposites",
        meaning="""
The flavor of these servers says one thing and their image, or root volume, the opposite. True
wins: a unique serial number is asked for.
""",
        why="""
One of the two is not followed. Who set it may not know that.
""",
        repair="""
Correct the flavor or the image. A resize applies what the flavor says, a rebuild what the image
says. A rebuild erases the root disk.

    openstack flavor unset --unique-serial FLAVOR
    openstack image unset --unique-serial IMAGE
""",
        accept="""
When the servers are to have a unique serial number whatever else is said. That is what they ask
for.
""",
        rests_on=(Part.SERVERS, Part.IMAGES, Part.VOLUMES),
    ),
    _check(
        "contradicting-request",
        Severity.LOW,
        "A flavor or image asks for the host's serial, and for hosts that give a unique one",
        meaning="""
The flavor or image asks for the host's own serial number. It also requires the trait
CUSTOM_UNIQUE_SERIAL, which hosts have that give a unique one.
""",
        why="""
The two hardly make sense together. Servers are kept from hosts that would do, and it cannot be
told what was meant.
""",
        repair="""
Take the requirement out.

    openstack flavor unset --unique-serial-hosts FLAVOR
    openstack image unset --unique-serial-hosts IMAGE

Or ask for a unique serial number.

    openstack flavor set --unique-serial FLAVOR
    openstack image set --unique-serial IMAGE
""",
        accept="""
When servers with the host's own serial number are meant to be on such hosts.
""",
        rests_on=(Part.FLAVORS, Part.IMAGES),
    ),
    _check(
        "not-steered",
        Severity.LOW,
        "Servers that ask for a unique serial number may land where they get none",
        meaning="""
The flavor or image asks for a unique serial number. Some enabled hosts give one and some do not,
and nothing keeps the servers from the others.
""",
        why="""
Chance decides whether a new server gets what it asks for, and whether it still does after a
move.
""",
        repair="""
Require hosts that give a unique serial number. It counts for servers that are built from then
on, and for others after a resize (flavor) or a rebuild (image).

    openstack flavor set --unique-serial-hosts supported FLAVOR
    openstack image set --unique-serial-hosts supported IMAGE
""",
        accept="""
When something that is not looked at keeps the servers on the right hosts, for example their
availability zone, or when flavor and image are always used together and the other one steers.
""",
        rests_on=_REQUESTS,
    ),
    _check(
        "inherited-key",
        Severity.LOW,
        "A snapshot has the key of the server that it was made of",
        meaning="""
The image is a snapshot. It has hw_unique_serial from the server that it was made of, and hands
it on to every server that is built from it.
""",
        why="""
Nobody decided that for these servers. They may get a unique serial number, or the host's,
although their own flavor says nothing.
""",
        repair="""
Take it out, if servers that are built from it are to follow their own flavor.

    openstack image unset --unique-serial IMAGE

To keep it out of new snapshots, add hw_unique_serial to [DEFAULT] non_inheritable_image_properties
in nova.conf of nova-api and nova-compute.
""",
        accept="""
When the snapshot is a copy or a backup of the server, and servers that are built from it are to
behave as that one did.
""",
        rests_on=(Part.IMAGES,),
    ),
    _check(
        "metadefs-missing",
        Severity.LOW,
        "A namespace of metadata definitions is not in Glance",
        meaning="""
Glance does not have this namespace of metadata definitions, or another project has it as a
private one.
""",
        why="""
Horizon does not offer the keys. People write them by hand, and a typing error is not refused.
""",
        repair="""
Install the namespaces.

    openstack unique serial metadef install
""",
        accept="""
When nobody sets properties through Horizon.
""",
        rests_on=(Part.METADEFS,),
    ),
    _check(
        "metadefs-private",
        Severity.LOW,
        "A namespace of metadata definitions is private",
        meaning="""
Glance has the namespace, but it is private: one project and administrators see it. An import
through Horizon leaves it so unless Public is ticked.
""",
        why="""
Horizon does not offer the keys to anybody else.
""",
        repair="""
Install the namespaces. That makes them public.

    openstack unique serial metadef install
""",
        accept="""
When only administrators set these properties.
""",
        rests_on=(Part.METADEFS,),
    ),
    _check(
        "metadefs-outdated",
        Severity.LOW,
        "A namespace of metadata definitions differs from the one of this version",
        meaning="""
Glance has the namespace, but its content is not that of this version: it is older, or somebody
changed it.
""",
        why="""
Horizon may offer values that count as not set, write a key without its prefix, or describe it
wrongly.
""",
        repair="""
See how it differs, then bring it up to date. What others put into the namespace is kept.

    openstack unique serial metadef check
    openstack unique serial metadef install
""",
        accept="""
When somebody changed texts on purpose, for example to translate them.
""",
        rests_on=(Part.METADEFS,),
    ),
    _check(
        "metadefs-conflict",
        Severity.LOW,
        "Another namespace of metadata definitions offers a key of ours too",
        meaning="""
Another namespace in Glance offers the same key as ours for the same type of resource.
""",
        why="""
Horizon shows the key twice. The other one may allow values that count as not set.
""",
        repair="""
See which key it is. Who made the other namespace can tell whether it may go.

    openstack unique serial metadef check
""",
        accept="""
When the other namespace is needed, and both offer the same values.
""",
        rests_on=(Part.METADEFS,),
    ),
    _check(
        "image-may-show-host",
        Severity.INFO,
        "An image can make guests on this host show the host's identity",
        meaning="""
The host honours the keys, is in mode unique (or its mode is unknown), and lets an image ask for
the host's own serial number. That is the default of the specification.
""",
        why="""
Whoever may upload an image can read the identity of the host in the guest (OSSN-0028), where it
would have its own UUID.
""",
        repair="""
Set [unique_serial] image_may_show_host = false in the host's nova.conf, and restart nova-compute.
An image's false then counts as not set.
""",
        accept="""
When images are uploaded by administrators only, or when tenants may know the identity of hosts.
""",
        rests_on=(Part.HOSTS, Part.TRAITS),
    ),
    _check(
        "invalid-value-in-use",
        Severity.INFO,
        "Servers carry a value of a key that is no boolean",
        meaning="""
These servers were built with, or resized to, a flavor or image whose value of the key is neither
true nor false. The value counts as not set for them.
""",
        why="""
Who wrote it wanted something, and these servers do not have it.
""",
        repair="""
Nothing has to be done at once. Correct the flavor or image, so that new servers do not get the
value. To give these servers what was meant, resize them to another flavor that asks for it.

    openstack flavor set --unique-serial FLAVOR
    openstack image set --unique-serial IMAGE
    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER

A rebuild applies what an image says. It erases the root disk.
""",
        accept="""
When the servers have the serial number that they need, because of their host or because the other
one of flavor and image asks for it.
""",
        rests_on=(Part.SERVERS, Part.IMAGES, Part.VOLUMES),
    ),
    _check(
        "host-unknown",
        Severity.UNCHECKED,
        "The mode or the driver of a host with servers is unknown",
        meaning="""
Nothing tells what this host does with serial numbers: its traits do not say it, contradict each
other or could not be read, or the host of the servers is hidden from this user. So it is unknown
where the serial numbers of its servers come from.
""",
        why="""
The servers may share one serial number, or show the identity of their host, and nobody would
know. Settings cannot be compared with what such a host does either.
""",
        repair="""
Tell the mode for one run.

    openstack unique serial audit --host-mode HOST=MODE

Or tell it to everybody: install nova-uniqserial's compute driver on the host, or declare the
trait of its mode, such as CUSTOM_SYSINFO_SERIAL_AUTO, in its provider.yaml. Hosts are hidden from
plain tenants: run the audit as an administrator.
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.HOSTS, Part.SERVERS),
    ),
    _check(
        "host-mode-unknown",
        Severity.UNCHECKED,
        "The mode or the driver of a host is unknown, and no server shows it",
        meaning="""
Nothing tells what this host does with serial numbers: its traits do not say it, or contradict
each other. The serial number of no server that was read depends on that; most often the host has
no servers.
""",
        why="""
Servers can come to this host. What they would get there, and whether it does what flavors, images
and host aggregates promise, could not be checked.
""",
        repair="""
Tell the mode for one run.

    openstack unique serial audit --host-mode HOST=MODE

Or tell it to everybody: install nova-uniqserial's compute driver on the host, or declare the
trait of its mode, such as CUSTOM_SYSINFO_SERIAL_AUTO, in its provider.yaml.
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.HOSTS,),
    ),
    _check(
        "image-unreadable",
        Severity.UNCHECKED,
        "What an image said when servers were built is unknown, and it matters",
        meaning="""
The image of these servers was deleted, has changed since they were built, or is hidden from this
user. Their host honours the keys or may do so, so that their serial number depends on it.
""",
        why="""
The servers may have a serial number of their own or the host's. It cannot be told which.
""",
        repair="""
Install nova-uniqserial on the controllers. From microversion 2.98 (2025.1) on, Nova's API then
tells what a server was built with. For single servers, a resize to another flavor that asks for
a unique serial number settles it.

    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER
""",
        accept=_NOT_CHECKED,
        # The list of images was read all the same.
        takes_away=(Part.SERVERS,),
    ),
    _check(
        "volume-unreadable",
        Severity.UNCHECKED,
        "What the root volume of servers says is unknown, and it matters",
        meaning="""
These servers boot from a volume. Its image properties could not be read, or it is not clear which
of their volumes is the root volume. Their host honours the keys or may do so, so that their
serial number depends on it.
""",
        why="""
The servers may have a serial number of their own or the host's. It cannot be told which.
""",
        repair="""
Look at one server, and at its root volume.

    openstack unique serial show SERVER
    openstack volume show VOLUME

Run the audit as a user who may list the volumes of all projects. For single servers, a resize to
another flavor that asks for a unique serial number settles it.

    openstack server resize --flavor FLAVOR SERVER
    openstack server resize confirm SERVER
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.VOLUMES, Part.SERVERS),
    ),
    _check(
        "flavor-unreadable",
        Severity.UNCHECKED,
        "The extra specs of a flavor are hidden from this user",
        meaning="""
Nova does not tell this user the extra specs of the flavor that these servers use. Their serial
number depends on them.
""",
        why="""
The servers may have a serial number of their own or the host's. It cannot be told which. What
the flavor itself says was not looked at either.
""",
        repair="""
Run the audit as an administrator, or let this user read extra specs: Nova's policy
os_compute_api:os-flavor-extra-specs:index.
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.FLAVORS, Part.SERVERS),
    ),
    _check(
        "server-in-down-cell",
        Severity.UNCHECKED,
        "Nova tells nothing of servers whose cell is down",
        meaning="""
The cell of these servers is down. Nova gives their IDs, but neither host nor flavor nor image.
""",
        why="""
Any of the findings about servers may hold for them.
""",
        repair="""
See the log of nova-api for the cell's database, and repair that. Then run the audit again.

    openstack compute service list
    openstack unique serial audit
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.SERVERS,),
    ),
    _check(
        "hosts-unreadable",
        Severity.UNCHECKED,
        "The hypervisors could not be read, or not all",
        meaning="""
Nova did not tell the hypervisors. Where a cell is down it lists none at all: then hosts are known
from its services and from Placement, and all of them are taken for libvirt with KVM or QEMU on
x86.
""",
        why="""
Without the hosts, neither their traits nor the host aggregates are looked at, and what servers
get on them is unknown or rests on an assumption.
""",
        repair="""
Run the audit as an administrator. Where a cell is down, see the log of nova-api for the cell's
database, and repair that. Then run the audit again.

    openstack hypervisor list
    openstack compute service list
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.HOSTS, Part.TRAITS, Part.AGGREGATES, Part.SERVERS),
    ),
    _check(
        "traits-unreadable",
        Severity.UNCHECKED,
        "Placement did not tell the traits of the hosts",
        meaning="""
The traits of the hosts' resource providers could not be read. They tell the mode and the driver
of each host.
""",
        why="""
Without them, what servers get is known only where a mode was given or a server requires a trait.
Wrong traits are not found.
""",
        repair="""
Run the audit as an administrator, and see that Placement answers (microversion 1.18 or newer).

    openstack --os-placement-api-version 1.6 resource provider trait list PROVIDER

For one run the modes of hosts can be given.

    openstack unique serial audit --host-mode HOST=MODE
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.TRAITS, Part.HOSTS, Part.SERVERS),
    ),
    _check(
        "aggregates-unreadable",
        Severity.UNCHECKED,
        "Nova did not tell the host aggregates",
        meaning="""
The host aggregates could not be read.
""",
        why="""
Invalid values, contradictions and wrong claims of host aggregates are not found. What they
declare of hosts that tell nothing themselves is not known.
""",
        repair="""
Run the audit as an administrator, and see that Nova answers.

    openstack aggregate list --long
""",
        accept=_NOT_CHECKED,
        # Where it leaves a server's policy unknown, host-unknown tells of it.
        takes_away=(Part.AGGREGATES,),
    ),
    _check(
        "flavors-unreadable",
        Severity.UNCHECKED,
        "Nova did not tell the flavors",
        meaning="""
The list of flavors could not be read. Servers have a copy of their own flavor, so what they get
is known all the same.
""",
        why="""
Invalid values, misplaced keys and requests that no host meets are not found on flavors, and
neither is what has changed since servers were built.
""",
        repair="""
See that Nova answers, then run the audit again.

    openstack flavor list --all --long
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.FLAVORS,),
    ),
    _check(
        "images-unreadable",
        Severity.UNCHECKED,
        "Glance did not tell the images",
        meaning="""
The list of images could not be read.
""",
        why="""
Invalid values, misplaced keys and requests that no host meets are not found on images. What
servers were built with is known only where Nova tells it.
""",
        repair="""
See that Glance answers, then run the audit again.

    openstack image list --long
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.IMAGES, Part.SERVERS),
    ),
    _check(
        "volumes-unreadable",
        Severity.UNCHECKED,
        "Cinder did not tell the volumes",
        meaning="""
There are servers that boot from a volume, and the list of volumes could not be read.
""",
        why="""
What the root volumes of these servers say is unknown. Where their hosts honour the keys, so is
their serial number.
""",
        repair="""
See that Cinder answers, and run the audit as a user who may list the volumes of all projects.

    openstack volume list --all-projects
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.VOLUMES, Part.SERVERS),
    ),
    _check(
        "metadefs-unreadable",
        Severity.UNCHECKED,
        "Glance did not tell the metadata definitions",
        meaning="""
A namespace of metadata definitions, or the list of them, could not be read.
""",
        why="""
Whether Horizon offers the keys, and offers them right, is unknown.
""",
        repair="""
See that Glance answers and that this user may read metadata definitions.

    openstack unique serial metadef check
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.METADEFS,),
    ),
)

_SERVERS_UNREAD = _check(
    "servers-unread",
    Severity.UNCHECKED,
    "Servers could not be read, or Nova may have left out some",
    meaning="""
A part of the list of servers stayed away although it was asked for again, a cell is down and Nova
leaves its servers out of long lists, or it is not known which servers changed meanwhile.
""",
    why="""
Any of the findings about servers may hold for those that are missing. Whether their guests were
read is not known either.
""",
    repair="""
See the reason, and the log of nova-api. Then run the command again. Fewer requests at the same
time help a cloud that answers too slowly.

    openstack compute service list
    openstack unique serial audit --max-workers 1
""",
    accept=_NOT_CHECKED,
    takes_away=_LIVE,
)

# --- verify -----------------------------------------------------------------

_VERIFY = (
    _check(
        "not-honoured",
        Severity.HIGH,
        "A host promises a serial number that its guests do not have",
        meaning="""
The traits of the host, a host aggregate, or the trait by which the servers were placed promise a
serial number, and the guests have another one, or none. They do not just wait for a restart, as
far as their definitions tell: no guest of the host that was defined later is right.
""",
        why="""
Nova and this tool believe the promise and send servers here. Licences are bound to a serial
number that is not what it is taken for.
""",
        repair="""
Install nova-uniqserial's compute driver on the host again and restart nova-compute. Then hard
reboot the servers.

    openstack server reboot --hard SERVER

Or take back what promises it: the traits of the host, and its provider.yaml, or what the host
aggregate says.

    openstack --os-placement-api-version 1.6 resource provider trait list PROVIDER
    openstack aggregate unset --unique-serial AGGREGATE
""",
        accept="""
Never: a promise that is not kept misleads whoever relies on it, the scheduler too.
""",
        rests_on=_LIVE,
    ),
    _check(
        "key-ignored",
        Severity.HIGH,
        "Guests do not have the unique serial number that their flavor or image asks for",
        meaning="""
Flavor or image ask for a unique serial number, and the guest does not have it. Its host does not
honour the keys, as released Nova, or tells nothing of itself.
""",
        why="""
Somebody asked for a serial number that stays, and believes to have it. Licences may be bound to
the host instead, and be charged again after a move.
""",
        repair="""
Install nova-uniqserial's compute driver on the host, restart nova-compute and hard reboot the
servers.

    openstack server reboot --hard SERVER

Or move the servers to hosts that have it.

    openstack unique serial host list
    openstack --os-compute-api-version 2.56 server migrate --host HOST SERVER
    openstack server migration confirm SERVER
""",
        accept="""
Never: what is asked for does not happen. Where nobody needs it, take the request out of the
flavor or image. The servers lose it with a resize or a rebuild.
""",
        rests_on=_LIVE,
    ),
    _check(
        "changed-by-hand",
        Severity.HIGH,
        "Guests have a serial number, or a definition in libvirt, that Nova did not write",
        meaning="""
The serial number of the guest is one that Nova never writes, or another server's UUID. Or the
definition in libvirt has another one than the guest runs with, which counts when the guest is
next started outside of Nova.
""",
        why="""
Nova replaces it at the next hard reboot, stop and start, or move. Until then, software may be
licensed to a number that somebody chose, even to a copy of another machine's.
""",
        repair="""
Find out who changed it, and why. A hard reboot makes the definition anew, as Nova has it.

    openstack server reboot --hard SERVER
""",
        accept="""
Never: serial numbers of one's own choice are not kept by Nova, and may break licence terms.
""",
        rests_on=_LIVE,
    ),
    _check(
        "wrong-host-mode",
        Severity.HIGH,
        "Guests show another mode of their host than the one that is declared",
        meaning="""
The host is taken for a mode that gives one serial number, and its guests have another. They do
not just wait for a restart, as far as their definitions tell: no guest of the host that was
defined later is right.
""",
        why="""
All that is said of the servers on this host rests on a mode that is not so: that their serial
numbers stay, or that they show no identity of the host.
""",
        repair="""
Look at [libvirt]sysinfo_serial on the host and at what is declared. Correct the host's
provider.yaml, its traits, or what is given with --host-mode.

    openstack unique serial host list
    openstack --os-placement-api-version 1.6 resource provider trait list PROVIDER
""",
        accept="""
Never: what is declared is wrong.
""",
        rests_on=_LIVE,
    ),
    _check(
        "live-serial-shared",
        Severity.HIGH,
        "Several guests have one serial number",
        meaning="""
Two or more guests have the same serial number now, whatever the policy says.
""",
        why="""
Licence servers and inventories take the guests for one machine.
""",
        repair="""
See what each server should have. Where the policy is the host's identity, set
[libvirt]sysinfo_serial = unique on the host, or resize the servers to a flavor that asks for a
unique serial number. Where it is right already, a hard reboot applies it.

    openstack unique serial show SERVER
    openstack server reboot --hard SERVER
""",
        accept="""
When nothing in the servers reads the serial number and their users may know the host's identity,
or when a licence is meant for the host and covers all servers on it.
""",
        # The list of servers tells whether a guest was left out: see server-not-read.
        rests_on=(Part.GUESTS,),
    ),
    _check(
        "pending-restart",
        Severity.MEDIUM,
        "Guests get another serial number when they are next started",
        meaning="""
The guest does not have what its host gives now. The host has changed since the guest was defined,
or the guest came by live migration, which leaves it as it is.
""",
        why="""
The next hard reboot, stop and start, or move changes the serial number, perhaps in the middle of
the night. Licensed software may then have to be activated again.
""",
        repair="""
Choose the time yourself. A hard reboot, or stop and start, applies it. A reboot from inside the
guest does not.

    openstack server reboot --hard SERVER
""",
        accept="""
Until the next maintenance of the servers, or where nothing in them reads the serial number.
""",
        rests_on=_LIVE,
    ),
    _check(
        "live-host-identity",
        Severity.MEDIUM,
        "Guests have the hardware UUID of a host as serial number",
        meaning="""
The serial number of these guests is one that a host is known to have: its hardware UUID, as
libvirt tells it. Only connections to libvirt tell that; the machine ID of a host is not known.
""",
        why="""
Whoever is in the guest reads the identity of the host (OSSN-0028). After a move and a restart the
number is another one, and licences may be charged again.
""",
        repair="""
See what each server should have. Where the policy is the host's identity, set
[libvirt]sysinfo_serial = unique on the host, or resize the servers to a flavor that asks for a
unique serial number. Where it is right already, a hard reboot applies it.

    openstack unique serial show SERVER
    openstack server reboot --hard SERVER
""",
        accept="""
When the flavor or image asks for the host's own serial number on purpose, or when the users of
the servers may know the host's identity and nothing in the servers depends on the number.
""",
        rests_on=(Part.GUESTS,),
        told_by=(GuestSource.LIBVIRT,),
    ),
    _check(
        "no-domain",
        Severity.MEDIUM,
        "The host of servers was read, and has no domain of them",
        meaning="""
Nova says that the servers are on this host. All domains of the host were read, and none is
theirs. Where another host has one, it is named.
""",
        why="""
What these servers have as serial number is unknown. They may not run at all, or run elsewhere
without Nova's knowledge.
""",
        repair="""
Look at the server, and at the log of nova-compute on its host. See with virsh that no other host
runs it: two guests on one disk destroy its data. Then a hard reboot makes the domain anew.

    openstack server show SERVER
    openstack server reboot --hard SERVER
""",
        accept="""
Never: Nova and libvirt disagree about where the server is.
""",
        rests_on=_LIVE,
        told_by=(GuestSource.LIBVIRT,),
    ),
    _check(
        "domain-twice",
        Severity.MEDIUM,
        "A server has a domain on several hosts",
        meaning="""
Several hosts have a domain with the UUID of this server. All but one are left from a move or an
evacuation.
""",
        why="""
Two guests on one disk destroy its data. One that is started by mistake also brings a second
machine with the same identity.
""",
        repair="""
Find out which host is the server's. A start of nova-compute removes the guests that were
evacuated from its host. What is left then has to be removed with virsh on the other host.

    openstack server show -c OS-EXT-SRV-ATTR:host -c status SERVER
""",
        accept="""
While the server is being moved: a live migration or a resize that is not confirmed has both for
some time.
""",
        rests_on=(Part.GUESTS,),
        told_by=(GuestSource.LIBVIRT,),
    ),
    _check(
        "sources-disagree",
        Severity.MEDIUM,
        "Sources tell different serial numbers of one guest",
        meaning="""
Two sources, for example libvirt and facts from the guest, tell different serial numbers of the
same server.
""",
        why="""
One of them is old or wrong. What was compared with the policy may be the wrong one.
""",
        repair="""
Read the sources again, at the same time. What was saved may be from before a restart or a move.

    openstack unique serial verify --libvirt-uri qemu+ssh://root@{host}/system
""",
        accept="""
Never: read the sources again. If they still disagree, something in the guest or its definition
was changed by hand.
""",
        rests_on=(Part.GUESTS,),
    ),
    _check(
        "orphaned-domain",
        Severity.LOW,
        "Nova made a domain, and no server is it",
        meaning="""
The definition of this domain was made by Nova, but Nova has no server with its UUID. It is told
only where the servers of all projects were read.
""",
        why="""
It takes memory and disk of the host that Nova believes to be free. Software in it may still run,
with a serial number and a licence.
""",
        repair="""
Make sure that no cloud has the server. Then remove the domain with virsh on its host.

    openstack server show SERVER
""",
        accept="""
While the server is being deleted, or when another Nova uses the same host.
""",
        rests_on=_LIVE,
        told_by=(GuestSource.LIBVIRT, GuestSource.DOMAINS),
        all_projects=True,
    ),
    _check(
        "other-domain",
        Severity.INFO,
        "A domain on a compute host was not made by Nova",
        meaning="""
A source tells of a domain that has nothing of Nova in its definition, and no server is it. It is
told only where the servers of all projects were read.
""",
        why="""
Nova does not know what it takes of the host, and its serial number follows no policy.
""",
        repair="""
Find out who made it. Nothing has to be done where it is meant to be there.
""",
        accept="""
When the host is meant to run it, for example a control plane in virtual machines.
""",
        rests_on=_LIVE,
        told_by=(GuestSource.LIBVIRT, GuestSource.DOMAINS),
        all_projects=True,
    ),
    _check(
        "expectation-unknown",
        Severity.UNCHECKED,
        "What guests should have is unknown",
        meaning="""
The guest was read, but the policy of its server is unknown: its host tells nothing of itself, or
what its flavor or image says could not be read. Or it has the identity of a host, and nothing tells
whether it is the one that its own host gives: guests there have several, or it is the hardware UUID
where the machine ID is expected.
""",
        why="""
The serial number that the guest has cannot be compared with anything.
""",
        repair="""
See what is missing, and make it known.

    openstack unique serial show SERVER

For a host that tells nothing, give its mode with --host-mode HOST=MODE, or declare it in its
provider.yaml. Guests whose identity is in doubt have that of their own host once they are started
anew.
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.GUESTS,),
    ),
    _check(
        "live-unread",
        Severity.UNCHECKED,
        "A host, file or line with live serial numbers could not be read",
        meaning="""
A connection to libvirt failed or took too long, or a domain, file or line of a source could not
be read.
""",
        why="""
The guests in it were not compared with the policy.
""",
        repair="""
See the reason, correct the source, and run verify again. With qemu+ssh nobody is asked for a
password: keys or an agent must do. A host that is slow gets more time.

    openstack unique serial verify --libvirt-uri qemu+ssh://root@{host}/system --timeout 300
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.GUESTS,),
    ),
    _check(
        "server-not-read",
        Severity.UNCHECKED,
        "No source told of the guests of servers",
        meaning="""
The servers are on this host, and none of the sources has a guest of theirs. Not all guests of the
host were read from libvirt.
""",
        why="""
What these servers have as serial number is unknown.
""",
        repair="""
Add a source that has them: a connection to libvirt on their host, its saved domain XML, or facts
from the guests.

    openstack unique serial verify --libvirt-uri qemu+ssh://root@{host}/system
""",
        accept=_NOT_CHECKED,
        takes_away=(Part.GUESTS,),
    ),
)

#: What audit looks for, by ID, the gravest first.
AUDIT: Mapping[str, Check] = by_severity((*_AUDIT, _SERVERS_UNREAD))
#: What verify looks for, by ID, the gravest first.
VERIFY: Mapping[str, Check] = by_severity((*_VERIFY, _SERVERS_UNREAD))
#: Both of them, in the same order.
ALL: Mapping[str, Check] = by_severity({**AUDIT, **VERIFY}.values())
