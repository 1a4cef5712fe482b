# SPDX-License-Identifier: Apache-2.0
"""The scenarios of ``devcloud seed``: small groups of resources with what must be found. Pure.

What holds for all of them, since the cloud is mixed: some host honours the keys, also one in mode
unique whose images may show it; some host meets a request for unique and some enabled one is
known not to. So every flavor or image that says true and does not require the trait is not
steered; every image that says false and is not public may show a host's serial; and a serial that
is a server's UUID is lost on some move, unless the server requires the trait (it survives) or is
kept from hosts by something else (unknown).
"""

from collections.abc import Mapping
from typing import Any

from devcloud import hosts
from devcloud.errors import DevcloudError
from devcloud.hosts import (
    MODE_AUTO,
    MODE_HARDWARE,
    MODE_NONE,
    MODE_OS,
    MODE_UNIQUE,
    UNIQUE_SERIAL,
)
from devcloud.seed_plan import (
    ABSENT,
    FLAVOR_KEY,
    IMAGE_KEY,
    KEYS,
    MAY_ASK,
    MAY_SHOW,
    UNKNOWN,
    UUID,
    Builder,
    Flavor,
    Host,
    Image,
    Plan,
    node_uuid,
)

REQUIRES = {f"trait:{UNIQUE_SERIAL}": "required"}
TRUE = {FLAVOR_KEY: "true"}
FALSE = {FLAVOR_KEY: "false"}
IMAGE_TRUE = {IMAGE_KEY: "true"}
IMAGE_FALSE = {IMAGE_KEY: "false"}
#: The right way to ask for a serial of one's own.
STEERED = {**TRUE, **REQUIRES}
IMAGE_STEERED = {**IMAGE_TRUE, **REQUIRES}

ESCAPE = "\x1b[31mred\x1b[0m\x07"
SCRIPT = "<script>alert(1)</script>"
FORMULA = "=cmd()"
LINES = "two\nlines\r\n\tthree"
MIRRORED = "\u202eexe.\u200fgnp"
LONG = "n" * 255
#: What Nova takes as a name of a flavor or an aggregate: no control or format characters.
PRINTABLE = (
    SCRIPT,
    FORMULA,
    LONG,
    "\N{SNOWMAN} \N{CJK UNIFIED IDEOGRAPH-4E2D}",
    "\"; DROP' %s {0}",
)
HOSTILE = (*PRINTABLE, ESCAPE, LINES, MIRRORED, " blanks ", "+1-1", "@SUM(A1)", "|pipe|", "-n")

#: The hosts that every seeded cloud has: (kind, traits, the rest).
_CORE: tuple[tuple[str, tuple[str, ...], Mapping[str, Any]], ...] = (
    ("keys-unique", (UNIQUE_SERIAL, KEYS, MODE_UNIQUE, MAY_SHOW, MAY_ASK), {}),
    ("keys-closed", (UNIQUE_SERIAL, KEYS, MODE_UNIQUE), {}),
    ("keys-auto", (UNIQUE_SERIAL, KEYS, MODE_AUTO, MAY_SHOW, MAY_ASK), {}),
    ("unique", (UNIQUE_SERIAL, MODE_UNIQUE), {}),
    ("auto", (MODE_AUTO,), {"node": "seed-auto-1.example.org"}),
    ("os", (MODE_OS,), {"cell": "cell2"}),
    ("none", (MODE_NONE,), {}),
    ("hardware", (MODE_HARDWARE,), {"disabled": True}),
    ("declared", (), {}),
    ("contradicting", (UNIQUE_SERIAL, MODE_AUTO), {}),
    ("modeless", (UNIQUE_SERIAL, KEYS, MAY_SHOW), {}),
    (
        "vmware",
        (UNIQUE_SERIAL, MODE_UNIQUE),
        {"hypervisor_type": "VMware vCenter Server"},
    ),
    # Its driver is older, or does not let servers ask.
    ("keys-older", (UNIQUE_SERIAL, KEYS, MODE_AUTO, MAY_SHOW), {}),
)
#: More of them, in this order, where more are asked for.
_MORE: tuple[tuple[str, tuple[str, ...], Mapping[str, Any]], ...] = (
    ("arm", (UNIQUE_SERIAL, MODE_UNIQUE), {"architecture": "aarch64"}),
    ("keys-silent", (KEYS, MODE_OS), {}),
    ("keys-torn", (UNIQUE_SERIAL, KEYS, MODE_OS, MODE_AUTO), {}),
    ("undeclared", (), {}),
    ("unique", (UNIQUE_SERIAL, MODE_UNIQUE), {"cell": "cell2"}),
    ("keys-os", (UNIQUE_SERIAL, KEYS, MODE_OS), {}),
    ("ironic", (), {"hypervisor_type": "ironic"}),
)
#: And then these again and again.
_USUAL: tuple[tuple[str, tuple[str, ...], Mapping[str, Any]], ...] = (
    ("unique", (UNIQUE_SERIAL, MODE_UNIQUE), {}),
    ("keys-closed", (UNIQUE_SERIAL, KEYS, MODE_UNIQUE), {}),
    ("auto", (MODE_AUTO,), {}),
    ("os", (MODE_OS,), {}),
)
FEWEST_HOSTS = len(_CORE)


