# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions in Horizon: how they get there, and what becomes of a bad state."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osc_uniqserial import metadefs
from tests.e2e.horizon.browser import DIALOG, Browser, Dialog, Kind, Tree
from tests.e2e.horizon.conftest import AS_MEMBER, MEMBER, NAMESPACES
from tests.e2e.horizon.test_metadata import MAIN, SERVER
from tests.functional.cloud import Cloud

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "metadefs").glob("*.json"))
#: The exit code of something wrong.
FINDINGS = 3
_PANEL = "/admin/metadata_defs/"


def check(cloud: Cloud) -> list[Json]:
    """Return what ``metadef check`` finds wrong."""
    run = cloud.openstack("unique", "serial", "metadef", "check", "-f", "json", check=False)
    assert run.returncode in (0, FINDINGS), run.stderr
    rows = [row for row in json.loads(run.stdout) if row["Result"] not in ("ok", "not ours")]
    assert bool(rows) is (run.returncode == FINDINGS)
    return rows


def store(cloud: Cloud, document: Json) -> None:
    """Store a namespace as it is."""
    answer = cloud.raw("glance", "POST", NAMESPACES, document)
    assert answer.status_code == 201, answer.text


def load(cloud: Cloud, folder: Path) -> None:
    """Load definitions as operators do who have a shell on a controller."""
    venv, config = Path(cloud.state["venv"]), cloud.state["config"]["glance"]
    subprocess.run(
        [venv / "bin" / "glance-manage", "--config-file", config, "db_load_metadefs", folder],
        check=True,
        capture_output=True,
    )


def document(ours: dict[str, metadefs.Namespace], name: str, **changes: Any) -> Json:
    """Return one of our namespaces as it is stored, with changes."""
    return {**copy.deepcopy(ours[name].document()), "protected": False, **changes}


@pytest.fixture
def flavor(cloud: Cloud, namer: Callable[[str], str]) -> str:
    """The name of a flavor that says nothing."""
    name = namer("flavor")
    cloud.new_flavor(name)
    return name


def offered(dialog: Dialog, namespace: str, title: str) -> int:
    """Return how often a property is offered."""
    dialog.expand(namespace)
    return dialog.available().count(title)


@pytest.mark.usefixtures("installed")
def test_the_list_of_definitions(
    browser: Browser, ours: dict[str, metadefs.Namespace], shots: Path
) -> None:
    browser.open(_PANEL)
    for namespace in ours.values():
        row = browser.row(str(namespace.display_name), exact=True)
        cells = [cell.text.strip() for cell in browser.all("td", row)]
        text = "\n".join(cells)
        # Horizon cuts longer ones.
        assert str(namespace.description) in text
        assert all(name in text for name in namespace.associations)
        assert cells.count("Yes") == 2, "public and protected"
    browser.screenshot(shots / "definitions.png")


def _import(browser: Browser, file: Path, *boxes: str, shot: Path | None = None) -> None:
    browser.open(_PANEL)
    browser.one("a", "Import Namespace").click()
    # The window is drawn twice: what was found in the first one is gone.
    browser.one(f"{DIALOG} input[type=file]").send_keys(str(file))
    for box in boxes:
        browser.one(f"{DIALOG} label", box).click()
    if shot:
        browser.screenshot(shot, browser.one(DIALOG))
    browser.one(f"{DIALOG} .modal-footer .btn-primary").click()
    browser.until(lambda: not browser.all(DIALOG))


@pytest.mark.usefixtures("no_namespaces")
def test_what_horizon_imports_is_private_until_it_is_installed(
    browser: Browser, cloud: Cloud, ours: dict[str, metadefs.Namespace]
) -> None:
    assert len(FILES) == len(ours)
    for file in FILES:
        _import(browser, file)
    for name in ours:
        stored = cloud.get("glance", f"{NAMESPACES}/{name}")
        assert (stored["visibility"], stored["protected"]) == ("private", False)
    wrong = check(cloud)
    assert {row["Namespace"] for row in wrong} == set(ours)
    assert all("visibility" in str(row["Details"]) for row in wrong)

    cloud.openstack("unique", "serial", "metadef", "install")
    assert check(cloud) == []
    assert cloud.get("glance", f"{NAMESPACES}/{MAIN}")["visibility"] == "public"


