# SPDX-License-Identifier: Apache-2.0
"""Objects of the model, records and words that tests of several modules need.

A cloud that answers over HTTP is in ``fake_cloud``, ``glance`` and ``clouds``;
what Hypothesis draws from is in ``strategies``.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from osc_uniqserial import policy
from osc_uniqserial.api import evidence
from osc_uniqserial.model.cloud import (
    Aggregate,
    Case,
    Configuration,
    Flavor,
    Fleet,
    Host,
    Hypervisor,
    Image,
    ImagePart,
    ServerFacts,
    Unchecked,
)
from osc_uniqserial.model.finding import ServerIds
from osc_uniqserial.policy import Evidence, HostInput, SettingInput

Json = dict[str, Any]

# --- words ---------------------------------------------------------------------

# The names of traits are written out: they are an interface, and policy.py may not change them.
#: A guest that asks for a unique serial gets one on this host; its driver honours the keys.
TRAIT_UNIQUE, TRAIT_KEYS = "CUSTOM_UNIQUE_SERIAL", "CUSTOM_UNIQUE_SERIAL_KEYS"
#: An image may make the driver show the host's identity.
OPEN = "CUSTOM_UNIQUE_SERIAL_IMAGE_MAY_SHOW_HOST"
#: What a guest gets that asks for nothing.
M_UNIQUE, M_AUTO, M_OS, M_NONE = (
    f"CUSTOM_SYSINFO_SERIAL_{mode}" for mode in ("UNIQUE", "AUTO", "OS", "NONE")
)
#: What the driver reports on a host in mode unique whose operator closed it for images.
DRIVER = (TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE)

#: Flavors: one asks for a unique serial, the other for nothing.
GOLD, PLAIN = "gold", "plain"
#: What a flavor and an image say.
TRUE, FALSE = {"hw:unique_serial": "true"}, {"hw:unique_serial": "false"}
IMAGE_TRUE, IMAGE_FALSE = {"hw_unique_serial": "true"}, {"hw_unique_serial": "false"}
#: When an image was changed: before its servers were built, or since.
BEFORE, AFTER = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"
#: When servers were created, and when Nova made their volumes.
CREATED, MADE = "2026-01-02T00:00:00Z", "2026-01-02T00:00:30Z"
#: The field of a server with its host.
HOST = "OS-EXT-SRV-ATTR:host"
#: A name that nothing may show as it is.
EVIL = "=\x1b[2J\n\u202e$(id)`id`"


# --- records of Nova, Glance and Cinder -------------------------------------------


def server_id(number: int) -> str:
    """Return the ID of a server; they are spread over all that is possible."""
    return f"{number * 0x01000000:08x}-0000-4000-8000-{number:012x}"


def image_id(number: int) -> str:
    """Return the ID of an image."""
    return f"22222222-2222-4222-8222-{number:012x}"


def volume_id(number: int) -> str:
    """Return the ID of a volume."""
    return f"66666666-6666-4666-8666-{number:012x}"


def on(volumes: list[Json]) -> Json:
    """Return what a server of these volumes has."""
    return {"os-extended-volumes:volumes_attached": volumes}


# --- the model: configuration and servers -----------------------------------------


def host(
    name: str,
    *traits: str,
    unread: bool = False,
    enabled: bool = True,
    up: bool = True,
    type: str = "QEMU",
    mode: policy.HostMode | None = None,
) -> Host:
    """Return a host with these traits; ``mode`` is what the user gives for it."""
    hypervisor = Hypervisor(f"provider-{name}", name, name, enabled, up, type, "x86_64")
    found = None if unread else frozenset(traits)
    smbios = hypervisor.writes_sysinfo(None)
    known = evidence.host_input(found, mode, declared=False, smbios=smbios)
    return Host(hypervisor, known, found)


def aggregate(name: str, hosts: Sequence[str] = ("a",), /, **metadata: str) -> Aggregate:
    """Return an aggregate of these hosts; ``__`` in a key stands for a colon."""
    said = {key.replace("__", ":"): value for key, value in metadata.items()}
    return Aggregate(name, name, None, said, frozenset(hosts))


def flavor(name: str = "gold", /, **specs: str) -> Flavor:
    """Return a flavor with these extra specs."""
    return Flavor(f"id-{name}", name, specs)


def image(
    name: str = "debian",
    visibility: str = "private",
    snapshot: bool = False,
    /,
    **properties: str,
) -> Image:
    """Return an image with these properties."""
    return Image(f"id-{name}", name, properties, "owner", visibility, "2026", snapshot)


def configuration(
    *fleet: Host,
    aggregates: Sequence[Aggregate] = (),
    flavors: Iterable[Flavor] | Unchecked = (),
    images: Iterable[Image] | Unchecked = (),
    **more: Any,
) -> Configuration:
    """Return a cloud of these; ``more`` are fields of its fleet."""
    return Configuration(
        Fleet(fleet, tuple(aggregates), **more),
        flavors if isinstance(flavors, Unchecked) else tuple(flavors),
        images if isinstance(images, Unchecked) else {each.id: each for each in images},
    )


def built_from(raw: str | None, now: str | None = None, changed: bool = False) -> ImagePart:
    """Return what a server's image said when it was built, and says now if it changed."""
    used = SettingInput(policy.parse(raw), Evidence.FROZEN)
    return ImagePart(used, policy.parse(now) if changed else None, bounded=False)