def make_plan(
    seed: int, servers: int, hosts_wanted: int, namespace: Mapping[str, Any] | None = None
) -> Plan:
    """Plan a cloud.

    :param servers: how many in all; the scenarios need some, the rest is usual
    :param hosts_wanted: how many besides the cloud's own
    :param namespace: the definition of the namespace for aggregates, to be installed privately;
        without one it is missing like the others
    """
    if hosts_wanted < FEWEST_HOSTS:
        raise DevcloudError(f"the scenarios need {FEWEST_HOSTS} hosts or more")
    make = Builder(seed)
    make.plan.projects = ["seed-bank", "seed-shop", "seed-lab", SCRIPT, FORMULA, ESCAPE, MIRRORED]
    _hosts(make, hosts_wanted)
    kit = Kit(make)
    for scenario in SCENARIOS:
        scenario(make, kit)
    _metadefs(make, namespace)
    needed = len(make.plan.servers)
    if servers < needed:
        raise DevcloudError(f"the scenarios need {needed} servers or more")
    _fill(make, kit, servers - needed)
    # What the others draw at random stays as it was.
    for scenario in LATER_SCENARIOS:
        scenario(make, kit)
    return make.finish()


def _hosts(make: Builder, wanted: int) -> None:
    """Hosts, and what is found about them whatever runs there."""
    table = (*_CORE, *_MORE)
    for number in range(wanted):
        beyond = number - len(table)
        row = table[number] if beyond < 0 else _USUAL[beyond % len(_USUAL)]
        kind, traits, more = row
        make.host(kind, traits, **more)
    findings = {
        "keys-unique": ("image-may-show-host",),
        "contradicting": ("contradicting-traits",),
        "modeless": ("incomplete-traits", "image-may-show-host"),
        "vmware": ("wrong-traits",),
        "arm": ("wrong-traits",),
        "keys-silent": ("incomplete-traits",),
        "keys-torn": ("contradicting-traits",),
    }
    for host in make.plan.hosts:
        for finding in findings.get(host.kind, ()):
            make.found(finding, host)
    # Of the cloud's own hosts one contradicts itself. Two are disabled, which leaves one trait
    # to a single enabled host and another one to none.
    own = hosts.BY_NAME["mixed-1"]
    make.found_elsewhere("contradicting-traits", "host", own.name, node_uuid(own.node))
    make.plan.disabled = ["hardware-1", "none-1"]
    # Neither has a server of the plan.
    for name in (own.name, "undeclared-1"):
        make.unknown_elsewhere(name, node_uuid(hosts.BY_NAME[name].node))


class Kit:
    """Resources that many scenarios share, all without findings."""

    def __init__(self, make: Builder) -> None:
        self.small = make.flavor("seed.small")
        self.large = make.flavor("seed.large", {"hw:cpu_policy": "shared"})
        self.licensed = make.flavor("seed.licensed", STEERED)
        self.hostly = make.flavor("seed.host", FALSE)
        self.debian = make.image("Debian 12", {"os_distro": "debian", "hw_disk_bus": "virtio"})
        self.windows = make.image(
            "Windows Server 2025", {"os_type": "windows", "hw_machine_type": "q35"}
        )
        self.appliance = make.image("appliance", IMAGE_STEERED)
        self.shy = make.image("shy", IMAGE_FALSE)
        self.at: dict[str, Host] = {}
        for host in make.plan.hosts:
            self.at.setdefault(host.kind, host)

    def maybe(self, kind: str) -> Host | None:
        """The first host of a kind that only larger clouds have."""
        return self.at.get(kind)