@pytest.mark.usefixtures("no_namespaces")
def test_imported_with_both_boxes_ticked_they_are_as_they_should_be(
    browser: Browser, cloud: Cloud, shots: Path
) -> None:
    for file in FILES:
        _import(browser, file, "Public", "Protected", shot=shots / "import.png")
    assert check(cloud) == []


@pytest.mark.parametrize("kind", ["flavor", "instance"])
@pytest.mark.usefixtures("no_namespaces")
def test_without_any_namespace_the_dialog_does_not_open(
    browser: Browser, cloud: Cloud, kind: Kind, namer: Callable[[str], str]
) -> None:
    """Horizon 27 asks for namespaces with as many threads as there are: none fails."""
    name = namer(kind)
    flavor = cloud.new_flavor(name)
    if kind == "instance":
        cloud.boot(name, flavor, cloud.new_image(name))
    browser.update_metadata(kind, name)
    browser.one(".alert", "Unable to retrieve the namespaces")
    assert not browser.all(DIALOG)

    run = cloud.openstack("unique", "serial", "metadef", "check", "-f", "json", check=False)
    assert run.returncode == FINDINGS
    assert "OS::Nova::Flavor, OS::Nova::Server: Horizon's Update Metadata dialog" in run.stderr
    assert "does not open" in run.stderr

    cloud.openstack("unique", "serial", "metadef", "install")
    browser.metadata(kind, name).cancel()


@pytest.mark.usefixtures("no_namespaces")
def test_a_boolean_stores_null_and_the_check_says_so(
    browser: Browser, cloud: Cloud, ours: dict[str, metadefs.Namespace], namer: Callable[[str], str]
) -> None:
    """Why ours is no boolean; and that an installation mends it."""
    changed = document(ours, MAIN)
    for definition in changed["properties"].values():
        del definition["enum"]
        definition["type"] = "boolean"
    store(cloud, changed)
    name = namer("flavor")
    flavor_id = cloud.new_flavor(name)
    dialog = browser.metadata("flavor", name)
    dialog.add(changed["display_name"], "Unique Serial Number")
    dialog.save()
    assert cloud.extra_specs(flavor_id) == {"hw:unique_serial": "null"}
    (row,) = [row for row in check(cloud) if row["Item"] == "property unique_serial"]
    assert "stores null when it is added and saved untouched" in str(row["Details"])

    cloud.openstack("unique", "serial", "metadef", "install")
    assert check(cloud) == []
    dialog = browser.metadata("flavor", name)
    dialog.choose("hw:unique_serial", "false")
    dialog.save()
    assert cloud.extra_specs(flavor_id) == {"hw:unique_serial": "false"}


@pytest.mark.usefixtures("no_namespaces")
def test_without_its_prefix_horizon_writes_another_key(
    browser: Browser, cloud: Cloud, ours: dict[str, metadefs.Namespace], namer: Callable[[str], str]
) -> None:
    changed = document(ours, MAIN)
    for association in changed["resource_type_associations"]:
        association.pop("prefix", None)
    store(cloud, changed)
    name = namer("flavor")
    flavor_id = cloud.new_flavor(name)
    dialog = browser.metadata("flavor", name)
    dialog.add(changed["display_name"], "Unique Serial Number")
    dialog.choose("unique_serial", "true")
    dialog.save()
    assert cloud.extra_specs(flavor_id) == {"unique_serial": "true"}
    (row,) = [
        row
        for row in check(cloud)
        if row["Namespace"] == MAIN and "OS::Nova::Flavor" in str(row["Item"])
    ]
    assert "Horizon writes the key unique_serial" in str(row["Details"])


@pytest.mark.usefixtures("installed")
def test_a_key_that_two_namespaces_offer(
    browser: Browser, cloud: Cloud, ours: dict[str, metadefs.Namespace], flavor: str
) -> None:
    rival = document(ours, MAIN, namespace="Rival::Serial", display_name="Another One")
    rival["properties"]["unique_serial"]["title"] = "Rival Serial"
    store(cloud, rival)
    dialog = browser.metadata("flavor", flavor)
    assert offered(dialog, str(ours[MAIN].display_name), "Unique Serial Number") == 1
    assert offered(dialog, "Another One", "Rival Serial") == 1
    dialog.cancel()
    wrong = check(cloud)
    assert {row["Namespace"] for row in wrong} == {"Rival::Serial"}
    assert {row["Result"] for row in wrong} == {"conflict"}


