# SPDX-License-Identifier: Apache-2.0
"""The options and checks on stock commands, through the real shell."""

from __future__ import annotations

import argparse
import configparser
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from osc_lib import exceptions

from osc_uniqserial import hooks
from osc_uniqserial.policy import IMAGE_KEY, Setting
from tests.unit.builders import M_AUTO, TRAIT_KEYS
from tests.unit.fake_cloud import (
    CINDER,
    FLAVOR_ID,
    GLANCE,
    IMAGE_ID,
    NOVA,
    PLACEMENT,
    SERVER_ID,
    STOCK_VALIDATION,
    VOLUME_ID,
    FakeCloud,
)

TRAIT = "trait:CUSTOM_UNIQUE_SERIAL"
SCOPED = "aggregate_instance_extra_specs:hw:unique_serial"

SPECS = f"/v2.1/flavors/{FLAVOR_ID}/os-extra_specs"
ACTION = "/v2.1/os-aggregates/7/action"
IMAGE = f"/v2/images/{IMAGE_ID}"


@pytest.fixture
def cloud(fake: FakeCloud) -> FakeCloud:
    fake.flavor()
    fake.aggregate()
    fake.image({"os_distro": "debian"})
    fake.volume()
    fake.http.get(f"{PLACEMENT}/traits", json={"traits": ["CUSTOM_UNIQUE_SERIAL"]})
    return fake


def written(cloud: FakeCloud, path: str) -> Any:
    """Return the body of the one write to this path."""
    bodies = [
        request.json()
        for request in cloud.http.request_history
        if request.method in ("POST", "PATCH") and request.path == path.lower()
    ]
    assert len(bodies) == 1
    return bodies[0]


@pytest.mark.parametrize("command", ["create", "set"])
@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (["--unique-serial"], {"hw:unique_serial": "true"}),
        (["--no-unique-serial"], {"hw:unique_serial": "false"}),
        (["--property", "hw:unique_serial=YES"], {"hw:unique_serial": "true"}),
        (["--property", "hw:unique_serial= Off "], {"hw:unique_serial": "false"}),
        (
            ["--unique-serial", "--property", "hw:unique_serial=1", "--property", "a=b"],
            {"hw:unique_serial": "true", "a": "b"},
        ),
        (
            ["--unique-serial", "--unique-serial-hosts", "supported"],
            {"hw:unique_serial": "true", TRAIT: "required"},
        ),
        (["--unique-serial-hosts", "aggregate"], {SCOPED: "<or> true <or> True"}),
        (["--property", "hw:cpu_policy=dedicated"], {"hw:cpu_policy": "dedicated"}),
        (
            ["--no-unique-serial", "--property", f"{TRAIT}=forbidden"],
            {"hw:unique_serial": "false", TRAIT: "forbidden"},
        ),
    ],
)
def test_flavor(cloud: FakeCloud, command: str, options: list[str], stored: dict[str, str]) -> None:
    result = cloud.openstack("flavor", command, *options, "gold")
    assert result.code == 0, result.err
    assert written(cloud, SPECS) == {"extra_specs": stored}
    assert len(cloud.writes()) == (2 if command == "create" else 1)


@pytest.mark.parametrize("command", ["create", "set"])
@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (["--unique-serial"], {"hw:unique_serial": "true", "hw_unique_serial": "True"}),
        (["--no-unique-serial"], {"hw:unique_serial": "false", "hw_unique_serial": "False"}),
        (["--property", "hw_unique_serial=yes"], {"hw_unique_serial": "True"}),
        (["--property", "hw:unique_serial=TRUE"], {"hw:unique_serial": "true"}),
    ],
)
def test_aggregate(
    cloud: FakeCloud, command: str, options: list[str], stored: dict[str, str]
) -> None:
    result = cloud.openstack("aggregate", command, *options, "rack1")
    assert result.code == 0, result.err
    assert written(cloud, ACTION) == {"set_metadata": {"metadata": stored}}
    assert len(cloud.writes()) == (2 if command == "create" else 1)


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (["--unique-serial"], {"hw_unique_serial": "true"}),
        (["--no-unique-serial"], {"hw_unique_serial": "false"}),
        (["--property", "hw_unique_serial=T"], {"hw_unique_serial": "true"}),
        (
            ["--unique-serial", "--unique-serial-hosts", "supported"],
            {"hw_unique_serial": "true", TRAIT: "required"},
        ),
    ],
)
def test_image_set(cloud: FakeCloud, options: list[str], stored: dict[str, str]) -> None:
    result = cloud.openstack("image", "set", *options, "debian")
    assert result.code == 0, result.err
    patch = {change["path"][1:]: change["value"] for change in written(cloud, IMAGE)}
    assert patch == stored
    assert len(cloud.writes()) == 1