# --- the catalog ------------------------------------------------------------


def _invalid_values(make: Builder, kit: Kit) -> None:
    for text in ("null", "banana", "", " ", "ture", "2", "None", ESCAPE, SCRIPT, FORMULA, LINES):
        name = make.number("seed.invalid")
        make.found("invalid-value", make.flavor(name, {FLAVOR_KEY: text}))
    for text in ("null", "banana", "", SCRIPT, ESCAPE, LONG):
        make.found("invalid-value", make.image(make.number("invalid"), {IMAGE_KEY: text}))
    make.found("invalid-value", make.image("invalid, hidden", {IMAGE_KEY: "maybe"}, hidden=True))
    make.found(
        "invalid-value", make.image("invalid, private", {IMAGE_KEY: "nul"}, visibility="private")
    )
    for key, text in ((FLAVOR_KEY, "banana"), (IMAGE_KEY, ""), (FLAVOR_KEY, ESCAPE)):
        make.found("invalid-value", make.aggregate(make.number("seed-invalid"), {key: text}))


def _spellings(make: Builder, kit: Kit) -> None:
    for text in ("True", "YES", "1", "on", " true "):
        make.flavor(make.number("seed.spelled"), {FLAVOR_KEY: text, **REQUIRES})
        make.flavor(make.number("seed.spelled"), {FLAVOR_KEY: "off" if text == "1" else "No"})
    make.image("spelled", {IMAGE_KEY: "TRUE", **REQUIRES})


def _misplaced_keys(make: Builder, kit: Kit) -> None:
    for key in (IMAGE_KEY, "hw:unique-serial", "unique_serial", "hw:UniqueSerial"):
        make.found("misplaced-key", make.flavor(make.number("seed.misplaced"), {key: "true"}))
    for key in (FLAVOR_KEY, "unique_serial", "hw-unique-serial"):
        make.found("misplaced-key", make.image(make.number("misplaced"), {key: "true"}))


def _misspelt_keys(make: Builder, kit: Kit) -> None:
    for key in ("hw:unqiue_serial", "hw:unique_serial_number", "os:unique_serial"):
        make.found("misspelt-key", make.flavor(make.number("seed.misspelt"), {key: "true"}))
    make.found("misspelt-key", make.image("misspelt", {"hw_unique_seriel": "true"}))
    make.found("misspelt-key", make.aggregate("seed-misspelt", {"hw:uniq_serial": "true"}))


def _contradicting_requests(make: Builder, kit: Kit) -> None:
    make.found("contradicting-request", make.flavor("seed.torn", {**FALSE, **REQUIRES}))
    make.found("contradicting-request", make.image("torn", {**IMAGE_FALSE, **REQUIRES}))


def _no_valid_host(make: Builder, kit: Kit) -> None:
    # Only disabled hosts have it.
    requires = {f"trait:{MODE_HARDWARE}": "required"}
    make.found("no-valid-host", make.image("needs hardware", requires))
    flavor = make.flavor("seed.hardware", requires)
    make.found("no-valid-host", flavor)
    server = make.server(
        kit.at["hardware"], flavor, kit.debian, requested="unset", source="host-hardware"
    )
    make.found("cannot-move", server)


def _not_steered(make: Builder, kit: Kit) -> None:
    flavor = make.flavor("seed.hopeful", TRUE)
    make.found("not-steered", flavor)
    image = make.image("hopeful", IMAGE_TRUE)
    make.found("not-steered", image)
    for used, source in ((flavor, kit.debian), (kit.small, image)):
        for kind in ("keys-unique", "keys-auto", "unique"):
            make.server(kit.at[kind], used, source, requested="unique", source=UUID, survives=False)
        # Where it is not met.
        make.server(kit.at["auto"], used, source, requested="unique", source="host-auto")
        make.server(kit.at["os"], used, source, requested="unique", source="host-os")
        make.server(kit.at["none"], used, source, requested="unique", source=ABSENT)
        make.server(kit.at["vmware"], used, source, requested="unique", source=ABSENT)
        # Unknown, but for a promise.
        make.server(kit.at["declared"], used, source, requested="unique", source=UUID)
        make.server(kit.at["contradicting"], used, source, requested="unique", source=UNKNOWN)
        # Its mode is unknown, so the others do not matter.
        make.server(kit.at["modeless"], used, source, requested="unique", source=UUID)
    arm = kit.maybe("arm")
    if arm:
        make.server(arm, flavor, kit.debian, requested="unique", source=ABSENT)
    silent = kit.maybe("keys-silent")
    if silent:
        make.server(silent, flavor, kit.debian, requested="unique", source=UUID, survives=False)