@pytest.mark.usefixtures("no_namespaces")
def test_an_older_version_that_glance_manage_loaded(
    browser: Browser,
    cloud: Cloud,
    ours: dict[str, metadefs.Namespace],
    flavor: str,
    tmp_path: Path,
) -> None:
    older = document(ours, MAIN, description="An older one.", display_name="Older")
    older["protected"] = True
    (tmp_path / "older.json").write_text(json.dumps(older))
    load(cloud, tmp_path)
    assert check(cloud) != []
    cloud.openstack("unique", "serial", "metadef", "install")
    assert check(cloud) == []
    dialog = browser.metadata("flavor", flavor)
    assert str(ours[MAIN].display_name) in dialog.available()
    assert "Older" not in dialog.available()
    dialog.cancel()


@pytest.mark.usefixtures("installed")
def test_beside_the_definitions_that_come_with_glance(
    browser: Browser, cloud: Cloud, ours: dict[str, metadefs.Namespace], flavor: str
) -> None:
    load(cloud, Path(cloud.state["venv"]) / "etc" / "glance" / "metadefs")
    assert check(cloud) == []
    dialog = browser.metadata("flavor", flavor)
    assert len(dialog.available()) > len(ours)
    assert offered(dialog, str(ours[MAIN].display_name), "Unique Serial Number") == 1
    dialog.cancel()

    browser.open("/project/instances/")
    browser.one("a, button", "Launch Instance").click()
    browser.step("Metadata")
    available = Tree(browser).available()
    assert len(available) > len(ours)
    names = {str(each.display_name) for each in ours.values()}
    assert names & set(available) == {str(ours[SERVER].display_name)}


# --- images, when they are made; people without rights ----------------------------


def choose_in_step(browser: Browser, ours: dict[str, metadefs.Namespace], value: str) -> None:
    """Give an image the property in the step Metadata of a wizard."""
    browser.step("Metadata")
    tree = Tree(browser)
    assert tree.available() == [ours[MAIN].display_name]
    tree.add(str(ours[MAIN].display_name), "Unique Serial Number")
    tree.choose("hw_unique_serial", value)


@pytest.mark.usefixtures("installed")
def test_the_key_can_be_given_when_an_image_is_created(
    browser: Browser,
    cloud: Cloud,
    ours: dict[str, metadefs.Namespace],
    namer: Callable[[str], str],
    tmp_path: Path,
    shots: Path,
) -> None:
    name = namer("made")
    file = tmp_path / "image.raw"
    file.write_bytes(b"x" * 1024)
    browser.open("/admin/images")
    browser.one("button, a", "Create Image").click()
    browser.one("#imageForm-name").send_keys(name)
    browser.driver.find_element("css selector", "input[type=file]").send_keys(str(file))
    browser.one("#imageForm-format option[value='string:raw']").click()
    choose_in_step(browser, ours, "true")
    browser.screenshot(shots / "create-image.png", browser.one(DIALOG))
    browser.one(f"{DIALOG} button", "Create Image").click()
    browser.until(lambda: not browser.all(DIALOG))
    images = cloud.get("glance", f"/v2/images?name={name}")["images"]
    assert [image.get("hw_unique_serial") for image in images] == ["true"]


@AS_MEMBER
@pytest.mark.usefixtures("installed")
def test_somebody_without_rights(
    browser: Browser,
    cloud: Cloud,
    ours: dict[str, metadefs.Namespace],
    namer: Callable[[str], str],
) -> None:
    """Update Metadata is for administrators; Edit Image has the same step for one's own."""
    own = namer("own")
    cloud.openstack(
        *("image", "create", "--disk-format", "raw", "--container-format", "bare", own),
        cloud=MEMBER,
    )
    browser.open("/project/images")
    offered_actions = browser.actions(own)
    assert "Edit Image" in offered_actions
    assert "Update Metadata" not in offered_actions
    browser.choose(own, "Edit Image")
    choose_in_step(browser, ours, "false")
    browser.one(f"{DIALOG} button", "Update Image").click()
    browser.until(lambda: not browser.all(DIALOG))
    (image,) = cloud.get("glance", f"/v2/images?name={own}")["images"]
    assert image["hw_unique_serial"] == "false"

    browser.open("/admin/flavors/")
    browser.one("body", "not authorized")
    assert not browser.all("tbody tr")
