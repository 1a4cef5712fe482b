# SPDX-License-Identifier: Apache-2.0
"""Every row of the table of options, on real services; what is stored is read back raw."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.cloud import Cloud
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_show import broken_cell, wait_for_cell

Names = Callable[[str], str]

TRAIT = "trait:CUSTOM_UNIQUE_SERIAL"
SCOPED = "aggregate_instance_extra_specs:hw:unique_serial"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("image") / "disk"
    path.write_bytes(b"x")
    return str(path)


def created_id(cloud: Cloud, *args: str, user: str = "devcloud") -> str:
    return cloud.openstack(*args, "-f", "value", "-c", "id", cloud=user).stdout.strip()


# --- flavors -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (["--unique-serial"], {"hw:unique_serial": "true"}),
        (["--no-unique-serial"], {"hw:unique_serial": "false"}),
        (
            ["--unique-serial", "--unique-serial-hosts", "supported"],
            {"hw:unique_serial": "true", TRAIT: "required"},
        ),
        (
            ["--unique-serial", "--unique-serial-hosts", "aggregate"],
            {"hw:unique_serial": "true", SCOPED: "<or> true <or> True"},
        ),
        (["--property", "hw:unique_serial=YES"], {"hw:unique_serial": "true"}),
    ],
)
def test_flavor_create_and_set(
    cloud: Cloud, unique_name: Names, options: list[str], stored: dict[str, str]
) -> None:
    made = created_id(cloud, "flavor", "create", *options, unique_name("flavor"))
    assert cloud.extra_specs(made) == stored
    other = cloud.new_flavor(unique_name("flavor"), {"hw:cpu_policy": "shared"})
    cloud.openstack("flavor", "set", *options, other)
    assert cloud.extra_specs(other) == {"hw:cpu_policy": "shared", **stored}


def test_flavor_set_again_and_the_other_way(cloud: Cloud, unique_name: Names) -> None:
    flavor = cloud.new_flavor(unique_name("flavor"))
    for option, text in (("--unique-serial", "true"), ("--no-unique-serial", "false")) * 2:
        cloud.openstack("flavor", "set", option, flavor)
        assert cloud.extra_specs(flavor) == {"hw:unique_serial": text}


def test_flavor_unset(cloud: Cloud, unique_name: Names) -> None:
    flavor = cloud.new_flavor(
        unique_name("flavor"),
        {"hw:unique_serial": "banana", TRAIT: "required", SCOPED: "x", "hw:cpu_policy": "shared"},
    )
    cloud.openstack("flavor", "unset", "--unique-serial", flavor, cold=True)
    assert cloud.extra_specs(flavor) == {
        TRAIT: "required",
        SCOPED: "x",
        "hw:cpu_policy": "shared",
    }
    for _ in range(2):  # what is not there is no error
        cloud.openstack("flavor", "unset", "--unique-serial", "--unique-serial-hosts", flavor)
        assert cloud.extra_specs(flavor) == {"hw:cpu_policy": "shared"}


def test_unset_by_property_is_the_remedy_for_a_misplaced_key(
    cloud: Cloud, unique_name: Names
) -> None:
    flavor = cloud.new_flavor(unique_name("flavor"), {"hw_unique_serial": "true"})
    cloud.openstack("flavor", "unset", "--property", "hw_unique_serial", flavor)
    assert cloud.extra_specs(flavor) == {}


def test_supported_hosts_need_no_warning_where_a_host_has_the_trait(
    cloud: Cloud, unique_name: Names
) -> None:
    flavor = cloud.new_flavor(unique_name("flavor"))
    run = cloud.openstack("flavor", "set", "--unique-serial-hosts", "supported", flavor)
    assert run.stderr == ""


# --- images ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (["--unique-serial"], {"hw_unique_serial": "true"}),
        (["--no-unique-serial"], {"hw_unique_serial": "false"}),
        (
            ["--unique-serial", "--unique-serial-hosts", "supported"],
            {"hw_unique_serial": "true", TRAIT: "required"},
        ),
        (["--property", "hw_unique_serial=On"], {"hw_unique_serial": "true"}),
    ],
)
def test_image_create_and_set(
    cloud: Cloud, unique_name: Names, disk: str, options: list[str], stored: dict[str, str]
) -> None:
    made = created_id(cloud, "image", "create", "--file", disk, *options, unique_name("image"))
    assert stored.items() <= cloud.image(made).items()
    other = cloud.new_image(unique_name("image"), os_distro="debian")
    cloud.openstack("image", "set", *options, other)
    assert {"os_distro": "debian", **stored}.items() <= cloud.image(other).items()


def test_image_unset(cloud: Cloud, unique_name: Names) -> None:
    image = cloud.new_image(
        unique_name("image"), hw_unique_serial="banana", os_distro="debian", **{TRAIT: "required"}
    )
    for _ in range(2):
        cloud.openstack("image", "unset", "--unique-serial", "--unique-serial-hosts", image)
        left = cloud.image(image)
        assert left["os_distro"] == "debian"
        assert not {"hw_unique_serial", TRAIT} & set(left)


# --- host aggregates -----------------------------------------------------------


def test_aggregate_create_set_unset(cloud: Cloud, unique_name: Names) -> None:
    name = unique_name("aggregate")
    args = ("aggregate", "create", "--unique-serial", "--property", "a=b", name)
    cloud.openstack(*args, cold=True)
    yes = {"hw:unique_serial": "true", "hw_unique_serial": "True"}
    no = {"hw:unique_serial": "false", "hw_unique_serial": "False"}
    assert cloud.aggregate(name)["metadata"] == {"a": "b", **yes}
    cloud.openstack("aggregate", "set", "--no-unique-serial", name)
    assert cloud.aggregate(name)["metadata"] == {"a": "b", **no}
    cloud.openstack("aggregate", "set", "--property", "hw_unique_serial=yes", name)
    assert cloud.aggregate(name)["metadata"]["hw_unique_serial"] == "True"
    for _ in range(2):
        cloud.openstack("aggregate", "unset", "--unique-serial", name)
        assert cloud.aggregate(name)["metadata"] == {"a": "b"}


# --- what is refused, and that nothing was written -----------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--property", "hw:unique_serial=banana"],
        ["--property", "hw:unique_serial="],
        ["--property", "hw_unique_serial=true"],
        ["--unique-serial", "--property", "hw:unique_serial=false"],
        ["--no-unique-serial", "--unique-serial-hosts", "supported"],
    ],
)
def test_refused_on_flavors(cloud: Cloud, unique_name: Names, options: list[str]) -> None:
    flavor = cloud.new_flavor(unique_name("flavor"), {"hw:unique_serial": "true"})
    run = cloud.openstack("flavor", "set", *options, "--property", "a=b", flavor, check=False)
    assert (run.returncode, "Nothing was changed." in run.stderr) == (1, True)
    assert cloud.extra_specs(flavor) == {"hw:unique_serial": "true"}
    name = unique_name("flavor")
    run = cloud.openstack("flavor", "create", *options, name, check=False)
    assert run.returncode == 1
    names = [item["name"] for item in cloud.get("nova", "/v2.1/flavors")["flavors"]]
    assert name not in names


@pytest.mark.parametrize(
    "options",
    [
        ["--property", "hw_unique_serial=banana"],
        ["--property", "hw_unique_serial="],
        ["--property", "hw:unique_serial=true"],
        ["--unique-serial", "--property", "hw_unique_serial=no"],
    ],
)
def test_refused_on_images(cloud: Cloud, unique_name: Names, disk: str, options: list[str]) -> None:
    image = cloud.new_image(unique_name("image"))
    before = cloud.image(image)
    args = ("image", "set", *options, "--property", "a=b", image)
    run = cloud.openstack(*args, check=False, cold=True)
    assert (run.returncode, "Nothing was changed." in run.stderr) == (1, True)
    assert cloud.image(image) == before
    name = unique_name("image")
    run = cloud.openstack("image", "create", "--file", disk, *options, name, check=False)
    assert run.returncode == 1
    assert cloud.get("glance", f"/v2/images?name={name}")["images"] == []


def test_refused_on_aggregates(cloud: Cloud, unique_name: Names) -> None:
    name = unique_name("aggregate")
    options = ["--property", "hw:unique_serial=true", "--property", "hw_unique_serial=False"]
    run = cloud.openstack("aggregate", "create", *options, name, check=False)
    assert (run.returncode, "Nothing was changed." in run.stderr) == (1, True)
    names = [item["name"] for item in cloud.get("nova", "/v2.1/os-aggregates")["aggregates"]]
    assert name not in names


def test_both_paired_options(cloud: Cloud) -> None:
    run = cloud.openstack(
        "flavor", "set", "--unique-serial", "--no-unique-serial", "x", check=False
    )
    assert run.returncode == 2
    assert "not allowed with argument" in run.stderr


def test_image_from_a_volume(cloud: Cloud) -> None:
    run = cloud.openstack("image", "create", "--volume", "v", "--unique-serial", "x", check=False)
    assert (run.returncode, "--volume" in run.stderr) == (1, True)


def test_no_permission_names_the_right(cloud: Cloud, plain_flavor: str) -> None:
    run = cloud.openstack(
        "flavor", "set", "--unique-serial", plain_flavor, cloud="devcloud-member", check=False
    )
    assert run.returncode == 1
    assert "os_compute_api:os-flavor-extra-specs:create" in run.stderr
    assert cloud.extra_specs(plain_flavor) == {}


# --- half-way failures ---------------------------------------------------------


def test_a_flavor_whose_second_request_fails(
    cloud: Cloud, proxy: Proxy, unique_name: Names
) -> None:
    name = unique_name("flavor")
    proxy.faults.append(Fault("POST .*/os-extra_specs", status=503))
    run = cloud.openstack(
        "flavor", "create", "--unique-serial", name, check=False, clouds_yaml=proxy.clouds_yaml
    )
    assert run.returncode == 1
    assert f"The flavor '{name}' exists now" in run.stderr
    finish = run.stderr.split("To finish it: openstack ")[1].strip()
    cloud.openstack(*finish.split())
    assert cloud.extra_specs(finish.split()[-1]) == {"hw:unique_serial": "true"}


def test_an_aggregate_whose_second_request_fails(
    cloud: Cloud, proxy: Proxy, unique_name: Names
) -> None:
    name = unique_name("aggregate")
    proxy.faults.append(Fault("POST .*/os-aggregates/.*/action", status=503))
    run = cloud.openstack(
        "aggregate", "create", "--unique-serial", name, check=False, clouds_yaml=proxy.clouds_yaml
    )
    assert run.returncode == 1
    assert f"The aggregate '{name}' exists now" in run.stderr
    finish = run.stderr.split("To finish it: openstack ")[1].strip()
    cloud.openstack(*finish.split())
    assert cloud.aggregate(name)["metadata"] == {
        "hw:unique_serial": "true",
        "hw_unique_serial": "True",
    }


@pytest.mark.parametrize(
    ("command", "resource"),
    [("flavor set", "flavor"), ("image set", "image"), ("aggregate set", "aggregate")],
)
def test_the_option_costs_no_request_of_its_own(
    cloud: Cloud, proxy: Proxy, unique_name: Names, command: str, resource: str
) -> None:
    """The option makes the very requests that the raw property makes."""
    key = {"flavor": "hw:unique_serial", "image": "hw_unique_serial"}.get(resource, "a")
    made = []
    for options in (["--unique-serial"], ["--property", f"{key}=true"]):
        name = unique_name(resource)
        if resource == "flavor":
            made_id = cloud.new_flavor(name)
        elif resource == "image":
            made_id = cloud.new_image(name)
        else:
            body = {"aggregate": {"name": name}}
            answer = cloud.raw("nova", "POST", "/v2.1/os-aggregates", body)
            made_id = str(answer.json()["aggregate"]["id"])
        proxy.requests.clear()
        cloud.openstack(*command.split(), *options, name, clouds_yaml=proxy.clouds_yaml)
        lines = proxy.api_requests()
        made.append([line.replace(name, "NAME").replace(f"/{made_id}", "/ID") for line in lines])
    assert made[0] == made[1]


# --- servers -------------------------------------------------------------------

COUNTS = "counts at the next hard reboot"
HIDDEN = "This user cannot see whether the server's host obeys it"
#: A user with a server in another project than the administrator's.
MEMBER = "devcloud-member"
REQUEST = {"hw_unique_serial": "true"}


def metadata(cloud: Cloud, server: str) -> dict[str, str]:
    """Return the metadata that Nova stores."""
    stored: dict[str, str] = cloud.get("nova", f"/v2.1/servers/{server}/metadata")["metadata"]
    return stored


def set_metadata(cloud: Cloud, server: str, **items: str) -> None:
    """Replace the metadata, past the code under test."""
    answer = cloud.raw("nova", "PUT", f"/v2.1/servers/{server}/metadata", {"metadata": items})
    assert answer.ok, answer.text


def create_server(cloud: Cloud, flavor: str, name: str, *options: str, user: str) -> str:
    """Create a server with the stock command, and return its ID."""
    return created_id(
        cloud,
        *("--os-compute-api-version", "2.74", "server", "create", "--nic", "none"),
        *("--flavor", flavor, "--wait", *options, name),
        user=user,
    )


@pytest.fixture(scope="module")
def obeyed(cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str) -> str:
    """A server on a host whose driver obeys it."""
    return cloud.boot(unique_name("obeyed"), plain_flavor, plain_image, "keys-1")


@pytest.fixture(scope="module")
def members(cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str) -> str:
    """A server of the member's project."""
    name = unique_name("members")
    return create_server(cloud, plain_flavor, name, "--image", plain_image, user=MEMBER)