def test_image_create(cloud: FakeCloud, tmp_path: Any) -> None:
    data = tmp_path / "disk"
    data.write_bytes(b"x")
    result = cloud.openstack(
        "image", "create", "--unique-serial", "--file", str(data), "--property", "a=b", "debian"
    )
    body = next(r.json() for r in cloud.sent("POST") if r.path == "/v2/images")
    assert (body["hw_unique_serial"], body["a"]) == ("true", "b")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("properties", "options", "gone"),
    [
        ({"hw:unique_serial": "x", "a": "b"}, ["--unique-serial"], ["hw:unique_serial"]),
        ({}, ["--unique-serial", "--unique-serial-hosts"], []),
        (
            {TRAIT: "required", SCOPED: "x", "hw:unique_serial": "true"},
            ["--unique-serial-hosts"],
            [TRAIT, SCOPED],
        ),
        (
            {"hw:unique_serial": "banana", "a": "b"},
            ["--unique-serial", "--property", "hw:unique_serial", "--property", "a"],
            ["hw:unique_serial", "a"],
        ),
        ({"hw_unique_serial": "x"}, ["--property", "hw_unique_serial"], ["hw_unique_serial"]),
        ({"hw:unqiue_serial": "x"}, ["--property", "hw:unqiue_serial"], ["hw:unqiue_serial"]),
    ],
)
def test_flavor_unset(
    cloud: FakeCloud, properties: dict[str, str], options: list[str], gone: list[str]
) -> None:
    cloud.flavor(properties)
    result = cloud.openstack("flavor", "unset", *options, "gold")
    assert result.code == 0, result.err
    assert sorted(cloud.writes()) == sorted(
        f"DELETE {SPECS}/{key}".lower().replace("delete", "DELETE") for key in gone
    )


@pytest.mark.parametrize(
    ("properties", "gone"),
    [
        ({"hw_unique_serial": "true", TRAIT: "required", "a": "b"}, ["hw_unique_serial", TRAIT]),
        ({"a": "b"}, []),
        (None, []),
    ],
)
def test_image_unset(cloud: FakeCloud, properties: dict[str, str] | None, gone: list[str]) -> None:
    cloud.image(properties)
    result = cloud.openstack("image", "unset", "--unique-serial", "--unique-serial-hosts", "debian")
    assert result.code == 0, result.err
    removed = [change["path"][1:] for request in cloud.sent("PATCH") for change in request.json()]
    assert sorted(removed) == sorted(gone)


def test_unset_of_something_that_is_not_there_is_reported_by_the_command(cloud: FakeCloud) -> None:
    cloud.http.get(f"{NOVA}/flavors/detail", json={"flavors": []})
    result = cloud.openstack("flavor", "unset", "--unique-serial", "gold")
    assert result.code == 1
    assert "gold" in result.err


def test_aggregate_unset(cloud: FakeCloud) -> None:
    result = cloud.openstack("aggregate", "unset", "--unique-serial", "rack1")
    assert result.code == 0, result.err
    metadata = {"hw:unique_serial": None, "hw_unique_serial": None}
    assert written(cloud, ACTION) == {"set_metadata": {"metadata": metadata}}