def _snapshots(make: Builder, kit: Kit) -> None:
    snapshot = {"image_type": "snapshot"}
    make.found("inherited-key", make.image("snap of a steered", {**snapshot, **IMAGE_STEERED}))
    shown = make.image("snap of a shy", {**snapshot, **IMAGE_FALSE}, visibility="private")
    make.found("inherited-key", shown)
    make.found("tenant-image-shows-host", shown)
    make.image("snap of a plain", snapshot, visibility="private")


def _tenant_images(make: Builder, kit: Kit) -> None:
    private = make.image("tenant's own", IMAGE_FALSE, visibility="private")
    for image in (
        private,
        make.image("tenant's shared", IMAGE_FALSE, visibility="shared"),
        make.image("tenant's hidden", IMAGE_FALSE, visibility="private", hidden=True),
    ):
        make.found("tenant-image-shows-host", image)
    for image in (private, kit.shy):
        make.server(kit.at["keys-unique"], kit.small, image, requested="host", source="host-auto")
        # There an image's false counts as not set, and the host is in mode unique; elsewhere not.
        make.server(
            kit.at["keys-closed"],
            kit.small,
            image,
            requested="unset",
            source=UUID,
            survives=False,
        )
        # A stock host does not look at it.
        make.server(
            kit.at["unique"], kit.small, image, requested="host", source=UUID, survives=False
        )
        make.server(kit.at["os"], kit.small, image, requested="host", source="host-os")
    strict = kit.maybe("keys-os")
    if strict:
        make.server(strict, kit.small, kit.shy, requested="unset", source="host-os")


def _names(make: Builder, kit: Kit) -> None:
    for name in PRINTABLE:
        make.flavor(name, STEERED)
        make.aggregate(name, {"team": ESCAPE})
    for name in HOSTILE:
        make.image(name, {"description": MIRRORED})


# --- aggregates -------------------------------------------------------------


def _aggregates(make: Builder, kit: Kit) -> None:
    both = {FLAVOR_KEY: "true", IMAGE_KEY: "True"}
    at = kit.at
    make.aggregate("seed-licence-rack", both, at["keys-closed"], at["keys-auto"], at["modeless"])
    make.aggregate("seed-declared", {FLAVOR_KEY: "true"}, at["declared"])
    make.aggregate("seed-shared-rack", {FLAVOR_KEY: "false"}, at["none"])
    make.aggregate("seed-plain-rack", {"ssd": "true"}, at["auto"], at["unique"])
    zoned = make.of_kind("unique", "keys-unique")
    make.aggregate("seed-zone", {}, *zoned, zone="seed-az")

    make.found(
        "aggregate-conflict",
        make.aggregate("seed-torn", {FLAVOR_KEY: "true", IMAGE_KEY: "False"}),
    )
    # Of a host for which it is unknown whether it meets unique.
    for name, value in (("seed-says-yes", "true"), ("seed-says-no", "false")):
        make.found(
            "aggregate-conflict",
            make.aggregate(name, {FLAVOR_KEY: value}, at["contradicting"]),
        )
    make.found(
        "aggregate-host-mismatch",
        make.aggregate("seed-wishful", {FLAVOR_KEY: "true"}, at["auto"], at["keys-closed"]),
    )
    make.found(
        "aggregate-host-mismatch",
        make.aggregate("seed-humble", {IMAGE_KEY: "False"}, at["unique"], at["os"]),
    )


# --- servers ----------------------------------------------------------------


def _conflicting_settings(make: Builder, kit: Kit) -> None:
    other = make.image("shy too", IMAGE_FALSE)
    for image, kinds in ((kit.shy, ("keys-closed", "unique")), (other, ("keys-unique",))):
        servers = [
            make.server(
                kit.at[kind], kit.licensed, image, requested="unique", source=UUID, survives=True
            )
            for kind in kinds
        ]
        make.found("setting-conflict", kit.licensed, servers, image)
    asked = make.server(
        kit.at["keys-auto"],
        kit.hostly,
        kit.appliance,
        requested="unique",
        source=UUID,
        survives=True,
    )
    make.found("setting-conflict", kit.hostly, [asked], kit.appliance)


