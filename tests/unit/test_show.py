# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial show`` through the real shell, HTTP answers written by hand."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import requests

from osc_uniqserial.commands.output import safe_cell
from tests.unit.builders import (
    FALSE,
    IMAGE_FALSE,
    IMAGE_TRUE,
    M_AUTO,
    M_NONE,
    M_OS,
    M_UNIQUE,
    MADE,
    OPEN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    TRUE,
    Json,
)
from tests.unit.fake_cloud import (
    ANY_EXTRA_SPECS,
    CINDER,
    GLANCE,
    IMAGE_ID,
    NOVA,
    PLACEMENT,
    PROJECT_ID,
    SERVER_ID,
    VOLUME_ID,
    FakeCloud,
)


def test_flavor_asks_and_the_host_honours(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(
        TRAIT_UNIQUE,
        TRAIT_KEYS,
        M_AUTO,
        others=[[TRAIT_UNIQUE, TRAIT_KEYS, M_OS], [TRAIT_UNIQUE, M_UNIQUE]],
    )
    assert fake.show() == {
        "id": SERVER_ID,
        "name": "web",
        "project_id": PROJECT_ID,
        "host": "compute-1",
        "status": "ACTIVE",
        "requested": "unique",
        "flavor_value": "true",
        "image_value": None,
        "server_value": None,
        "host_mode": "auto",
        "host_honours": True,
        "serial_source": "instance-uuid",
        "expected_serial": SERVER_ID,
        "decided_by": "flavor",
        "survives_move": True,
        "pending": [],
        "why": (
            "The flavor asks for a unique serial and host compute-1 honours the keys,"
            " so the serial is the server's own UUID. It survives a move to another host."
        ),
        "evidence": {
            "flavor": "embedded-flavor",
            "image": "current-image",
            "server": "server-metadata",
            "host_mode": "trait",
            "host_honours": "trait",
            "host_meets_unique": "trait",
        },
    }
    assert fake.notes == ""


def test_flavor_asks_but_the_host_is_stock(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(M_AUTO)
    shown = fake.show()
    assert shown["serial_source"] == "host-auto"
    assert shown["decided_by"] == "host"
    assert shown["survives_move"] is False
    assert shown["expected_serial"] is None
    assert shown["evidence"]["host_honours"] == "trait-absent"
    assert "host compute-1 (mode auto) does not honour the keys" in shown["why"]
    assert "It changes when the server moves to another host." in shown["why"]


def test_image_false_supersedes_a_unique_host(fake: FakeCloud) -> None:
    fake.server(frozen={"hw_unique_serial": "false"}, image={"hw_unique_serial": "false"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_UNIQUE)
    shown = fake.show()
    assert (shown["requested"], shown["serial_source"], shown["decided_by"]) == (
        "host",
        "host-auto",
        "image",
    )
    assert shown["evidence"]["image"] == "frozen"
    assert "(mode auto)" in shown["why"]


def test_a_host_may_keep_images_from_showing_it(fake: FakeCloud) -> None:
    fake.server(frozen={"hw_unique_serial": "false"}, image={"hw_unique_serial": "false"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE)
    shown = fake.show()
    assert (shown["requested"], shown["serial_source"], shown["decided_by"]) == (
        "unset",
        "instance-uuid",
        "host",
    )
    assert "The image's false counts as not set on host compute-1" in shown["why"]
    assert "image_may_show_host = false" in shown["why"]


def test_the_frozen_image_counts_and_a_rebuild_is_pending(fake: FakeCloud) -> None:
    fake.server(frozen={"hw_unique_serial": "True"}, image={"hw_unique_serial": "false"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    shown = fake.show()
    assert shown["image_value"] == "True"
    assert shown["serial_source"] == "instance-uuid"
    assert shown["pending"] == [
        {"input": "image", "now": "True", "next": "false", "applied_by": "rebuild"}
    ]
    assert "a rebuild applies it, and erases the root disk" in shown["why"]


@pytest.mark.parametrize("frozen", [None, {"hw_unique_serial": "false"}])
def test_an_image_marked_after_boot_is_not_taken_for_what_the_guest_has(
    fake: FakeCloud, frozen: dict[str, str] | None
) -> None:
    fake.server(frozen=frozen, image={**IMAGE_TRUE, "updated_at": "2026-03-01T00:00:00Z"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_OS)
    shown = fake.show()
    if frozen:
        assert (shown["requested"], shown["serial_source"]) == ("host", "host-os")
        assert shown["pending"][0]["next"] == "true"
    else:
        assert (shown["requested"], shown["serial_source"]) == (None, "unknown")
        assert shown["evidence"]["image"] == "unreadable"
        assert "was changed after the server was created" in fake.notes


def test_an_invalid_value_that_goes_away_is_not_pending(fake: FakeCloud) -> None:
    fake.server(flavor={"hw:unique_serial": "banana"}, flavor_now={})
    fake.hosts(M_OS)
    assert fake.show()["pending"] == []


def test_another_spelling_of_the_same_setting_is_not_pending(fake: FakeCloud) -> None:
    fake.server(frozen={"hw_unique_serial": "True"}, image={"hw_unique_serial": "1"})
    fake.hosts(M_OS)
    assert fake.show()["pending"] == []


def test_a_changed_flavor_waits_for_a_resize(fake: FakeCloud) -> None:
    fake.server(flavor={}, flavor_now=TRUE)
    fake.hosts(M_OS)
    shown = fake.show()
    assert shown["flavor_value"] is None
    assert shown["pending"] == [
        {"input": "flavor", "now": None, "next": "true", "applied_by": "resize"}
    ]
    assert "The flavor now has 'true' where this server uses nothing" in shown["why"]


def test_a_deleted_flavor_leaves_the_servers_copy(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    fake.http.get(f"{NOVA}/flavors/detail", json={"flavors": []})
    shown = fake.show()
    assert (shown["flavor_value"], shown["serial_source"]) == ("true", "instance-uuid")
    assert "'gold' is missing, or hidden" in fake.notes


def test_hidden_extra_specs_are_unreadable_not_unset(fake: FakeCloud) -> None:
    record = fake.server()
    del record["flavor"]["extra_specs"]
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    shown = fake.show()
    assert shown["requested"] is None
    assert shown["serial_source"] == "unknown"
    assert shown["evidence"]["flavor"] == "unreadable"
    assert "the flavor's value" in shown["why"]
    assert "hidden from this user" in fake.notes


def test_hidden_extra_specs_do_not_matter_on_a_stock_host(fake: FakeCloud) -> None:
    record = fake.server()
    del record["flavor"]["extra_specs"]
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    fake.hosts(M_OS)
    shown = fake.show()
    assert (shown["requested"], shown["serial_source"]) == (None, "host-os")
    assert shown["why"].startswith("Host compute-1 (mode os) does not honour the keys")


@pytest.mark.parametrize("deleted", [True, False])
def test_no_frozen_value_means_none_where_nova_would_show_it(
    fake: FakeCloud, deleted: bool
) -> None:
    """An API server that validates the extra spec has the image property too (nova-uniqserial)."""
    fake.server(image={"hw_unique_serial": "true", "updated_at": "2026-01-03T00:00:00Z"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO)
    if deleted:
        fake.http.get(f"{GLANCE}/v2/images/{IMAGE_ID}", status_code=404)
    text = "Flavor {} could not be found"

    def knows(request: Any, context: Any) -> Json:
        context.status_code = 404
        flavor = request.path.split("/")[-2]
        return {"itemNotFound": {"message": text.format(flavor), "code": 404}}

    fake.http.post(ANY_EXTRA_SPECS, json=knows)
    shown = fake.show()
    assert (shown["image_value"], shown["evidence"]["image"]) == (None, "frozen")
    assert (shown["serial_source"], shown["requested"]) == ("host-auto", "unset")
    assert [change["applied_by"] for change in shown["pending"]] == ["rebuild"] * (not deleted)
    assert fake.notes == ""


def test_a_deleted_image_is_unreadable_unless_frozen(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    fake.http.get(f"{GLANCE}/v2/images/{IMAGE_ID}", status_code=404)
    shown = fake.show()
    assert shown["evidence"]["image"] == "unreadable"
    assert shown["serial_source"] == "unknown"
    assert "server's image could not be read: it was deleted" in fake.notes
    fake.server(frozen=IMAGE_TRUE)
    fake.http.get(f"{GLANCE}/v2/images/{IMAGE_ID}", status_code=404)
    shown = fake.show()
    assert shown["evidence"]["image"] == "frozen"
    assert shown["serial_source"] == "instance-uuid"


@pytest.mark.parametrize(
    "attached", [[{"id": VOLUME_ID}], [{"id": "data"}, {"id": VOLUME_ID}]], ids=["one", "two"]
)
@pytest.mark.parametrize("admin", [True, False])
def test_a_volume_backed_server_takes_its_root_volume(
    fake: FakeCloud, attached: list[dict[str, str]], admin: bool
) -> None:
    changes = {} if admin else {"OS-EXT-SRV-ATTR:root_device_name": None}
    record = fake.server(
        image=IMAGE_TRUE,
        changes={"os-extended-volumes:volumes_attached": attached, **changes},
    )
    record["image"] = ""
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    attachments = [
        {"volumeId": "data", "device": "/dev/vdb"},
        {"volumeId": VOLUME_ID, "device": "/dev/vda"},
    ]
    fake.http.get(
        f"{NOVA}/servers/{SERVER_ID}/os-volume_attachments",
        json={"volumeAttachments": attachments},
    )
    volume = {
        "id": VOLUME_ID,
        "created_at": f"{MADE[:-1]}.000001",
        "volume_image_metadata": {"image_id": IMAGE_ID, **IMAGE_FALSE},
    }
    fake.http.get(f"{CINDER}/volumes/{VOLUME_ID}", json={"volume": volume})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS, others=[[M_OS], []])
    shown = fake.show()
    assert (shown["image_value"], shown["evidence"]["image"]) == ("true", "current-image")
    assert (shown["serial_source"], shown["decided_by"]) == ("instance-uuid", "image")
    assert len(fake.reads()) == (11 if len(attached) == 1 else 12)
    assert fake.notes == ""


@pytest.mark.parametrize("said", [IMAGE_TRUE, IMAGE_FALSE, {}], ids=["true", "false", "unset"])
def test_metadata_of_a_volume_are_no_evidence(fake: FakeCloud, said: dict[str, str]) -> None:
    record = fake.server(changes={"os-extended-volumes:volumes_attached": [{"id": VOLUME_ID}]})
    record["image"] = ""
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    volume = {
        "id": VOLUME_ID,
        "created_at": "2026-01-01T23:59:59.000000",
        "volume_image_metadata": said,
    }
    fake.http.get(f"{CINDER}/volumes/{VOLUME_ID}", json={"volume": volume})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    shown = fake.show()
    assert (shown["image_value"], shown["serial_source"]) == (None, "unknown")
    assert "Cinder does not return whether they have changed since" in fake.notes
    # Where it does not matter, the answer is known.
    fake.hosts(TRAIT_UNIQUE, M_UNIQUE)
    assert fake.show()["serial_source"] == "instance-uuid"


def test_a_volume_that_cannot_be_read(fake: FakeCloud) -> None:
    record = fake.server(changes={"os-extended-volumes:volumes_attached": [{"id": VOLUME_ID}]})
    record["image"] = ""
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    fake.http.get(f"{CINDER}/volumes/{VOLUME_ID}", status_code=404)
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    shown = fake.show()
    assert shown["evidence"]["image"] == "unreadable"
    assert "root volume could not be read: Cinder (block storage) answered 404" in fake.notes


@pytest.mark.parametrize("status", ["SHELVED_OFFLOADED", "BUILD", "ERROR"])
def test_a_server_without_a_host(fake: FakeCloud, status: str) -> None:
    fake.server(
        flavor=TRUE,
        status=status,
        hostId="",
        changes={"OS-EXT-SRV-ATTR:host": "", "OS-EXT-SRV-ATTR:hypervisor_hostname": ""},
    )
    shown = fake.show()
    assert (shown["host"], shown["host_mode"], shown["host_honours"]) == (None, None, None)
    assert shown["serial_source"] == "unknown"
    assert f"no host now (status {status})" in shown["why"]
    assert fake.notes == ""
    # A mode given for every host does not make up a host.
    assert fake.show("--host-mode", "*=unique")["serial_source"] == "unknown"


TENANT = {
    "OS-EXT-SRV-ATTR:host": None,
    "OS-EXT-SRV-ATTR:hypervisor_hostname": None,
    "OS-EXT-SRV-ATTR:root_device_name": None,
}


def test_a_plain_tenant_sees_what_is_unreadable(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE, changes=TENANT)
    shown = fake.show()
    assert shown["serial_source"] == "unknown"
    assert shown["evidence"]["host_mode"] == "unreadable"
    assert shown["evidence"]["host_honours"] == "unreadable"
    assert "host is hidden from this user" in shown["why"]
    assert len(fake.reads()) == 3


def test_a_required_trait_tells_even_a_plain_tenant(fake: FakeCloud) -> None:
    fake.server(flavor={**TRUE, f"trait:{TRAIT_UNIQUE}": "required"}, changes=TENANT)
    shown = fake.show()
    assert shown["serial_source"] == "instance-uuid"
    assert shown["expected_serial"] == SERVER_ID
    assert shown["survives_move"] is True
    assert shown["evidence"]["host_meets_unique"] == "required-trait"


@pytest.mark.parametrize(
    ("updated", "source"),
    [("2026-01-01T00:00:00Z", "instance-uuid"), ("2026-01-03T00:00:00Z", "unknown")],
)
def test_the_image_trait_counts_if_the_image_is_as_it_was_at_boot(
    fake: FakeCloud, updated: str, source: str
) -> None:
    image = {**IMAGE_TRUE, f"trait:{TRAIT_UNIQUE}": "required", "updated_at": updated}
    fake.server(image=image, changes=TENANT)
    assert fake.show()["serial_source"] == source


@pytest.mark.parametrize("traits", [[], [TRAIT_UNIQUE, M_AUTO]])
def test_a_required_trait_does_not_outrank_the_traits_that_were_read(
    fake: FakeCloud, traits: list[str]
) -> None:
    fake.server(flavor={**TRUE, f"trait:{TRAIT_UNIQUE}": "required"})
    fake.hosts(*traits)
    shown = fake.show()
    assert shown["serial_source"] == "unknown"
    assert ("no longer has it" in fake.notes) is (not traits)


def test_a_guest_that_is_not_x86_has_no_serial_for_a_tenant_either(fake: FakeCloud) -> None:
    specs = {**TRUE, f"trait:{TRAIT_UNIQUE}": "required"}
    fake.server(flavor=specs, frozen={"hw_architecture": "aarch64"}, changes=TENANT)
    assert fake.show()["serial_source"] == "absent"


def test_a_tenants_server_without_a_host(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE, status="SHELVED_OFFLOADED", hostId="", changes=TENANT)
    shown = fake.show("--host-mode", "*=unique")
    assert (shown["host_mode"], shown["serial_source"]) == (None, "unknown")
    assert "no host now (status SHELVED_OFFLOADED)" in shown["why"]


def test_a_required_trait_says_nothing_of_a_server_without_a_host(fake: FakeCloud) -> None:
    fake.server(
        flavor={**TRUE, f"trait:{TRAIT_UNIQUE}": "required"},
        status="ERROR",
        hostId="",
        changes=TENANT,
    )
    assert fake.show()["serial_source"] == "unknown"


@pytest.mark.parametrize("at_2_98", [200, 500])
def test_a_server_of_a_cell_that_is_down(fake: FakeCloud, at_2_98: int) -> None:
    """Nova 34 answers 500 at 2.98, and the minimal record below it."""
    record = {
        "id": SERVER_ID,
        "status": "UNKNOWN",
        "tenant_id": PROJECT_ID,
        "created": "2026-01-02T00:00:00Z",
        "image": {"id": IMAGE_ID, "properties": {}},
        "flavor": {"original_name": "gold", "extra_specs": TRUE},
    }
    fake.server()
    fake.http.get(f"{NOVA}/servers/{SERVER_ID}", json={"server": record})
    if at_2_98 == 500:
        new = {"OpenStack-API-Version": "compute 2.98"}
        fake.http.get(f"{NOVA}/servers/{SERVER_ID}", request_headers=new, status_code=500)
    result = fake.openstack("unique", "serial", "show", SERVER_ID, "-f", "json")
    assert result.code == 0, result.err
    assert result.json["name"] is None
    assert (result.json["requested"], result.json["serial_source"]) == ("unique", "unknown")
    assert "cell is down" in result.json["why"]


def test_a_host_without_a_resource_provider(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts()
    fake.placement({})
    shown = fake.show()
    assert (shown["host_mode"], shown["host_honours"]) == (None, None)
    assert shown["evidence"]["host_mode"] == "unreadable"
    assert "has no resource provider in Placement" in fake.notes


def test_a_provider_is_found_by_name_when_hypervisors_are_hidden(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(M_AUTO)
    fake.http.get(f"{NOVA}/os-hypervisors/detail", status_code=403)
    assert fake.show()["serial_source"] == "host-auto"
    assert "hypervisors could not be read: Nova (compute) answered 403" in fake.notes


@pytest.mark.parametrize(
    ("hypervisor", "image"),
    [
        ({"hypervisor_type": "VMware vCenter Server"}, {}),
        ({"cpu_info": {"arch": "aarch64"}}, {}),
        ({}, {"hw_architecture": "aarch64"}),
        ({}, {"hw_architecture": "x86_64", "hw_emulation_architecture": "ppc64le"}),
    ],
)
def test_a_hypervisor_without_smbios_serials(
    fake: FakeCloud, hypervisor: dict[str, object], image: dict[str, str]
) -> None:
    fake.server(flavor=TRUE, image=image)
    fake.hosts(M_AUTO, changes=hypervisor)
    shown = fake.show()
    assert (shown["serial_source"], shown["decided_by"]) == ("absent", "none")
    assert shown["survives_move"] is None
    assert "no SMBIOS serial number" in shown["why"]


@pytest.mark.parametrize("architecture", ["amd64", "i386", "X86_64"])
def test_other_names_of_x86_have_smbios(fake: FakeCloud, architecture: str) -> None:
    fake.server(image={"architecture": architecture})
    fake.hosts(M_OS, changes={"cpu_info": {"arch": "aarch64"}})
    assert fake.show()["serial_source"] == "host-os"


def test_contradicting_traits(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(M_AUTO, M_UNIQUE)
    shown = fake.show()
    assert (shown["host_mode"], shown["serial_source"]) == (None, "unknown")
    assert f"{M_AUTO}, {M_UNIQUE}" in shown["why"]
    assert "contradict each other" in fake.notes


@pytest.mark.parametrize("nova_newest", ["2.69"])
def test_train(fake: FakeCloud) -> None:
    """Below 2.98 Nova shows no frozen properties: the image is the evidence."""
    record = fake.server(flavor=TRUE, image=IMAGE_TRUE)
    del record["image"]["properties"]
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    fake.hosts(M_AUTO)
    shown = fake.show()
    assert shown["evidence"]["image"] == "current-image"
    asked = {
        r.path: r.headers["OpenStack-API-Version"]
        for r in fake.sent("GET")
        if "nova" in r.netloc and "OpenStack-API-Version" in r.headers
    }
    assert asked["/v2.1/servers/detail"] == "compute 2.69"
    assert asked["/v2.1/os-hypervisors/detail"] == "compute 2.69"


@pytest.mark.parametrize("nova_newest", ["2.60"])
def test_older_than_train_is_refused(fake: FakeCloud) -> None:
    fake.server()
    result = fake.openstack("unique", "serial", "show", "web")
    assert result.code == 1
    assert "2.69" in result.err
    assert "2.60" in result.err


# --- evidence that the user gives, or an aggregate ----------------------


def test_given_modes(fake: FakeCloud, tmp_path: Path) -> None:
    fake.server()
    fake.hosts()
    shown = fake.show()
    assert shown["serial_source"] == "unknown"
    assert "--host-mode compute-1=MODE" in shown["why"]
    shown = fake.show("--host-mode", "compute-1=hardware")
    assert (shown["host_mode"], shown["serial_source"]) == ("hardware", "host-hardware")
    assert shown["evidence"]["host_mode"] == "given"
    assert fake.show("--host-mode", "*=none")["serial_source"] == "absent"
    modes = tmp_path / "modes.yaml"
    modes.write_text("compute-1: os\n'*': none\n")
    assert fake.show("--host-modes", str(modes))["serial_source"] == "host-os"
    both = fake.show("--host-modes", str(modes), "--host-mode", "compute-1=hardware")
    assert both["serial_source"] == "host-hardware"


def test_traits_outrank_given_modes(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(M_OS)
    assert fake.show("--host-mode", "compute-1=unique")["host_mode"] == "os"
    assert "given mode of host compute-1 was not used" in fake.notes
    fake.show("--host-mode", "compute-1=os", "--host-mode", "*=auto")
    assert fake.notes == ""


def test_a_mode_for_a_host_that_is_not_there_is_told(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts()
    fake.show("--host-mode", "compute1=auto")
    assert "mode was given for host 'compute1', but there is no such host" in fake.notes


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        (["--host-mode", "x=banana"], 2, "'banana' is not a mode"),
        (["--host-mode", "=auto"], 2, "expected HOST=MODE"),
        (["--host-mode", "auto"], 2, "expected HOST=MODE"),
        (["--host-modes", "/no/such/file"], 1, "cannot be read"),
    ],
)
def test_bad_given_modes(fake: FakeCloud, option: list[str], code: int, message: str) -> None:
    result = fake.openstack("unique", "serial", "show", "web", *option)
    assert (result.code, message in result.err) == (code, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: banana", "line 1: host 'a' has mode 'banana': write one of unique, os"),
        ("- a", "it does not map hosts to modes: write lines such as 'HOST: auto'"),
        ("", "it does not map hosts to modes"),
        ("a: [", "line 1: it is not YAML"),
        ("a: os\nb: null", "line 2: host 'b' has no mode: write one of"),
        ("b:", "host 'b' has no mode"),
        ("b: {a: b}", "host 'b' has a mapping for its mode"),
        ("c: 2024-13-45", "host 'c' has mode '2024-13-45'"),
        ("c: " + "x" * 1000, "..."),
        ('a: !!bool "z"', "line 1: the tag '!!bool' is refused: write the value without it"),
        ("a: !!python/name:os.system x", "the tag '!!python/name:os.system' is refused"),
        ("a: &x auto\nb: *x", "line 1: '&x': anchors and aliases are refused: write the value"),
        ("*: auto", "it is not YAML"),
        ("*all : auto", "'*all': anchors and aliases are refused"),
        ("a: os\na: auto", "line 2: 'a' is in line 1 already: keep one of them"),
        ("'a': os\na: auto", "line 2: 'a' is in line 1 already"),
        ("a: os\n---\nb: os", "line 2: a second document begins: write one document only"),
        ("[a]: os", "line 1: a key is a list: write a text"),
        ("? {a: b}\n: os", "line 1: a key is a mapping"),
        ("~: os", "line 1: a key is empty: write a text, '~' in quotes"),
        ("a: " + "[" * 5000, "line 1: lists and mappings are nested more than 8 deep"),
        ("a: " + "{a: " * 5000, "nested more than 8 deep"),
        ("- " * 5000, "nested more than 8 deep"),
        ("a: \x07", "line 1: it is not YAML: the character '\\x07' is not allowed there"),
        (b"a: os\n\xff\xfea: os", "line 2: it is not UTF-8: save the file in UTF-8"),
        ("a: os".encode("utf-16"), "line 1: it is not UTF-8"),
        (b"#" * (2**25 + 1), "it is larger than 32 MiB: give a smaller file"),
    ],
    ids=range(27),
)
def test_bad_host_mode_files(
    fake: FakeCloud, tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "modes.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = fake.openstack("unique", "serial", "show", "web", "--host-modes", str(path))
    assert result.code == 1
    assert result.err.startswith(f"--host-modes: {path}: ")
    assert message in result.err
    assert result.err.endswith(". Nothing was checked.\n")
    assert len(result.err) < 1000


def test_an_endless_host_mode_file(fake: FakeCloud) -> None:
    result = fake.openstack("unique", "serial", "show", "web", "--host-modes", "/dev/zero")
    assert "--host-modes: /dev/zero: it is larger than 32 MiB" in result.err


def test_an_aggregate_that_declares_it(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(others=[[TRAIT_UNIQUE, TRAIT_KEYS, M_OS]])
    declaring = {"hosts": ["compute-1", "other-1"], "metadata": {"hw:unique_serial": "true"}}
    fake.aggregates(declaring)
    shown = fake.show()
    assert (shown["serial_source"], shown["host_mode"]) == ("instance-uuid", None)
    assert shown["evidence"]["host_meets_unique"] == "declared"
    assert shown["survives_move"] is None
    assert "a host aggregate declares that its host meets this" in shown["why"]


def test_an_aggregate_says_nothing_of_servers_that_do_not_ask(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts()
    declaring = {"hosts": ["compute-1"], "metadata": {"hw:unique_serial": "true"}}
    fake.aggregates(declaring)
    assert fake.show()["serial_source"] == "unknown"


# --- moves ---------------------------------------------------------------

PROMISING: dict[str, list[str]] = {
    "driver": [TRAIT_UNIQUE, TRAIT_KEYS, M_OS],
    "stock-unique": [TRAIT_UNIQUE, M_UNIQUE],
    "only-mode": [M_UNIQUE],
    "only-promise": [TRAIT_UNIQUE],
    "stock-auto": [M_AUTO],
    "stock-os": [M_OS],
    "silent": [],
    "torn": [M_UNIQUE, M_AUTO],
}


@pytest.mark.parametrize(
    ("specs", "own", "others", "survives", "named"),
    [
        # asked for unique: a host that honours the keys or is in mode unique meets it
        (TRUE, "driver", ["driver", "stock-unique", "only-mode", "only-promise"], True, "survives"),
        (TRUE, "driver", ["driver", "stock-auto"], False, "other-2"),
        (TRUE, "stock-unique", ["silent", "stock-auto", "stock-os"], False, "other-2 and other-3"),
        (TRUE, "stock-unique", ["silent", "driver"], None, "other-1 is unknown"),
        (TRUE, "driver", ["torn"], None, "other-1 is unknown"),
        # nothing asked for: only mode unique keeps it
        ({}, "stock-unique", ["stock-unique", "only-mode"], True, "survives"),
        ({}, "stock-unique", ["driver"], False, "other-1"),
        ({}, "stock-unique", ["silent"], None, "other-1 is unknown"),
        ({}, "only-mode", ["torn", "only-mode"], None, "other-1 is unknown"),
        # asked for the host's own, on a stock host: a host that honours it changes it
        (FALSE, "stock-unique", ["driver"], False, "other-1"),
        (FALSE, "stock-unique", ["only-mode"], True, "survives"),
        (FALSE, "stock-unique", ["stock-auto", "silent"], False, "other-1"),
        # a requirement of this project's traits narrows the hosts
        ({f"trait:{M_UNIQUE}": "required"}, "stock-unique", ["driver", "only-mode"], True, "surv"),
        ({f"trait:{M_OS}": "forbidden"}, "stock-unique", ["driver", "only-mode"], True, "survives"),
        # other limits of scheduling make a change uncertain, and prove nothing
        ({"trait:HW_X": "required"}, "stock-unique", ["stock-auto"], None, "other-1 is unknown"),
        ({"trait:HW_X": "forbidden"}, "stock-unique", ["only-mode"], True, "survives"),
        ({"trait1:HW_X": "required"}, "stock-unique", ["stock-auto"], None, "is unknown"),
        ({"aggregate_instance_extra_specs:a": "b"}, "stock-unique", ["stock-os"], None, "is unk"),
        ({"unscoped": "b"}, "stock-unique", ["stock-os"], None, "is unknown"),
        ({}, "stock-unique", [], None, "no other enabled host"),
    ],
)
def test_survives_move(
    fake: FakeCloud,
    specs: dict[str, str],
    own: str,
    others: list[str],
    survives: bool | None,
    named: str,
) -> None:
    fake.server(flavor=specs)
    fake.hosts(*PROMISING[own], others=[PROMISING[other] for other in others])
    shown = fake.show()
    assert shown["serial_source"] == "instance-uuid"
    assert shown["survives_move"] is survives
    assert named in shown["why"]
    assert fake.notes == ""
    assert len(fake.reads()) <= 15


def test_the_requests_do_not_grow_with_the_hosts(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    kinds = [*PROMISING.values(), [OPEN], ["CUSTOM_SYSINFO_SERIAL_HARDWARE"], [M_NONE]]
    fake.hosts(
        TRAIT_UNIQUE, TRAIT_KEYS, M_OS, others=[kinds[number % len(kinds)] for number in range(120)]
    )
    assert fake.show()["survives_move"] is False
    assert len(fake.reads()) == 15


@pytest.mark.parametrize(
    ("flavor", "other", "survives"),
    [
        ({}, [TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE], True),
        # It has the mode that keeps the serial and a driver that changes it.
        ({}, [TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_UNIQUE], False),
        ({}, [TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO], False),
        ({}, [TRAIT_UNIQUE, M_UNIQUE], True),
        (FALSE, [TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE], False),
    ],
)
def test_only_some_hosts_let_an_image_show_them(
    fake: FakeCloud, flavor: dict[str, str], other: list[str], survives: bool | None
) -> None:
    """The image asks for the host's own serial, and the present stock host gives the UUID."""
    image = {"hw_unique_serial": "false"}
    fake.server(flavor=flavor, frozen=image, image=image)
    fake.hosts(TRAIT_UNIQUE, M_UNIQUE, others=[other])
    shown = fake.show()
    assert (shown["serial_source"], shown["survives_move"]) == ("instance-uuid", survives)


def test_a_required_trait_steers_every_move(fake: FakeCloud) -> None:
    fake.server(flavor={**TRUE, f"trait:{TRAIT_UNIQUE}": "required"})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS, others=[[M_OS], []])
    assert fake.show()["survives_move"] is True


def test_a_trait_that_an_image_got_later_steers_nothing(fake: FakeCloud) -> None:
    image = {f"trait:{TRAIT_UNIQUE}": "required", "updated_at": "2026-02-01T00:00:00Z"}
    fake.server(frozen=IMAGE_TRUE, image={**IMAGE_TRUE, **image})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS, others=[[M_AUTO]])
    assert fake.show()["survives_move"] is None


def test_given_modes_count_for_moves(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(M_UNIQUE, others=[[], []])
    assert fake.show()["survives_move"] is None
    assert fake.show("--host-mode", "*=unique")["survives_move"] is True
    assert fake.show("--host-mode", "other-2=auto")["survives_move"] is False


@pytest.mark.parametrize(
    ("other", "given", "survives"),
    [([M_AUTO], "*=unique", False), ([TRAIT_UNIQUE], "*=auto", True), ([M_UNIQUE], "*=auto", True)],
)
def test_given_modes_do_not_outrank_the_traits_of_other_hosts(
    fake: FakeCloud, other: list[str], given: str, survives: bool | None
) -> None:
    fake.server()
    fake.hosts(M_UNIQUE, others=[other])
    assert fake.show("--host-mode", given)["survives_move"] is survives


@pytest.mark.parametrize("zone", ["zone-1", "untold"])
def test_a_zone_makes_a_change_uncertain(fake: FakeCloud, zone: str) -> None:
    """Before 2.96 Nova does not tell whether a server may leave its zone."""
    fake.server(pinned_availability_zone=None if zone == "untold" else zone)
    fake.hosts(M_UNIQUE, others=[[M_AUTO]])
    assert fake.show()["survives_move"] is None


def test_an_old_placement_tells_the_same(fake: FakeCloud) -> None:
    fake.placement_newest("1.36")
    fake.server()
    fake.hosts(M_UNIQUE, others=[[M_UNIQUE, M_AUTO, M_OS]])
    assert fake.show()["survives_move"] is None
    fake.hosts(M_UNIQUE, others=[[M_OS]])
    assert fake.show()["survives_move"] is False


@pytest.mark.parametrize("change", [{"status": "disabled"}, {"hypervisor_type": "ironic"}])
def test_disabled_and_foreign_hypervisors_are_no_target(
    fake: FakeCloud, change: dict[str, str]
) -> None:
    fake.server()
    fake.hosts(M_UNIQUE, others=[[M_AUTO]], other_changes=change)
    shown = fake.show()
    assert shown["survives_move"] is None
    assert "no other enabled host" in shown["why"]


# --- faults --------------------------------------------------------------


@pytest.mark.parametrize("missing", ["image", "placement"])
def test_a_service_that_is_not_in_the_catalog(fake: FakeCloud, missing: str) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    fake.catalog(*({"identity", "compute", "image", "placement"} - {missing}))
    shown = fake.show()
    part = "image" if missing == "image" else "host_mode"
    assert shown["evidence"][part] == "unreadable"
    assert "has no usable endpoint in the service catalog" in fake.notes


@pytest.mark.parametrize(
    "url",
    [f"{GLANCE}/v2/images/{IMAGE_ID}", f"{NOVA}/flavors/detail", f"{NOVA}/os-hypervisors/detail"],
)
@pytest.mark.parametrize("status", [500, 503])
def test_a_read_that_fails_once_is_repeated(fake: FakeCloud, url: str, status: int) -> None:
    fake.server(flavor=TRUE, frozen={})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    good = requests.get(url, timeout=5).json()
    fake.http.get(url, [{"status_code": status}, {"json": good}])
    shown = fake.show()
    assert shown["serial_source"] == "instance-uuid"
    assert "unreadable" not in shown["evidence"].values()


@pytest.mark.parametrize("url", [GLANCE, PLACEMENT])
def test_a_service_that_is_down_is_told(fake: FakeCloud, url: str) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    path = f"/v2/images/{IMAGE_ID}" if url == GLANCE else "/traits"
    down = fake.http.get(url + path, exc=requests.exceptions.ConnectionError)
    shown = fake.show()
    part = "image" if url == GLANCE else "host_honours"
    assert shown["evidence"][part] == "unreadable"
    assert "could not be reached" in fake.notes
    assert down.call_count == 3


def test_a_broken_answer_is_told(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(M_OS)
    fake.http.get(f"{GLANCE}/v2/images/{IMAGE_ID}", text="<html>")
    assert fake.show()["evidence"]["image"] == "unreadable"
    assert "not JSON" in fake.notes


@pytest.mark.parametrize(
    ("url", "answer", "evidence"),
    [
        (f"{PLACEMENT}/traits", {}, "host_mode"),
        (f"{PLACEMENT}/traits", [], "host_mode"),
        (f"{NOVA}/os-hypervisors/detail", {"hypervisors": [{"id": 1}]}, None),
        (f"{NOVA}/flavors/detail", {"flavors": None}, None),
        (f"{GLANCE}/v2/images/{IMAGE_ID}", [], "image"),
    ],
)
def test_answers_of_an_unexpected_form_are_unreadable(
    fake: FakeCloud, url: str, answer: object, evidence: str | None
) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, M_OS)
    fake.http.get(url, json=answer)
    shown = fake.show()
    assert "answered with" in fake.notes
    if evidence:
        assert shown["evidence"][evidence] == "unreadable"


def test_pages_that_repeat_come_to_an_end(fake: FakeCloud) -> None:
    fake.server(flavor=TRUE)
    fake.hosts(M_OS)
    page = {"flavors": [{"id": "1", "name": "x"}], "flavors_links": [{"rel": "next", "href": ""}]}
    fake.http.get(f"{NOVA}/flavors/detail", json=page)
    assert fake.show()["serial_source"] == "host-os"
    assert "the same page again and again" in fake.notes


def test_every_request_has_a_timeout_discovery_too(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(M_OS)
    fake.show()
    ours = [r for r in fake.http.request_history if "keystone" not in r.netloc]
    assert {request.timeout for request in ours} == {60}


def test_unknown_server(fake: FakeCloud) -> None:
    fake.server()
    result = fake.openstack("unique", "serial", "show", "no such")
    assert result.code == 1
    assert "There is no server with the name or ID 'no such'" in result.err
    assert "--all-projects" in result.err


def test_unknown_id_is_looked_for_as_a_name_too(fake: FakeCloud) -> None:
    fake.server(name=SERVER_ID)
    fake.hosts(M_OS)
    fake.http.get(f"{NOVA}/servers/{SERVER_ID}", status_code=404)
    result = fake.openstack("unique", "serial", "show", SERVER_ID, "-f", "value", "-c", "host_mode")
    assert (result.code, result.out) == (0, "os\n")


def test_ambiguous_name(fake: FakeCloud) -> None:
    record = fake.server()
    twin = {**record, "id": VOLUME_ID}
    fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record, twin]})
    result = fake.openstack("unique", "serial", "show", "web")
    assert result.code == 1
    assert SERVER_ID in result.err
    assert VOLUME_ID in result.err


def test_names_are_no_regular_expressions(fake: FakeCloud) -> None:
    """Nova matches by regular expression: ".*" must not find another server."""
    fake.server()
    assert fake.openstack("unique", "serial", "show", ".*").code == 1
    (request,) = [r for r in fake.sent("GET") if r.path == "/v2.1/servers/detail"]
    assert request.qs["name"] == ["^..$"]


def test_no_permission_names_the_right(fake: FakeCloud) -> None:
    policy = "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed."
    fake.http.get(
        f"{NOVA}/servers/detail",
        status_code=403,
        headers={"Content-Type": "application/json"},
        json={"forbidden": {"message": policy, "code": 403}},
    )
    result = fake.openstack("unique", "serial", "show", "web", "--all-projects")
    assert result.code == 1
    assert "servers:detail:get_all_tenants" in result.err


def test_all_projects(fake: FakeCloud) -> None:
    fake.server()
    fake.hosts(M_OS)
    fake.show("--all-projects")
    (request,) = [r for r in fake.sent("GET") if r.path == "/v2.1/servers/detail"]
    assert request.qs["all_tenants"] == ["true"]


@pytest.mark.parametrize("raw", ["banana", "", "null"])
def test_an_invalid_stored_value_counts_as_unset_and_is_told(fake: FakeCloud, raw: str) -> None:
    fake.server(flavor={"hw:unique_serial": raw})
    fake.hosts(M_OS, TRAIT_KEYS, TRAIT_UNIQUE)
    shown = fake.show()
    assert (shown["requested"], shown["flavor_value"]) == ("unset", raw)
    assert f"{raw!r} is no boolean and counts as unset" in fake.notes


# --- hostile text --------------------------------------------------------

HOSTILE = "=cmd|'/c'!A1\x1b[31m\u202egnp.exe\n$(touch /tmp/x)`id`\"<script>" + "x" * 200


@pytest.mark.parametrize("formatter", ["table", "value", "shell", "yaml", "json"])
def test_hostile_names_do_no_harm(fake: FakeCloud, formatter: str) -> None:
    fake.server(name=HOSTILE, flavor={"hw:unique_serial": HOSTILE})
    fake.hosts(M_OS)
    result = fake.openstack("unique", "serial", "show", SERVER_ID, "-f", formatter)
    assert result.code == 0
    for text in (result.out, result.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
    if formatter == "json":
        assert result.json["name"] == HOSTILE
    if formatter == "shell":
        name = next(line for line in result.out.splitlines() if line.startswith("name="))
        assert "\\$(touch" in name
        assert "\\`id\\`" in name
        assert shlex.split(name)


def test_formulas_do_not_reach_a_spreadsheet() -> None:
    for text in ("=1+1", "+1", "-1", "@sum"):
        assert safe_cell(text, "csv") == f"'{text}"
    assert safe_cell("\t=1", "csv") == "'\\t=1"
    assert safe_cell(True, "csv") is True
    assert safe_cell(None, "csv") == ""


def test_hostile_error_text_is_made_visible(fake: FakeCloud) -> None:
    fake.http.get(
        f"{NOVA}/servers/detail",
        status_code=403,
        headers={"Content-Type": "application/json"},
        json={"forbidden": {"message": "no\x1b[2J", "code": 403}},
    )
    result = fake.openstack("unique", "serial", "show", "web")
    assert result.code == 1
    assert "no\\x1b[2J" in result.err


# --- the request of a server ------------------------------------------------------

MAY_ASK = "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK"


@pytest.mark.parametrize(
    ("traits", "flavor", "said", "source", "decided_by", "why"),
    [
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO), {}, "true", "instance-uuid", "server",
         "The server asks for a unique serial and host compute-1 honours the keys"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO), FALSE, "yes", "instance-uuid", "server",
         "The server asks for a unique serial"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO), {}, "true", "host-auto", "host",
         "does not obey the requests of servers (its driver is older, or has [unique_serial]"
         " server_may_ask = false), so it decides"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO), FALSE, "true", "host-auto", "flavor",
         "The flavor asks for the host's own serial and host compute-1 honours the keys, and does"
         " not obey the server"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_UNIQUE), {}, "true", "instance-uuid", "server",
         "The server asks for a unique serial"),
        ((M_AUTO,), {}, "true", "host-auto", "host", "does not honour the keys"),
        ((TRAIT_UNIQUE, M_UNIQUE), {}, "true", "instance-uuid", "host", "gives the same"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO), {}, "false", "host-auto", "host",
         "Neither flavor nor image nor server asks for anything"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO), {}, "banana", "host-auto", "host",
         "Neither flavor nor image nor server asks for anything"),
        ((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO), TRUE, "false", "instance-uuid", "flavor",
         "The flavor asks for a unique serial"),
    ],
)  # fmt: skip
def test_the_request_of_a_server(
    fake: FakeCloud,
    traits: tuple[str, ...],
    flavor: dict[str, str],
    said: str,
    source: str,
    decided_by: str,
    why: str,
) -> None:
    fake.server(flavor=flavor, changes={"metadata": {"hw_unique_serial": said, "other": "x"}})
    fake.hosts(*traits)
    shown = fake.show()
    assert (shown["server_value"], shown["evidence"]["server"]) == (said, "server-metadata")
    assert (shown["serial_source"], shown["decided_by"]) == (source, decided_by)
    assert why in shown["why"]
    # Where the request changes nothing, its time does not matter.
    unknown = decided_by == "server" and M_UNIQUE not in traits
    assert shown["pending"] == (None if unknown else [])
    assert ("Nova does not return when" in shown["why"]) is unknown


def test_a_change_that_waits_for_a_resize_is_shown_beside_the_request_of_a_server(
    fake: FakeCloud,
) -> None:
    fake.server(flavor={}, flavor_now=FALSE, changes={"metadata": {"hw_unique_serial": "true"}})
    fake.hosts(TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO)
    shown = fake.show()
    assert [change["input"] for change in shown["pending"]] == ["flavor"]
    assert "Nova does not return when" in shown["why"]


def test_a_required_trait_does_not_prove_the_request_of_a_server(fake: FakeCloud) -> None:
    """The other host has the trait, and an older driver."""
    fake.server(
        flavor={f"trait:{TRAIT_UNIQUE}": "required"},
        changes={"metadata": {"hw_unique_serial": "true"}},
    )
    fake.hosts(
        TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO, others=[[TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO]]
    )
    shown = fake.show()
    assert (shown["serial_source"], shown["survives_move"]) == ("instance-uuid", False)