REFUSED = [
    # command, options, what the message must name
    ("flavor", ["--property", "hw:unique_serial=banana"], ["hw:unique_serial", "banana", "true"]),
    ("flavor", ["--property", "hw:unique_serial="], ["hw:unique_serial=''"]),
    ("flavor", ["--property", "hw:unique_serial=None"], ["None"]),
    ("flavor", ["--property", "hw_unique_serial=true"], ["hw_unique_serial", "hw:unique_serial"]),
    ("flavor", ["--property", "hw:uniqueserial=true"], ["'hw:uniqueserial'", "hw:unique_serial"]),
    ("flavor", ["--property", "HW:Unique-Serial =true"], ["hw:unique_serial"]),
    ("image", ["--property", "unique_serial=true"], ["'unique_serial'", "hw_unique_serial"]),
    ("flavor", ["--property", "hw:unqiue_serial=true"], ["'hw:unqiue_serial'", "is hw:unique"]),
    ("image", ["--property", "hw_unique_seriel=true"], ["'hw_unique_seriel'", "is hw_unique"]),
    ("aggregate", ["--property", "hw:uniq_serial=true"], ["'hw:uniq_serial'", "is hw:unique"]),
    (
        "flavor",
        ["--unique-serial", "--property", "hw:unique_serial=false"],
        ["hw:unique_serial=true", "hw:unique_serial=false"],
    ),
    ("flavor", ["--no-unique-serial", "--unique-serial-hosts", "supported"], [TRAIT]),
    ("flavor", ["--no-unique-serial", "--unique-serial-hosts", "aggregate"], [SCOPED]),
    (
        "flavor",
        ["--property", "hw:unique_serial=no", "--unique-serial-hosts", "supported"],
        [TRAIT, "hw:unique_serial=false"],
    ),
    (
        "flavor",
        ["--no-unique-serial", "--property", f"{SCOPED}=true"],
        [f"{SCOPED}=true", "hw:unique_serial=false"],
    ),
    (
        "flavor",
        ["--no-unique-serial", "--property", f"{SCOPED}=<or> false <or> yes"],
        [SCOPED],
    ),
    ("flavor", ["--unique-serial", "--property", f"{TRAIT}=forbidden"], [f"{TRAIT}=forbidden"]),
    (
        "flavor",
        ["--unique-serial-hosts", "supported", "--property", f"{TRAIT}=forbidden"],
        [f"{TRAIT}=forbidden"],
    ),
    ("image", ["--property", "hw_unique_serial=null"], ["hw_unique_serial", "null"]),
    ("image", ["--property", "hw:unique_serial=true"], ["hw:unique_serial", "hw_unique_serial"]),
    ("image", ["--no-unique-serial", "--property", "hw_unique_serial=true"], ["false", "true"]),
    ("image", ["--no-unique-serial", "--unique-serial-hosts", "supported"], [TRAIT]),
    ("aggregate", ["--property", "hw_unique_serial=maybe"], ["hw_unique_serial", "maybe"]),
    ("aggregate", ["--property", "hw:unique_serial=2"], ["hw:unique_serial", "2"]),
    (
        "aggregate",
        ["--property", "hw:unique_serial=true", "--property", "hw_unique_serial=False"],
        ["hw:unique_serial=true", "hw_unique_serial=False"],
    ),
    ("aggregate", ["--unique-serial", "--property", "hw_unique_serial=False"], ["True", "False"]),
]


@pytest.mark.parametrize("command", ["create", "set"])
@pytest.mark.parametrize(("noun", "options", "named"), REFUSED)
def test_refused_before_anything_is_written(
    cloud: FakeCloud, noun: str, command: str, options: list[str], named: list[str]
) -> None:
    result = cloud.openstack(noun, command, *options, "x")
    assert result.code == 1
    assert "Nothing was changed." in result.err
    for text in named:
        assert text in result.err
    assert cloud.writes() == []


@pytest.mark.parametrize("noun", ["flavor", "image", "aggregate"])
@pytest.mark.parametrize("command", ["create", "set"])
def test_both_paired_options_are_a_usage_error(cloud: FakeCloud, noun: str, command: str) -> None:
    result = cloud.openstack(noun, command, "--unique-serial", "--no-unique-serial", "x")
    assert result.code == 2
    assert "not allowed with argument" in result.err
    assert cloud.writes() == []


def test_a_rewritten_value_is_told(cloud: FakeCloud) -> None:
    result = cloud.openstack("flavor", "set", "--property", "hw:unique_serial=On", "gold")
    assert "hw:unique_serial=On is written as hw:unique_serial=true" in result.err
    same = cloud.openstack("flavor", "set", "--property", "hw:unique_serial=true", "gold")
    assert same.err == ""


@pytest.mark.parametrize("options", [["--unique-serial"], ["--property", "hw_unique_serial=true"]])
def test_image_from_volume_is_refused(cloud: FakeCloud, options: list[str]) -> None:
    result = cloud.openstack("image", "create", "--volume", "root", *options, "debian")
    assert result.code == 1
    assert "--volume" in result.err
    assert cloud.writes() == []