@pytest.fixture
def server(cloud: Cloud, obeyed: str) -> str:
    """That server, with metadata of its own only."""
    set_metadata(cloud, obeyed, a="b")
    return obeyed


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (["--unique-serial"], False),
        (["--property", "hw_unique_serial=true"], False),
        (["--property", "hw_unique_serial=YES"], True),
    ],
)
def test_server_set_and_unset(cloud: Cloud, server: str, options: list[str], note: bool) -> None:
    run = cloud.openstack("server", "set", *options, "--property", "resource=x", server)
    assert metadata(cloud, server) == {"a": "b", "resource": "x", **REQUEST}
    assert COUNTS in run.stderr
    assert ("is written as hw_unique_serial=true" in run.stderr) is note
    assert "obey" not in run.stderr
    run = cloud.openstack("server", "unset", "--unique-serial", "--property", "resource", server)
    assert metadata(cloud, server) == {"a": "b"}
    assert COUNTS in run.stderr
    run = cloud.openstack("server", "unset", "--unique-serial", server)  # missing: no error
    assert (metadata(cloud, server), run.stderr) == ({"a": "b"}, "")


def test_server_unset_of_all_properties(cloud: Cloud, server: str) -> None:
    options = ("--all-properties", "--unique-serial")
    for stored, counts in ((REQUEST, True), ({"x": "y"}, False)):
        set_metadata(cloud, server, a="b", **stored)
        run = cloud.openstack("server", "unset", *options, server, cold=True)
        assert metadata(cloud, server) == {}
        assert (COUNTS in run.stderr) is counts


