# SPDX-License-Identifier: Apache-2.0
"""The panel of the seeded cloud: links to resources, and how long its pages take.

With DEVCLOUD_SEEDED_DIR the cloud may have any number of servers, such as 5,000.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.horizon.browser import Browser
from tests.e2e.horizon.conftest import ADMIN
from tests.e2e.horizon.plugin import PANEL, PANEL_TABS, TAB, download, open_panel, seconds
from tests.functional.cloud import Cloud, Json, SeededCloud

#: The most that a page may take, as a multiple of Horizon's own page of all instances.
LIMIT = 1.5


@pytest.fixture(scope="module")
def nightly(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the reports of the seeded cloud."""
    folder = tmp_path_factory.mktemp("nightly")
    written = [f"--report={kind}={folder / f'audit.{kind}'}" for kind in ("json", "html")]
    run = seeded.openstack("unique", "serial", "audit", *written, check=False)
    assert run.returncode in (3, 4), run.stderr
    return folder


@pytest.fixture(scope="module")
def admin(
    seeded: SeededCloud,
    nightly: Path,
    serve_horizon: Callable[[Cloud, Path], contextlib.AbstractContextManager[str]],
) -> Iterator[Browser]:
    """The browser of an administrator."""
    auth = seeded.clouds["clouds"][ADMIN]["auth"]
    with (
        serve_horizon(seeded, nightly) as url,
        Browser(url, auth["username"], auth["password"]) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def findings(nightly: Path) -> list[Json]:
    found: list[Json] = json.loads((nightly / "audit.json").read_text())["findings"]
    return found


def follow(admin: Browser, found: Json) -> str:
    """Follow the link of a finding and return the path that it leads to."""
    text = quote(found["resource_name"])
    admin.open(f"{PANEL}?check={found['id']}&kind={found['resource_type']}&text={text}")
    row = admin.one("#unique-serial-table tbody tr", found["resource_name"])
    # The cell of the resource is the third one.
    admin.one("td:nth-child(3) a", within=row).click()
    admin.until(lambda: PANEL not in admin.driver.current_url)
    return admin.driver.current_url.removeprefix(admin.url)


@pytest.mark.parametrize("kind", ["flavor", "image", "aggregate", "host"])
def test_a_finding_leads_to_its_resource(admin: Browser, findings: list[Json], kind: str) -> None:
    named = [each for each in findings if each["resource_type"] == kind and each["resource_name"]]
    if kind == "host":
        named = [each for each in named if each["server_ids"]]
    # The last flavor by name is not on the first page of Horizon's list.
    found = max(named, key=lambda each: str(each["resource_name"]))
    id_, name = found["resource_id"], found["resource_name"]
    path = follow(admin, found)
    assert quote(id_) in path
    if kind in ("flavor", "aggregate"):
        table = {"flavor": "flavors", "aggregate": "host_aggregates"}[kind]
        assert name in admin.one(f"[id='{table}__row__{id_}']").text
    elif kind == "image":
        admin.until(lambda: name in admin.one("body").text)
    else:
        admin.one("#hypervisor_instances", found["server_ids"][0])


def test_the_servers_of_a_finding_have_links(
    admin: Browser, seeded: SeededCloud, findings: list[Json]
) -> None:
    hosts = [each for each in findings if each["resource_type"] == "host"]
    found = next(each for each in hosts if each["server_ids"])
    admin.open(f"{PANEL}?check={found['id']}&text={quote(found['resource_name'])}")
    server = found["server_ids"][0]
    admin.one("td:nth-child(4) a", server).click()
    assert admin.one(f"{TAB} #unique-serial-why").text == seeded.show(server)["why"]


def test_a_host_has_a_link(admin: Browser, nightly: Path) -> None:
    hosts = json.loads((nightly / "audit.json").read_text())["hosts"]
    nodes = {each["name"]: each["hypervisor_hostname"] for each in hosts}
    open_panel(admin, "Hosts")
    links = admin.all(f"{PANEL_TABS['Hosts']} td a")
    # The name of its service is not that of its hypervisor.
    link = next(each for each in links if nodes.get(each.text, each.text) != each.text)
    node = nodes[link.text]
    link.click()
    admin.until(lambda: admin.driver.current_url.endswith(f"_{node}/"))
    assert admin.one("#hypervisor_instances")


def test_pages_are_as_fast_as_those_of_horizon(
    admin: Browser,
    seeded: SeededCloud,
    record_property: Callable[[str, object], None],
    shots: Path,
) -> None:
    admin.open(PANEL)
    admin.screenshot(shots / "panel-findings.png")
    server = seeded.manifest["servers"][0]["id"]
    tab = f"/admin/instances/{server}/detail?tab=instance_details__unique_serial"
    pages = {"panel": PANEL, "tab": tab}
    pages |= {name: f"{PANEL}?tab=serial_numbers__{name}" for name in ("readiness", "hosts")}
    horizon = seconds(admin, "/admin/instances/")
    took = {name: seconds(admin, path) for name, path in pages.items()}
    for name, each in (("instances", horizon), *took.items()):
        record_property(name, each)
        print(f"{name}: {each:.3f} s, {each / horizon:.2f} of Horizon's instances page")
    assert TAB.removeprefix("#") in download(admin, tab)["text"]
    slow = {name: each / horizon for name, each in took.items() if each > LIMIT * horizon}
    assert not slow