def test_supported_hosts_without_any_host_is_warned_of(cloud: FakeCloud) -> None:
    cloud.http.get(f"{PLACEMENT}/traits", json={"traits": []})
    result = cloud.openstack(
        "flavor", "set", "--unique-serial", "--unique-serial-hosts", "supported", "gold"
    )
    assert result.code == 0
    assert "No host has trait CUSTOM_UNIQUE_SERIAL" in result.err
    (query,) = [r.qs for r in cloud.sent("GET") if r.path == "/traits"]
    assert query == {"name": ["in:custom_unique_serial"], "associated": ["true"]}


def test_supported_hosts_that_cannot_be_checked_are_told(cloud: FakeCloud) -> None:
    cloud.http.get(f"{PLACEMENT}/traits", status_code=403)
    result = cloud.openstack("image", "set", "--unique-serial-hosts", "supported", "debian")
    assert result.code == 0
    assert "was not checked: Placement answered 403" in result.err
    assert written(cloud, IMAGE)


def test_aggregate_steering_tells_its_condition(cloud: FakeCloud) -> None:
    result = cloud.openstack("flavor", "set", "--unique-serial-hosts", "aggregate", "gold")
    assert "AggregateInstanceExtraSpecsFilter" in result.err


def test_a_flavor_that_is_only_steered_is_watched_too(cloud: FakeCloud) -> None:
    cloud.http.post(f"{NOVA}/flavors/{FLAVOR_ID}/os-extra_specs", status_code=503)
    result = cloud.openstack("flavor", "create", "--unique-serial-hosts", "supported", "gold")
    assert (result.code, f"{TRAIT}=required" in result.err) == (1, True)


def test_flavor_created_without_its_extra_specs_fails_and_tells_how_to_finish(
    cloud: FakeCloud,
) -> None:
    cloud.http.post(f"{NOVA}/flavors/{FLAVOR_ID}/os-extra_specs", status_code=503)
    result = cloud.openstack("flavor", "create", "--unique-serial", "--property", "a=b c", "gold")
    assert result.code == 1
    assert f"exists now (ID {FLAVOR_ID})" in result.err
    finish = "openstack flavor set --property 'a=b c' --property hw:unique_serial=true " + FLAVOR_ID
    assert finish in result.err


class Refusing:
    """A compute client whose Nova refuses extra specs."""

    def __init__(self, version: str | None, status: int, message: str) -> None:
        self.default_microversion = version
        self._error = type("HttpException", (Exception,), {"status_code": status})(message)

    def create_flavor_extra_specs(self, _flavor: object, _specs: object) -> None:
        raise self._error


def refused_specs(hook: type[hooks._Hook], compute: Refusing) -> tuple[str, str]:
    """Return the error of the request, and that of a command which logged it and went on."""
    logged: list[str] = []

    def take_action(args: argparse.Namespace) -> Any:
        try:
            compute.create_flavor_extra_specs(SimpleNamespace(id="f-1"), args.properties)
        except Exception as error:
            logged.append(str(error))
        return ("id", "properties"), ("f-1", {})

    command: Any = SimpleNamespace(
        app=SimpleNamespace(client_manager=SimpleNamespace(compute=compute)),
        take_action=take_action,
    )
    args = argparse.Namespace(unique_serial=Setting.UNIQUE, properties=None, name="gold")
    made = hook(command=command)
    args = made.before(args)
    result = command.take_action(args)
    try:
        made.after(args, result)
    except exceptions.CommandError as error:
        logged.append(str(error))
    return logged[0], logged[-1]


FINISH = "openstack --os-compute-api-version 2.85 flavor set --property hw:unique_serial=true f-1"


@pytest.mark.parametrize("version", ["2.86", "2.98", "2.104"])
@pytest.mark.parametrize("hook", [hooks.CreateFlavor, hooks.SetFlavor])
def test_why_nova_refuses_the_key_from_2_86_on(hook: type[hooks._Hook], version: str) -> None:
    """The command that is printed is not the one that failed."""
    first, last = refused_specs(hook, Refusing(version, 400, STOCK_VALIDATION))
    assert f"Nova refuses hw:unique_serial with compute API version {version}" in first
    assert "Install nova-uniqserial on the controllers" in first
    assert FINISH in first
    assert FINISH in last
    assert "openstack flavor set" not in first + last