def _plain(make: Builder, kit: Kit) -> None:
    """Nobody asks for anything, or for the host's own serial."""
    for flavor, wish in ((kit.small, "unset"), (kit.hostly, "host")):
        make.server(
            kit.at["unique"], flavor, kit.debian, requested=wish, source=UUID, survives=False
        )
        make.server(kit.at["os"], flavor, kit.debian, requested=wish, source="host-os")
        make.server(kit.at["none"], flavor, kit.debian, requested=wish, source=ABSENT)
        make.server(kit.at["vmware"], flavor, kit.debian, requested=wish, source=ABSENT)
        make.server(kit.at["hardware"], flavor, kit.debian, requested=wish, source="host-hardware")
        for kind in ("declared", "contradicting", "modeless", "undeclared", "keys-torn"):
            host = kit.maybe(kind)
            if host:
                make.server(host, flavor, kit.windows, requested=wish, source=UNKNOWN)
    make.server(
        kit.at["keys-closed"],
        kit.small,
        kit.debian,
        requested="unset",
        source=UUID,
        survives=False,
    )
    make.server(kit.at["keys-closed"], kit.hostly, kit.debian, requested="host", source="host-auto")
    # A guest of another architecture has no SMBIOS.
    foreign = make.image("Debian 12 for Arm", {"hw_architecture": "aarch64"})
    make.server(kit.at["keys-unique"], kit.small, foreign, requested="unset", source=ABSENT)


def _kept_from_hosts(make: Builder, kit: Kit) -> None:
    """Something else keeps the server from hosts: the effect of a move is unknown."""
    for kind in ("unique", "keys-unique"):
        make.server(
            kit.at[kind], kit.small, kit.debian, requested="unset", source=UUID, pinned=True
        )
    for specs in (
        {"trait:HW_CPU_X86_VMX": "required"},
        {"trait:CUSTOM_RAID": "forbidden"},
        {"aggregate_instance_extra_specs:ssd": "true"},
        {"ssd": "true"},
        {"resources1:VCPU": "1", "trait1:HW_CPU_X86_SVM": "required"},
    ):
        flavor = make.flavor(make.number("seed.kept"), specs)
        make.server(kit.at["unique"], flavor, kit.debian, requested="unset", source=UUID)


def _cannot_move(make: Builder, kit: Kit) -> None:
    # Of the enabled hosts only one has it.
    requires = {f"trait:{MODE_NONE}": "required"}
    flavor = make.flavor("seed.none", requires)
    image = make.image("needs none", requires)
    for used, source in ((flavor, kit.debian), (kit.small, image)):
        make.found(
            "cannot-move",
            make.server(kit.at["none"], used, source, requested="unset", source=ABSENT),
        )


def _cannot_rebuild(make: Builder, kit: Kit) -> None:
    """The host once had the trait that they require."""
    plain = make.flavor("seed.placed", REQUIRES)
    make.found(
        "host-lacks-trait",
        make.server(kit.at["os"], plain, kit.debian, requested="unset", source="host-os"),
    )
    for kind, source in (("auto", "host-auto"), ("none", ABSENT)):
        make.found(
            "host-lacks-trait",
            make.server(kit.at[kind], kit.licensed, kit.debian, requested="unique", source=source),
        )
    make.found(
        "host-lacks-trait",
        make.server(kit.at["os"], kit.small, kit.appliance, requested="unique", source="host-os"),
    )


def _changed_flavors(make: Builder, kit: Kit) -> None:
    host = kit.at["keys-closed"]
    emptied = make.flavor("seed.emptied")
    turned = make.flavor("seed.turned", FALSE)
    for flavor in (emptied, turned):
        servers = [
            make.server(
                host,
                flavor,
                kit.debian,
                specs={**STEERED, FLAVOR_KEY: text},
                requested="unique",
                source=UUID,
                survives=True,
            )
            for text in ("true", "Yes")
        ]
        make.found("flavor-changed", flavor, servers)
    marked = make.flavor("seed.marked", STEERED)
    changed = make.server(
        kit.at["auto"], marked, kit.debian, specs={}, requested="unset", source="host-auto"
    )
    make.found("flavor-changed", marked, [changed])
    # The same in another spelling, before and after.
    make.server(
        host,
        marked,
        kit.debian,
        specs={**STEERED, FLAVOR_KEY: "T"},
        requested="unique",
        source=UUID,
        survives=True,
    )
    # What a flavor said that is gone is all that there is to know.
    gone = make.flavor("seed.gone", STEERED, temporary=True)
    make.server(host, gone, kit.debian, requested="unique", source=UUID, survives=True)