def test_server_create(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    # As a filter of images it is no write, whatever its value.
    distro = unique_name("distro")
    image = cloud.new_image(unique_name("image"), hw_unique_serial="maybe", os_distro=distro)
    found = [
        "--image-property",
        "hw_unique_serial=maybe",
        "--image-property",
        f"os_distro={distro}",
    ]
    for options, stored in (
        (["--image", plain_image, "--unique-serial"], REQUEST),
        (["--image", plain_image, "--property", "hw_unique_serial=On"], REQUEST),
        ([*found, "--property", "a=b"], {"a": "b"}),
    ):
        made = create_server(cloud, plain_flavor, unique_name("made"), *options, user="devcloud")
        assert metadata(cloud, made) == stored
    assert cloud.get("nova", f"/v2.1/servers/{made}")["server"]["image"]["id"] == image


@pytest.mark.parametrize("command", ["create", "set", "rebuild"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("hw_unique_serial=banana", "is no boolean"),
        ("hw_unique_serial=", "is no boolean"),
        (f"hw_unique_serial={'x' * 255}", "is no boolean"),
        (f"hw_unique_serial={'x' * 256}", "is no boolean"),
        ("hw_unique_serial=False", "server unset --unique-serial"),
        ("hw:unique_serial=true", "the key there is hw_unique_serial"),
        ("hw-unique-serial=true", "the key there is hw_unique_serial"),
        ("hw_unqiue_serial=true", "the key there is hw_unique_serial"),
    ],
    ids=["junk", "empty", "255", "256", "false", "flavor-key", "near", "misspelt"],
)
def test_refused_on_servers(
    cloud: Cloud,
    server: str,
    unique_name: Names,
    plain_flavor: str,
    plain_image: str,
    command: str,
    given: str,
    reason: str,
) -> None:
    name = unique_name("refused")
    more = ["--flavor", plain_flavor, "--image", plain_image] if command == "create" else []
    target = name if command == "create" else server
    run = cloud.openstack("server", command, *more, "--property", given, target, check=False)
    assert run.returncode == 1
    assert reason in run.stderr
    assert "Nothing was changed." in run.stderr
    assert metadata(cloud, server) == {"a": "b"}
    assert cloud.get("nova", f"/v2.1/servers?name={name}")["servers"] == []
    assert cloud.wait(server, "ACTIVE")


def test_server_rebuild_replaces_the_metadata(cloud: Cloud, server: str) -> None:
    for given, stored, lost in (
        ("hw_unique_serial=1", REQUEST, False),
        ("c=d", {"c": "d"}, True),
    ):
        run = cloud.openstack("server", "rebuild", "--property", given, "--wait", server)
        assert metadata(cloud, server) == stored
        assert ("replaces all metadata" in run.stderr) is lost


def test_a_request_that_the_host_does_not_obey(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    name = unique_name("ignored")
    made = cloud.boot(name, plain_flavor, plain_image, "auto-1")
    new_name = unique_name("ignored")
    run = cloud.openstack("server", "set", "--name", new_name, "--unique-serial", name)
    assert metadata(cloud, made) == REQUEST
    assert COUNTS in run.stderr
    assert "host auto-1 (mode auto) does not honour the keys" in run.stderr
    assert HIDDEN not in run.stderr


def test_a_host_in_mode_unique_needs_no_driver(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    made = cloud.boot(unique_name("unique"), plain_flavor, plain_image, "unique-1")
    run = cloud.openstack("server", "set", "--unique-serial", made)
    assert COUNTS in run.stderr
    assert "honour" not in run.stderr
    assert "obey" not in run.stderr


def test_server_set_costs_one_request(cloud: Cloud, proxy: Proxy, server: str) -> None:
    """The request for the traits of the host; ``unset`` costs none."""
    made = []
    for command, options in (
        ("set", ["--property", "c=d"]),
        ("set", ["--unique-serial"]),
        ("unset", ["--property", "c"]),
        ("unset", ["--unique-serial"]),
    ):
        proxy.requests.clear()
        cloud.openstack("server", command, *options, server, clouds_yaml=proxy.clouds_yaml)
        made.append(proxy.api_requests())
    plain, ours, unset_plain, unset_ours = made
    assert ours[:-1] == plain
    assert ours[-1].startswith("placement GET /resource_providers?name=keys-1&")
    assert unset_ours == [
        line.replace("/metadata/c", "/metadata/hw_unique_serial") for line in unset_plain
    ]


def test_a_member_and_their_own_server(cloud: Cloud, members: str) -> None:
    run = cloud.openstack("server", "set", "--unique-serial", members, cloud=MEMBER)
    assert metadata(cloud, members) == REQUEST
    assert COUNTS in run.stderr
    assert HIDDEN in run.stderr
    cloud.openstack("server", "unset", "--unique-serial", members, cloud=MEMBER)
    assert metadata(cloud, members) == {}


def test_help_of_server_commands(cloud: Cloud) -> None:
    for command in ("create", "set", "unset"):
        run = cloud.openstack("help", "server", command)
        assert "--unique-serial" in run.stdout
        assert "--no-unique-serial" not in run.stdout


# --- what Nova refuses on servers ----------------------------------------------


def test_a_refused_request_after_a_new_name(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    made = cloud.boot(unique_name("shelved"), plain_flavor, plain_image, "keys-1")
    set_metadata(cloud, made, a="b", **REQUEST)
    cloud.action(made, shelve=None)
    cloud.wait(made, "SHELVED_OFFLOADED")
    name = unique_name("renamed")
    options = ("--name", name, "--tag", "x", "--unique-serial")
    version = ("--os-compute-api-version", "2.26")
    run = cloud.openstack(*version, "server", "set", *options, made, check=False)
    assert run.returncode == 1
    assert f"The metadata of server '{made}' were not changed: " in run.stderr
    assert "vm_state shelved_offloaded" in run.stderr
    assert "Changed before that: name. Not done after that: tags." in run.stderr
    assert COUNTS not in run.stderr
    assert cloud.get("nova", f"/v2.1/servers/{made}")["server"]["name"] == name
    run = cloud.openstack("server", "unset", "--unique-serial", made, check=False)
    assert run.returncode == 1
    assert f"hw_unique_serial was not removed from the metadata of server '{made}'" in run.stderr
    assert f"'openstack server unshelve {made}'" in run.stderr
    assert COUNTS not in run.stderr
    run = cloud.openstack("server", "unset", "--all-properties", made, check=False)
    assert (run.returncode, COUNTS in run.stderr) == (1, False)
    assert metadata(cloud, made) == {"a": "b", **REQUEST}


@pytest.mark.parametrize(
    ("status", "action", "way_out"),
    [
        ("RESCUE", {"rescue": {}}, "unrescue"),
        ("VERIFY_RESIZE", {"resize": {}}, "resize confirm"),
        ("ERROR", {"os-resetState": {"state": "error"}}, "reboot --hard"),
    ],
)
def test_a_status_in_which_nova_changes_no_metadata(
    cloud: Cloud,
    unique_name: Names,
    plain_flavor: str,
    plain_image: str,
    status: str,
    action: dict[str, dict[str, str]],
    way_out: str,
) -> None:
    """The command of the message leads to a status in which it is changed."""
    made = cloud.boot(unique_name("status"), plain_flavor, plain_image, "keys-1")
    if "resize" in action:
        action = {"resize": {"flavorRef": cloud.new_flavor(unique_name("larger"))}}
    cloud.action(made, **action)
    cloud.wait(made, status)
    run = cloud.openstack("server", "set", "--unique-serial", made, check=False)
    assert run.returncode == 1
    assert f"'{made}' were not changed: Cannot 'update metadata'" in run.stderr
    assert f"Its status is {status}: before that, use '" in run.stderr
    command = run.stderr.split(f"Its status is {status}: before that, use '")[1].partition("'")[0]
    assert command == f"openstack server {way_out} {made}"
    assert metadata(cloud, made) == {}
    cloud.openstack(*command.split()[1:])
    deadline = time.monotonic() + 60
    while cloud.get("nova", f"/v2.1/servers/{made}")["server"]["status"] != "ACTIVE":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cloud.openstack("server", "set", "--unique-serial", made)
    assert metadata(cloud, made) == REQUEST


def test_metadata_can_be_set_while_a_task_is_in_progress(cloud: Cloud, server: str) -> None:
    """Nova checks the status only (nova/compute/api.py, update_instance_metadata)."""
    with contextlib.closing(sqlite3.connect(cloud.state["databases"]["nova_cell1"])) as database:
        for task in ("resize_prep", None):
            with database:
                database.execute(
                    "UPDATE instances SET task_state = ? WHERE uuid = ?", (task, server)
                )
            cloud.openstack("server", "set", "--unique-serial", server)
            assert metadata(cloud, server) == {"a": "b", **REQUEST}
            set_metadata(cloud, server, a="b")


def test_a_server_that_its_user_locked(cloud: Cloud, members: str) -> None:
    set_metadata(cloud, members)
    cloud.openstack("server", "lock", members, cloud=MEMBER)
    try:
        run = cloud.openstack(
            "server", "set", "--unique-serial", members, cloud=MEMBER, check=False
        )
    finally:
        cloud.openstack("server", "unlock", members, cloud=MEMBER)
    assert run.returncode == 1
    assert (
        f"The metadata of server '{members}' were not changed: Instance {members} is locked."
        in (run.stderr)
    )
    assert "only while the server is not locked" in run.stderr
    assert metadata(cloud, members) == {}


def test_the_quota_of_metadata(
    cloud: Cloud, server: str, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    full = {f"item-{number}": "x" for number in range(128)}
    set_metadata(cloud, server, **full)
    run = cloud.openstack("server", "set", "--unique-serial", server, check=False)
    assert run.returncode == 1
    assert f"The metadata of server '{server}' were not changed: Maximum number" in run.stderr
    assert metadata(cloud, server) == full
    name = unique_name("full")
    options = [f"--property={key}=x" for key in full]
    source = ("--flavor", plain_flavor, "--image", plain_image)
    version = ("--os-compute-api-version", "2.74")
    run = cloud.openstack(
        *(*version, "server", "create", "--nic", "none", *source, "--unique-serial"),
        *(*options, name),
        check=False,
    )
    assert (run.returncode, "Maximum number of metadata" in run.stderr) == (1, True)
    assert cloud.get("nova", f"/v2.1/servers?name={name}")["servers"] == []


def test_other_metadata_that_nova_refuses(cloud: Cloud, server: str) -> None:
    options = ("--unique-serial", "--property", f"c={'x' * 256}")
    run = cloud.openstack("server", "set", *options, server, check=False)
    assert (run.returncode, "were not changed: Invalid input" in run.stderr) == (1, True)
    assert metadata(cloud, server) == {"a": "b"}


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (MEMBER, "No Server found"),  # of another project
        ("devcloud-reader", "os_compute_api:server-metadata:"),
    ],
)
@pytest.mark.parametrize("command", ["set", "unset"])
def test_no_rights_on_a_server(
    cloud: Cloud, server: str, members: str, command: str, user: str, reason: str
) -> None:
    target = server if user == MEMBER else members
    set_metadata(cloud, target, a="b", **REQUEST)
    run = cloud.openstack("server", command, "--unique-serial", target, cloud=user, check=False)
    assert (run.returncode, reason in run.stderr) == (1, True)
    assert target in run.stderr
    assert COUNTS not in run.stderr
    assert metadata(cloud, target) == {"a": "b", **REQUEST}


@pytest.mark.parametrize("command", ["set", "unset", "rebuild"])
def test_a_server_that_does_not_exist(cloud: Cloud, command: str) -> None:
    option = (
        ("--property", "hw_unique_serial=true") if command == "rebuild" else ("--unique-serial",)
    )
    run = cloud.openstack("server", command, *option, "no-such-server", check=False)
    assert (run.returncode, run.stderr.strip()) == (1, "No Server found for no-such-server")


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("2.97", "The cell of the server is down: repeat the command when it is up again."),
        # Nova answers 500 to the command's own first request.
        ("2.98", "500: Server Error"),
    ],
)
def test_a_server_whose_cell_is_down(
    cloud: Cloud,
    unique_name: Names,
    plain_flavor: str,
    plain_image: str,
    version: str,
    reason: str,
) -> None:
    made = cloud.boot(unique_name("down"), plain_flavor, plain_image, "cell2-1")
    set_metadata(cloud, made, **REQUEST)
    with broken_cell(cloud):
        runs = [
            cloud.openstack(
                *("--os-compute-api-version", version, "server", command, "--unique-serial", made),
                check=False,
            )
            for command in ("set", "unset")
        ]
    for run in runs:
        assert run.returncode == 1
        assert made in run.stderr
        assert reason in run.stderr
        assert COUNTS not in run.stderr
    wait_for_cell(cloud, made)
    assert metadata(cloud, made) == REQUEST


# --- volumes -------------------------------------------------------------------


def test_volume_image_properties(cloud: Cloud, unique_name: Names, plain_image: str) -> None:
    made = cloud.new_volume(unique_name("volume"), plain_image)
    for options in (
        ["--image-property", "hw_unique_serial=banana"],
        ["--image-property", "hw:unique_serial=true"],
        ["--property", "hw_unique_serial=true"],
    ):
        run = cloud.openstack("volume", "set", *options, made, check=False)
        assert (run.returncode, "Nothing was changed." in run.stderr) == (1, True)
    args = ("volume", "set", "--image-property", "hw_unique_serial=YES", made)
    cloud.openstack(*args, cold=True)
    shown = json.loads(cloud.openstack("volume", "show", "-f", "json", made).stdout)
    assert shown["volume_image_metadata"]["hw_unique_serial"] == "true"
    assert "hw_unique_serial" not in shown["properties"]


def test_volume_create_with_the_key_in_the_wrong_place(cloud: Cloud, unique_name: Names) -> None:
    run = cloud.openstack(
        "volume",
        "create",
        "--size",
        "1",
        "--property",
        "hw_unique_serial=true",
        unique_name("volume"),
        check=False,
    )
    assert (run.returncode, "--image-property" in run.stderr) == (1, True)


def test_help_needs_no_cloud(cloud: Cloud, tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    run = cloud.openstack("flavor", "set", "--help", clouds_yaml=nowhere, cloud="", cold=True)
    assert "--unique-serial-hosts <supported|aggregate>" in run.stdout