@pytest.mark.parametrize("hook", [hooks.CreateFlavor, hooks.SetFlavor])
@pytest.mark.parametrize(
    ("version", "status", "message"),
    [
        ("2.86", 400, "extra spec 'hw:bogus' does not appear to be a valid extra spec."),
        ("2.86", 403, "Policy doesn't allow it: hw:unique_serial"),
        ("2.86", 503, "hw:unique_serial"),
        ("2.85", 400, STOCK_VALIDATION),
        ("latest", 400, STOCK_VALIDATION),
        (None, 400, STOCK_VALIDATION),
    ],
)
def test_other_failures_are_not_explained_so(
    hook: type[hooks._Hook], version: str | None, status: int, message: str
) -> None:
    first, last = refused_specs(hook, Refusing(version, status, message))
    assert first == message
    assert "--os-compute-api-version" not in last


def server_image(**properties: str) -> dict[str, str]:
    """Return what the hook of ``server image create`` makes of properties."""
    args = argparse.Namespace(properties=properties)
    hook = hooks.CheckServerImage(command=SimpleNamespace())  # type: ignore[arg-type]
    found: dict[str, str] = hook.before(args).properties
    return found


def test_the_properties_of_a_server_image() -> None:
    assert server_image() == {}
    assert server_image(a="b", hw_unique_serial=" YES ") == {"a": "b", "hw_unique_serial": "true"}
    assert hooks.CheckServerImage(command=SimpleNamespace()).before(  # type: ignore[arg-type]
        argparse.Namespace(properties=None)
    ) == argparse.Namespace(properties=None)


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"hw_unique_serial": "banana"}, "hw_unique_serial='banana' is no boolean"),
        ({"hw_unique_serial": ""}, "hw_unique_serial='' is no boolean"),
        ({"hw:unique_serial": "true"}, "hw:unique_serial=true has no effect on an image"),
        ({"hw_unique_serail": "true"}, "'hw_unique_serail' has no effect on an image"),
        ({"unique_serial": "true"}, "use --property hw_unique_serial=true"),
        ({"hw_unique_serial": "false", TRAIT: "required"}, f"{TRAIT}=required"),
        ({"hw_unique_serial": "true", TRAIT: "forbidden"}, f"{TRAIT}=forbidden"),
    ],
)
def test_refused_on_a_server_image(properties: dict[str, str], named: str) -> None:
    with pytest.raises(exceptions.CommandError) as caught:
        server_image(**properties)
    assert named in str(caught.value)
    assert "Nothing was changed." in str(caught.value)


def test_every_hook_is_an_entry_point() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    named = {
        value.partition("=")[2].strip()
        for group, value in setup["options.entry_points"].items()
        if group.startswith("openstack.cli.")
    }
    classes = {
        f"osc_uniqserial.hooks:{name}"
        for name, value in vars(hooks).items()
        if isinstance(value, type) and issubclass(value, hooks._Hook) and not name.startswith("_")
    }
    assert named == classes


def test_aggregate_created_without_its_metadata_fails_and_tells_how_to_finish(
    cloud: FakeCloud,
) -> None:
    cloud.http.post(f"{NOVA}/os-aggregates/7/action", status_code=503)
    result = cloud.openstack("aggregate", "create", "--unique-serial", "rack1")
    assert result.code == 1
    assert "The aggregate 'rack1' exists now (ID 7)" in result.err
    options = "--property hw:unique_serial=true --property hw_unique_serial=True"
    assert f"openstack aggregate set {options} 7" in result.err


class Compute:
    def set_aggregate_metadata(self, aggregate: object, metadata: object) -> None:
        """Stand for the method of the SDK."""


def test_the_watch_over_an_aggregate_ends_with_its_command() -> None:
    """In the interactive shell the next command uses the same client."""
    compute = Compute()
    watched = []
    command: Any = SimpleNamespace(
        app=SimpleNamespace(client_manager=SimpleNamespace(compute=compute)),
        take_action=lambda _args: watched.append("set_aggregate_metadata" in vars(compute)),
    )
    args = argparse.Namespace(unique_serial=Setting.UNIQUE, properties=None, name="a")
    hooks.CreateAggregate(command=command).before(args)
    command.take_action(args)
    assert watched == [True]
    assert "set_aggregate_metadata" not in vars(compute)


def test_aggregate_that_could_not_be_created_says_nothing_else(cloud: FakeCloud) -> None:
    cloud.http.post(f"{NOVA}/os-aggregates", status_code=409)
    result = cloud.openstack("aggregate", "create", "--unique-serial", "rack1")
    assert result.code == 1
    assert "exists now" not in result.err


