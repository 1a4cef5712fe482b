# SPDX-License-Identifier: Apache-2.0
"""The commands of the manual for operators, taken from its text and run."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from devcloud import process
from tests.functional.cloud import ROOT, Cloud
from tests.functional.guide import remove_stale_traits, run
from tests.guide import block


@pytest.fixture(scope="module")
def protecting_glance(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A second Glance on the same images, with the rules of the guide; its clouds.yaml."""
    folder = tmp_path_factory.mktemp("glance")
    etc = folder / "run" / "etc" / "glance"
    shutil.copytree(Path(cloud.state["config"]["glance"]).parent, etc)
    rules = etc / "property-protections.conf"
    rules.write_text(block("admin/protect-hosts", "[^hw_unique_serial$]"))
    options = block("admin/protect-hosts", "[DEFAULT]\nproperty_protection_file")
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(etc / "glance-api.conf")
    conf.read_string(options.replace("= property-protections.conf", f"= {rules}"))
    with (etc / "glance-api.conf").open("w") as file:
        conf.write(file)

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log = folder / "log"
    (folder / "run" / "lib").mkdir()
    with log.open("wb") as output:
        child = subprocess.Popen(
            process.argv_bound(
                [
                    Path(cloud.state["venv"]) / "bin" / "python",
                    *("-m", "devcloud.run_service", "glance", str(folder)),
                    str(listener.fileno()),
                ]
            ),
            env={
                **{key: text for key, text in os.environ.items() if not key.startswith("OS_")},
                "PYTHONPATH": str(ROOT),
                "DEVCLOUD_VENV": cloud.state["venv"],
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )
    listener.close()
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            assert child.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        clouds = yaml.safe_load(Path(cloud.state["clouds_yaml"]).read_text())
        for settings in clouds["clouds"].values():
            settings["image_endpoint_override"] = url
        path = folder / "clouds.yaml"
        path.write_text(yaml.safe_dump(clouds))
        yield path
    finally:
        child.kill()
        child.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).status_code < 500
    except requests.ConnectionError:
        return False


def test_tenants_cannot_set_a_protected_property(
    cloud: Cloud, protecting_glance: Path, unique_name: Callable[[str], str]
) -> None:
    name = unique_name("protected")

    def member(*args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return cloud.openstack(
            *args, check=check, cloud="devcloud-member", clouds_yaml=protecting_glance
        )

    refused = member("image", "create", "--no-unique-serial", unique_name("refused"), check=False)
    assert refused.returncode == 1
    assert "hw_unique_serial" in refused.stderr
    assert "Forbidden" in refused.stderr or "403" in refused.stderr

    member("image", "create", "--property", "os_distro=debian", name)
    refused = member("image", "set", "--no-unique-serial", name, check=False)
    assert refused.returncode == 1
    assert "Forbidden" in refused.stderr

    (found,) = json.loads(member("image", "list", "--name", name, "-f", "json").stdout)
    cloud.openstack("image", "set", "--unique-serial", found["ID"], clouds_yaml=protecting_glance)
    seen = json.loads(member("image", "show", name, "-f", "json").stdout)
    assert seen["properties"]["hw_unique_serial"] == "true"
    assert seen["properties"]["os_distro"] == "debian"
    refused = member("image", "unset", "--unique-serial", name, check=False)
    assert refused.returncode == 1
    assert cloud.image(found["ID"])["hw_unique_serial"] == "true"


def test_the_traits_of_a_host_are_found_by_its_name(cloud: Cloud) -> None:
    """As step 2 of the upgrade and the rollback need them."""
    providers = cloud.get("placement", "/resource_providers?name=undeclared-1")
    (provider,) = providers["resource_providers"]
    script = block("admin/roll-out", "NAME=").replace("HOST", "undeclared-1")
    *traits, uuid = run(cloud, f'{script}\necho "$UUID"').splitlines()
    assert uuid == provider["uuid"]
    stored = cloud.get("placement", f"/resource_providers/{uuid}/traits")["traits"]
    assert stored
    assert all(any(trait in line for line in traits) for trait in stored)


def test_traits_stay_where_they_cannot_be_read(cloud: Cloud, tmp_path: Path) -> None:
    """Setting what remains of nothing would remove all."""
    stub = tmp_path / "openstack"
    stub.write_text('#!/bin/sh\necho "$*" >>"$0.log"\nexit 1\n')
    stub.chmod(0o755)
    script = block("admin/roll-back", "export OS_PLACEMENT_API_VERSION")
    done = subprocess.run(
        ["bash", "-c", script], env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "UUID": "x"}
    )
    assert done.returncode != 0
    assert (tmp_path / "openstack.log").read_text() == (
        "resource provider trait list -f value -c name x\n"
    )


def test_stale_traits_are_removed(cloud: Cloud) -> None:
    """A host that lost its driver: here, one that never had it and says so all the same."""
    providers = cloud.get("placement", "/resource_providers?name=undeclared-1")
    (provider,) = providers["resource_providers"]
    path = f"/resource_providers/{provider['uuid']}/traits"
    before = cloud.get("placement", path)
    assert not [trait for trait in before["traits"] if trait.startswith("CUSTOM_")]
    ours = ["CUSTOM_UNIQUE_SERIAL", "CUSTOM_UNIQUE_SERIAL_KEYS", "CUSTOM_SYSINFO_SERIAL_OS"]
    assert cloud.raw("placement", "PUT", "/traits/CUSTOM_SYSINFO_SERIAL_OS").ok
    assert cloud.raw("placement", "PUT", "/traits/CUSTOM_UNIQUE_SERIAL_OTHERS").ok
    stale = {**before, "traits": [*before["traits"], *ours]}
    assert cloud.raw("placement", "PUT", path, stale).ok

    remove_stale_traits(cloud, provider["uuid"])
    assert sorted(cloud.get("placement", path)["traits"]) == sorted(before["traits"])
    assert before["traits"]