#: No two servers have one ID.
NUMBERS = iter(range(1, 1_000_000))


def server_facts(
    on: Host | None,
    specs: dict[str, str] | None = None,
    image: ImagePart | None = None,
    **changes: Any,
) -> ServerFacts:
    """Return a server; without a host it is shelved. ``changes`` are fields of it or its case.

    :param changes: ``metadata`` is the text of the server's own request
    """
    request = policy.SettingInput(policy.parse(changes.pop("metadata", None)))
    flavor_now = changes.pop("flavor_now", None)
    case = Case(
        evidence.flavor_part(specs or {}, flavor_now),
        image or built_from(None),
        on.input if on else HostInput(),
        host_visible=changes.pop("host_visible", True),
        reachable=changes.pop("reachable", True),
        pinned=changes.pop("pinned", False),
        placed=on is not None,
        server=request,
    )
    number = next(NUMBERS)
    about = ServerFacts(
        str(uuid.UUID(int=number)),
        f"web-{number}",
        "p",
        "ACTIVE" if on else "SHELVED_OFFLOADED",
        on.hypervisor.host if on else None,
        case,
        "gold",
        "id-debian",
        on,
    )
    return dataclasses.replace(about, **changes)


def servers(count: int) -> ServerIds:
    """Return the IDs of so many servers."""
    held = ServerIds()
    for number in range(count):
        held.add(str(uuid.UUID(int=number)))
    return held


# --- guests ------------------------------------------------------------------------

DOMAIN_ID = "11111111-1111-4111-8111-111111111111"
#: What no document of libvirt begins with.
ENTITY = b'<!DOCTYPE d [<!ENTITY a "aaaa">]>'


def nova_domain(
    id_: str = DOMAIN_ID,
    serial: str | None = DOMAIN_ID,
    sysinfo: str = "",
    before: str = "",
    after: str = "",
    smbios: str = "<smbios mode='sysinfo'/>",
) -> bytes:
    """Return a domain as libvirt prints one that Nova made."""
    entry = "" if serial is None else f"<entry name='serial'>{serial}</entry>"
    return f"""<domain type='kvm' id='3'>
  <name>instance-00000001</name>
  <uuid>{id_}</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:package version="34.0.0"/>
      <nova:name>web</nova:name>
      <nova:creationTime>2026-11-22 10:11:12</nova:creationTime>
      <nova:ports>
        <nova:port uuid="a"><nova:ip type="fixed" address="10.0.0.1"/></nova:port>
        <nova:port uuid="b"><nova:ip type="fixed" address="10.0.0.2"/></nova:port>
      </nova:ports>
    </nova:instance>{before}
  </metadata>
  <sysinfo type='smbios'>
    <system>
      <entry name='manufacturer'>OpenStack Foundation</entry>
      {entry}
      <entry name='uuid'>{id_}</entry>
    </system>{sysinfo}
  </sysinfo>
  <os><type arch='x86_64'>hvm</type>{smbios}</os>
  <devices><disk/></devices>{after}
</domain>
""".encode()