def test_volume_image_property_is_checked(cloud: FakeCloud) -> None:
    result = cloud.openstack("volume", "set", "--image-property", "hw_unique_serial=YES", "root")
    assert result.code == 0, result.err
    body = written(cloud, f"{CINDER}/volumes/{VOLUME_ID}/action".removeprefix("http://cinder.test"))
    assert body["os-set_image_metadata"]["metadata"] == {"hw_unique_serial": "true"}


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("set", ["--image-property", "hw_unique_serial=banana"]),
        ("set", ["--image-property", "hw:unique_serial=true"]),
        ("set", ["--property", "hw_unique_serial=true"]),
        ("set", ["--property", "hw_unqiue_serial=true"]),
        ("set", ["--image-property", "hw_unqiue_serial=true"]),
        (
            "set",
            [
                "--image-property",
                "hw_unique_serial=false",
                "--image-property",
                f"{TRAIT}=required",
            ],
        ),
        ("create", ["--size", "1", "--property", "hw_unique_serial=true"]),
        ("create", ["--size", "1", "--property", "hw:unique_serial=true"]),
    ],
)
def test_volume_refusals(cloud: FakeCloud, command: str, options: list[str]) -> None:
    result = cloud.openstack("volume", command, *options, "root")
    assert result.code == 1
    assert "Nothing was changed." in result.err
    assert (
        f"--image-property {IMAGE_KEY}=true" in result.err
        or "contradict" in result.err
        or (TRAIT in result.err)
    )
    assert cloud.writes() == []


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("flavor create", ["--unique-serial", "--no-unique-serial", "--unique-serial-hosts"]),
        ("flavor set", ["--unique-serial", "--no-unique-serial", "--unique-serial-hosts"]),
        ("flavor unset", ["--unique-serial", "--unique-serial-hosts"]),
        ("image create", ["--unique-serial", "--no-unique-serial", "--unique-serial-hosts"]),
        ("image set", ["--unique-serial", "--no-unique-serial", "--unique-serial-hosts"]),
        ("image unset", ["--unique-serial", "--unique-serial-hosts"]),
        ("aggregate create", ["--unique-serial", "--no-unique-serial"]),
        ("aggregate set", ["--unique-serial", "--no-unique-serial"]),
        ("aggregate unset", ["--unique-serial"]),
    ],
)
def test_help_shows_the_options(cloud: FakeCloud, command: str, options: list[str]) -> None:
    result = cloud.openstack(*command.split(), "--help")
    assert result.code == 0
    for option in options:
        assert f"\n  {option}" in result.out
    if command.startswith("aggregate"):
        assert "--unique-serial-hosts" not in result.out


def test_images_offer_no_steering_by_aggregate(cloud: FakeCloud) -> None:
    result = cloud.openstack("image", "set", "--unique-serial-hosts", "aggregate", "debian")
    assert result.code == 2


