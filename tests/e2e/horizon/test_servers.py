# SPDX-License-Identifier: Apache-2.0
"""Members ask for the serial numbers of their own servers, beyond what test_metadata covers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osc_uniqserial import metadefs
from tests.e2e.horizon.browser import DIALOG, Browser, Tree
from tests.e2e.horizon.conftest import AS_MEMBER, MEMBER
from tests.e2e.horizon.test_metadata import SERVER, boot_as_member
from tests.functional.cloud import Cloud


@pytest.fixture
def network(cloud: Cloud, namer: Callable[[str], str]) -> Iterator[str]:
    """The only network of the member, which the wizard selects by itself."""
    name = namer("network")
    cloud.openstack("network", "create", name, cloud=MEMBER)
    subnet = ("--network", name, "--subnet-range", "192.0.2.0/24", name)
    cloud.openstack("subnet", "create", *subnet, cloud=MEMBER)
    yield name
    cloud.openstack("network", "delete", name, cloud=MEMBER)


@AS_MEMBER
@pytest.mark.usefixtures("installed", "network")
def test_the_request_is_made_when_a_server_is_launched(
    browser: Browser,
    cloud: Cloud,
    ours: dict[str, metadefs.Namespace],
    namer: Callable[[str], str],
    shots: Path,
) -> None:
    name = namer("launched")
    cloud.new_flavor(name)
    cloud.new_image(name)
    browser.open("/project/instances/")
    browser.one("a, button", "Launch Instance").click()
    browser.one(f"{DIALOG} input[name=name]").send_keys(name)
    browser.step("Source")
    browser.one(f"{DIALOG} #vol-create", "No").click()
    browser.allocate(name)
    browser.step("Flavor")
    browser.allocate(name)
    browser.step("Metadata")
    tree = Tree(browser)
    assert tree.available() == [ours[SERVER].display_name]
    tree.add(str(ours[SERVER].display_name), "Unique Serial Number")
    tree.choose("hw_unique_serial", "true")
    browser.screenshot(shots / "launch-instance.png", browser.one(DIALOG))
    browser.one(f"{DIALOG} button", "Launch Instance").click()
    browser.until(lambda: not browser.all(DIALOG))
    (server,) = cloud.get("nova", f"/v2.1/servers/detail?all_tenants=1&name={name}")["servers"]
    assert server["metadata"] == {"hw_unique_serial": "true"}
    # The embedded cloud's Neutron binds no ports: a server with a network is never active.
    cloud.wait(server["id"], "ERROR")
    cloud.raw("nova", "DELETE", f"/v2.1/servers/{server['id']}").raise_for_status()


@AS_MEMBER
@pytest.mark.usefixtures("installed")
def test_a_change_that_nova_refuses_is_not_shown_again(
    browser: Browser,
    cloud: Cloud,
    ours: dict[str, metadefs.Namespace],
    namer: Callable[[str], str],
) -> None:
    """Horizon 27 closes the dialog as after a success, and the page is reloaded at once.

    Its editInstanceMetadata (nova.service.js) catches the error of the request.
    """
    name = namer("shelved")
    server = boot_as_member(cloud, name)
    cloud.action(server, shelve=None)
    cloud.wait(server, "SHELVED_OFFLOADED")
    dialog = browser.metadata("instance", name)
    dialog.add(str(ours[SERVER].display_name), "Unique Serial Number")
    dialog.choose("hw_unique_serial", "true")
    dialog.save()
    dialog = browser.metadata("instance", name)
    assert dialog.existing() == []
    dialog.cancel()
    assert cloud.get("nova", f"/v2.1/servers/{server}/metadata")["metadata"] == {}
    cloud.raw("nova", "DELETE", f"/v2.1/servers/{server}").raise_for_status()
