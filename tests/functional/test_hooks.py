# SPDX-License-Identifier: Apache-2.0
"""Every row of the table of options, on real services; what is stored is read back raw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.cloud import Cloud
from tests.functional.proxy import Fault, Proxy

Names = Callable[[str], str]

TRAIT = "trait:CUSTOM_UNIQUE_SERIAL"
SCOPED = "aggregate_instance_extra_specs:hw:unique_serial"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("image") / "disk"
    path.write_bytes(b"x")
    return str(path)


def created_id(cloud: Cloud, *args: str) -> str:
    return cloud.openstack(*args, "-f", "value", "-c", "id").stdout.strip()


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