def test_hooks_import_nothing_that_the_shell_has_not_loaded() -> None:
    """Every run of these commands pays for what hooks imports, --help included."""
    code = (
        "import sys, openstackclient.shell, cliff.hooks\n"
        "before = set(sys.modules)\n"
        "import osc_uniqserial.hooks\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [f"osc_uniqserial.{name}" for name in ("hooks", "keys", "policy", "text")]
    assert run.stdout.split() == ["osc_uniqserial", *ours]


def test_glance_is_not_asked_by_flavor_commands(cloud: FakeCloud) -> None:
    cloud.openstack("flavor", "set", "--unique-serial", "gold")
    assert not [r for r in cloud.http.request_history if r.url.startswith(GLANCE)]


# --- servers ----------------------------------------------------------------------

METADATA = f"/v2.1/servers/{SERVER_ID}/metadata"
COUNTS = "counts at the next hard reboot"


@pytest.fixture
def server(fake: FakeCloud) -> FakeCloud:
    """A cloud with a server on a host whose driver obeys it."""
    fake.server(changes={"metadata": {"hw_unique_serial": "true", "other": "x"}})
    fake.hosts("CUSTOM_UNIQUE_SERIAL", TRAIT_KEYS, "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK", M_AUTO)
    url = f"{NOVA}/servers/{SERVER_ID}/metadata"
    fake.http.get(f"{NOVA}/servers/web", status_code=404)
    fake.http.post(url, json={"metadata": {}})
    fake.http.delete(re.compile(f"{url}/"), status_code=204)
    fake.http.put(f"{NOVA}/servers/{SERVER_ID}", json={"server": {"id": SERVER_ID}})
    return fake


@pytest.mark.parametrize(
    "options",
    [["--unique-serial"], ["--property", "hw_unique_serial=YES"]],
    ids=["option", "property"],
)
def test_a_server_asks_for_a_serial_number_of_its_own(
    server: FakeCloud, options: list[str]
) -> None:
    result = server.openstack("server", "set", *options, "--property", "a=b", "web")
    assert result.code == 0, result.err
    assert written(server, METADATA) == {"metadata": {"hw_unique_serial": "true", "a": "b"}}
    assert COUNTS in result.err
    assert "obey" not in result.err
    assert len(server.writes()) == 1
    # Nothing else is read where the host obeys.
    (last,) = [read for read in server.reads() if "/resource_providers" in read]
    assert server.reads()[-1] == last


@pytest.mark.parametrize("command", ["create", "set", "rebuild"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hw_unique_serial=banana", "is no boolean"),
        ("hw_unique_serial=false", "can only ask for a serial number of its own"),
        ("hw:unique_serial=true", "has no effect on a server"),
        ("hw-unique-serial=true", "has no effect on a server"),
        ("hw_unique_seriel=true", "has no effect on a server"),
    ],
)
def test_wrong_metadata_of_a_server(server: FakeCloud, command: str, given: str, said: str) -> None:
    more = ["--flavor", "gold", "--image", "debian"] if command == "create" else []
    result = server.openstack("server", command, *more, "--property", given, "web")
    assert result.code == 1
    assert said in " ".join(result.err.split())
    assert "Nothing was changed" in result.err
    assert server.writes() == []


def test_a_host_that_does_not_obey_the_server_is_reported(server: FakeCloud) -> None:
    server.hosts("CUSTOM_UNIQUE_SERIAL", TRAIT_KEYS, M_AUTO)
    result = server.openstack("server", "set", "--unique-serial", "web")
    assert result.code == 0
    assert "does not obey the requests of servers" in " ".join(result.err.split())


def test_metadata_that_nova_refuses_after_a_new_name(server: FakeCloud) -> None:
    server.http.post(
        f"{NOVA}/servers/{SERVER_ID}/metadata",
        status_code=409,
        json={"conflictingRequest": {"code": 409, "message": "Cannot 'update metadata'"}},
    )
    result = server.openstack("server", "set", "--name", "x", "--unique-serial", "web")
    said = " ".join(result.err.split())
    assert result.code == 1
    assert "metadata of server 'web' were not changed" in said
    assert "Changed before that: name" in said
    assert COUNTS not in said


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        (["--unique-serial"], ["hw_unique_serial"]),
        (["--property", "hw_unique_serial"], ["hw_unique_serial"]),
        (["--unique-serial", "--property", "other"], ["hw_unique_serial", "other"]),
    ],
)
def test_a_server_withdraws_its_request(
    server: FakeCloud, options: list[str], removed: list[str]
) -> None:
    result = server.openstack("server", "unset", *options, "web")
    assert result.code == 0, result.err
    deleted = [request.path.rpartition("/")[2] for request in server.sent("DELETE")]
    assert sorted(deleted) == removed
    assert COUNTS in result.err


def test_all_properties_of_a_server_are_removed(server: FakeCloud) -> None:
    server.http.put(f"{NOVA}/servers/{SERVER_ID}/metadata", json={"metadata": {}})
    result = server.openstack("server", "unset", "--all-properties", "--unique-serial", "web")
    assert result.code == 0, result.err
    (request,) = server.sent("PUT")
    assert request.json() == {"metadata": {}}
    assert COUNTS in result.err


def test_a_request_that_is_not_there_is_no_error_to_withdraw(server: FakeCloud) -> None:
    server.server(changes={"metadata": {"other": "x"}})
    result = server.openstack("server", "unset", "--unique-serial", "web")
    assert (result.code, server.sent("DELETE"), COUNTS in result.err) == (0, [], False)


def test_a_rebuild_that_replaces_the_metadata(server: FakeCloud) -> None:
    server.http.post(f"{NOVA}/servers/{SERVER_ID}/action", json={"server": {"id": SERVER_ID}})
    result = server.openstack("server", "rebuild", "--property", "a=b", "web")
    assert "--property replaces all metadata of the server" in " ".join(result.err.split())