def _invalid_in_use(make: Builder, kit: Kit) -> None:
    mended = make.flavor("seed.mended")
    broken = make.flavor("seed.broken", {FLAVOR_KEY: "enabled"})
    make.found("invalid-value", broken)
    for flavor, texts in ((mended, ("banana", "null")), (broken, ("enabled",))):
        servers = [
            make.server(
                kit.at["auto"],
                flavor,
                kit.debian,
                specs={FLAVOR_KEY: text},
                requested="unset",
                source="host-auto",
            )
            for text in texts
        ]
        make.found("invalid-value-in-use", flavor, servers)
    image = make.image("broken", {IMAGE_KEY: "null"})
    make.found("invalid-value", image)
    servers = [
        make.server(kit.at["none"], kit.small, image, requested="unset", source=ABSENT),
        make.server(kit.at["keys-auto"], kit.small, image, requested="unset", source="host-auto"),
    ]
    make.found("invalid-value-in-use", image, servers)


def _volumes(make: Builder, kit: Kit) -> None:
    """Servers without an image: what counts is the image that their root volume was made from.

    Nova takes the metadata of a volume that is older than its server. These may have changed
    since then.
    """
    plain, true, false = map(_volume_image_metadata, (kit.debian, kit.appliance, kit.shy))
    at = kit.at

    def boot(
        host: Host, root: Mapping[str, str], other: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        volumes = [make.volume(root)]
        if other is not None:
            # Attached before the root disk, and with the lower ID: first in every list.
            volumes.insert(0, make.volume(other, root=False, device="/dev/vdb"))
            ids = sorted(volume.id for volume in volumes)
            for volume, volume_id in zip(volumes, ids, strict=True):
                volume.id = volume_id
        return {"host": host, "flavor": kit.small, "volumes": volumes}

    make.server(**boot(at["keys-auto"], true), requested="unique", source=UUID, survives=True)
    # The metadata of the volume were changed after the boot.
    changed = {**true, **IMAGE_FALSE}
    make.server(**boot(at["keys-auto"], changed), requested="unique", source=UUID, survives=True)
    make.server(
        **boot(at["keys-auto"], true, false), requested="unique", source=UUID, survives=True
    )
    make.server(**boot(at["keys-unique"], false, true), requested="host", source="host-auto")
    make.server(**boot(at["auto"], false, plain), requested="host", source="host-auto")
    make.server(**boot(at["unique"], plain), requested="unset", source=UUID, survives=False)
    make.server(**boot(at["os"], plain, false), requested="unset", source="host-os")
    unknown = (make.volume(exists=False), *(make.volume(said, older=True) for said in (true, {})))
    for root in unknown:
        make.server(
            at["keys-auto"],
            kit.small,
            volumes=[root],
            requested=None,
            source=UNKNOWN,
            unchecked="volume-unreadable",
        )
    older = [make.volume(true, older=True)]
    # There the host mode decides, whatever the image asks for.
    make.server(at["os"], kit.small, volumes=older, requested=None, source="host-os")


def _volume_image_metadata(image: Image) -> dict[str, str]:
    """What Cinder keeps of the image that a volume was made from."""
    return {
        "image_id": image.id,
        "image_name": image.name,
        "checksum": "9dd4e461268c8034f5c8564e155c67a6",
        "container_format": "bare",
        "disk_format": "raw",
        "min_disk": "0",
        "min_ram": "0",
        "size": "1",
        **image.properties,
    }


def _unreadable_images(make: Builder, kit: Kit) -> None:
    """Images that are gone, or were changed after the server was created."""
    gone = make.image("gone", temporary=True)
    for image, age in ((gone, 0), (kit.windows, 30)):
        # Only the request of the image could decide here.
        for flavor in (kit.small, kit.hostly):
            make.server(
                kit.at["keys-auto"],
                flavor,
                image,
                age=age,
                requested=None,
                source=UNKNOWN,
                unchecked="image-unreadable",
            )
        # Here the flavor has decided already.
        make.server(
            kit.at["keys-closed"],
            kit.licensed,
            image,
            age=age,
            requested="unique",
            source=UUID,
            survives=True,
        )
        make.server(
            kit.at["auto"], _hopeful(make), image, age=age, requested="unique", source="host-auto"
        )


def _hopeful(make: Builder) -> Flavor:
    return next(flavor for flavor in make.plan.flavors if flavor.name == "seed.hopeful")


def _without_host(make: Builder, kit: Kit) -> None:
    for status in ("SHELVED_OFFLOADED", "ERROR", "BUILD"):
        make.server(
            None, kit.licensed, kit.debian, status=status, requested="unique", source=UNKNOWN
        )
    make.server(
        None,
        kit.hostly,
        kit.debian,
        status="SHELVED_OFFLOADED",
        requested="host",
        source=UNKNOWN,
    )


def _server_requests(make: Builder, kit: Kit) -> None:
    """Servers whose metadata ask for a serial of their own."""
    at = kit.at
    asks: dict[str, Any] = {"metadata": IMAGE_TRUE, "requested": "unique"}
    for kind, text in (
        ("keys-unique", "true"),
        ("keys-auto", "True"),
        ("keys-auto", " yes "),
        # Their host mode gives the same.
        ("keys-closed", "true"),
        ("unique", "1"),
    ):
        made = {**asks, "metadata": {IMAGE_KEY: text, "team": ESCAPE}}
        make.server(at[kind], kit.small, kit.debian, **made, source=UUID, survives=False)
    torn = [
        make.server(at["keys-auto"], kit.hostly, kit.debian, **asks, source=UUID, survives=False)
    ]
    for kind, source in (
        ("keys-older", "host-auto"),
        ("auto", "host-auto"),
        ("os", "host-os"),
        ("hardware", "host-hardware"),
        ("none", ABSENT),
        ("vmware", ABSENT),
    ):
        unmet = {**asks, "source": source, "asks_alone": True}
        make.server(at[kind], kit.small, kit.debian, **unmet)
        torn.append(make.server(at[kind], kit.hostly, kit.debian, **unmet))
    # There the flavor's false replaces the UUID, and the server's true does not count.
    unmet = {**asks, "source": "host-auto", "asks_alone": True}
    torn.append(make.server(at["keys-closed"], kit.hostly, kit.debian, **unmet))
    make.found("setting-conflict", kit.hostly, torn, kit.debian)
    shy = make.server(at["keys-auto"], kit.small, kit.shy, **asks, source=UUID, survives=False)
    make.found("setting-conflict", kit.small, [shy], kit.shy)
    # No promise for flavors and images proves it.
    for kind in ("declared", "contradicting", "modeless"):
        make.server(at[kind], kit.small, kit.debian, **asks, source=UNKNOWN)
    make.server(None, kit.small, kit.debian, **asks, source=UNKNOWN, status="SHELVED_OFFLOADED")
    # Whatever the image or the root volume asked for.
    gone = next(image for image in make.plan.images if image.name == "gone")
    make.server(at["keys-auto"], kit.small, gone, **asks, source=UUID)
    root = [make.volume(exists=False)]
    make.server(at["keys-auto"], kit.small, volumes=root, **asks, source=UUID)
    # The flavor asks too.
    for kind in ("keys-closed", "keys-auto"):
        make.server(at[kind], kit.licensed, kit.debian, **asks, source=UUID, survives=True)


def _server_metadata_without_effect(make: Builder, kit: Kit) -> None:
    """Values and keys in the metadata of servers that count as not set."""
    plain: dict[str, Any] = {"requested": "unset", "source": "host-auto"}
    values = [
        make.server(kit.at["keys-auto"], kit.small, kit.debian, metadata={IMAGE_KEY: text}, **plain)
        for text in ("false", "No", "0", "banana", "null", "", ESCAPE, SCRIPT, LONG)
    ]
    values.append(
        make.server(
            kit.at["keys-unique"],
            kit.licensed,
            kit.debian,
            metadata={IMAGE_KEY: "false"},
            requested="unique",
            source=UUID,
            survives=True,
        )
    )
    make.found_of_all("server-value-without-effect", values)
    keys = [
        make.server(kit.at["keys-auto"], kit.small, kit.debian, metadata={key: "true"}, **plain)
        for key in (FLAVOR_KEY, "hw-unique-serial", "Unique Serial", "hw_unqiue_serial")
    ]
    make.found_of_all("server-key-without-effect", keys)
    others = {"request": FLAVOR_KEY, "team": ESCAPE, "q" * 255: LONG}
    make.server(kit.at["keys-auto"], kit.small, kit.debian, metadata=others, name=ESCAPE, **plain)


SCENARIOS = (
    _aggregates,
    _invalid_values,
    _spellings,
    _misplaced_keys,
    _contradicting_requests,
    _no_valid_host,
    _not_steered,
    _snapshots,
    _tenant_images,
    _names,
    _conflicting_settings,
    _plain,
    _kept_from_hosts,
    _cannot_move,
    _cannot_rebuild,
    _changed_flavors,
    _invalid_in_use,
    _volumes,
    _unreadable_images,
    _without_host,
    _server_requests,
    _server_metadata_without_effect,
)
#: Scenarios without servers.
LATER_SCENARIOS = (_misspelt_keys,)


# --- metadata definitions ---------------------------------------------------


def _metadefs(make: Builder, private: Mapping[str, Any] | None) -> None:
    aggregates = "OS::Compute::UniqueSerialAggregate"
    missing = ["OS::Compute::UniqueSerial", "OS::Compute::UniqueSerialServer"]
    if private is None:
        missing.append(aggregates)
    else:
        make.plan.namespaces.append({**private, "visibility": "private"})
        make.found_elsewhere("metadefs-private", "namespace", aggregates, aggregates)
    for name in missing:
        make.found_elsewhere("metadefs-missing", "namespace", name, name)
    foreign = "Seed::Foreign"
    make.plan.namespaces.append(
        {
            "namespace": foreign,
            "visibility": "public",
            "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "hw:"}],
            "properties": {"unique_serial": {"title": SCRIPT, "type": "boolean"}},
        }
    )
    make.found_elsewhere("metadefs-conflict", "namespace", foreign, foreign)


# --- the rest ---------------------------------------------------------------


def _fill(make: Builder, kit: Kit, count: int) -> None:
    """Usual servers: clean, or with the serial of their host."""
    steady = make.of_kind("keys-unique", "keys-closed", "keys-auto", "unique", "modeless")
    zoned = [host for host in make.of_kind("unique", "keys-unique") if host.zone]
    showing = make.of_kind("auto", "os", "hardware")
    silent = make.of_kind("none", "vmware")
    named = [flavor for flavor in make.plan.flavors if flavor.specs == STEERED]
    plain_images: tuple[Image, ...] = (kit.debian, kit.windows)
    sources = {"auto": "host-auto", "os": "host-os", "hardware": "host-hardware"}
    states = ("ACTIVE",) * 8 + ("SHUTOFF", "PAUSED")
    for number in range(count):
        lot = make.random.random()
        status = make.choice(states)
        name = make.choice(HOSTILE) if number % 16 == 0 else None
        plain = make.choice(plain_images)
        small = make.choice((kit.small, kit.large))
        if lot < 0.35:
            flavor = make.choice(named) if number % 8 == 0 else kit.licensed
            make.server(
                make.choice(steady),
                flavor,
                plain,
                requested="unique",
                source=UUID,
                survives=True,
                status=status,
                name=name,
            )
        elif lot < 0.42:
            make.server(
                make.choice(steady),
                small,
                kit.appliance,
                requested="unique",
                source=UUID,
                survives=True,
                status=status,
                name=name,
            )
        elif lot < 0.48:
            make.server(
                make.choice(steady),
                kit.licensed,
                volumes=[make.volume(_volume_image_metadata(kit.debian))],
                requested="unique",
                source=UUID,
                survives=True,
                status=status,
                name=name,
            )
        elif lot < 0.65:
            make.server(
                make.choice(zoned),
                small,
                plain,
                requested="unset",
                source=UUID,
                pinned=True,
                status=status,
                name=name,
            )
        elif lot < 0.90:
            host = make.choice(showing)
            make.server(
                host,
                small,
                plain,
                requested="unset",
                source=sources[host.kind],
                status=status,
                name=name,
            )
        elif lot < 0.98:
            make.server(
                make.choice(silent),
                small,
                plain,
                requested="unset",
                source=ABSENT,
                status=status,
                name=name,
            )
        else:
            make.server(
                None,
                small,
                plain,
                requested="unset",
                source=UNKNOWN,
                status=make.choice(("SHELVED_OFFLOADED", "ERROR")),
                name=name,
            )
