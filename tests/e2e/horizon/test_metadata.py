# SPDX-License-Identifier: Apache-2.0
"""What Update Metadata offers, and what it stores: read back past every client."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osc_uniqserial import metadefs
from tests.e2e.horizon.browser import Browser, Dialog, Kind
from tests.e2e.horizon.conftest import ADMIN, MEMBER
from tests.functional.cloud import Cloud

pytestmark = pytest.mark.usefixtures("installed")

MAIN = "OS::Compute::UniqueSerial"
AGGREGATE, SERVER = f"{MAIN}Aggregate", f"{MAIN}Server"


@dataclasses.dataclass(frozen=True)
class Case:
    """A key on a kind of resource, as people see it."""

    kind: Kind
    key: str
    namespace: str
    property: str
    values: tuple[str, ...] = ("true", "false")
    user: str = ADMIN


CASES = [
    Case("flavor", "hw:unique_serial", MAIN, "unique_serial"),
    Case("image", "hw_unique_serial", MAIN, "unique_serial"),
    Case("aggregate", "hw:unique_serial", AGGREGATE, "hw:unique_serial"),
    Case("aggregate", "hw_unique_serial", AGGREGATE, "hw_unique_serial", ("True", "False")),
    Case("instance", "hw_unique_serial", SERVER, "hw_unique_serial", ("true",), MEMBER),
]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.key}")


class Resource:
    """A flavor, image, aggregate or server, and what is stored about it."""

    def __init__(self, cloud: Cloud, kind: Kind, name: str) -> None:
        self.name = name
        self._cloud, self._kind = cloud, kind
        if kind == "flavor":
            self.id = cloud.new_flavor(name)
        elif kind == "image":
            self.id = cloud.new_image(name)
        elif kind == "instance":
            self.id = boot_as_member(cloud, name)
        else:
            body = {"aggregate": {"name": name, "availability_zone": None}}
            made = cloud.raw("nova", "POST", "/v2.1/os-aggregates", body)
            made.raise_for_status()
            self.id = str(made.json()["aggregate"]["id"])

    def store(self, key: str, value: str) -> None:
        """Store a value, past what validates it."""
        if self._kind == "flavor":
            self._cloud.set_extra_specs(self.id, {key: value})
        elif self._kind == "image":
            self._cloud.patch_image(self.id, **{key: value})
        elif self._kind == "instance":
            metadata = {"metadata": {key: value}}
            self._cloud.raw("nova", "POST", self._metadata, metadata).raise_for_status()
        else:
            path = f"/v2.1/os-aggregates/{self.id}/action"
            body = {"set_metadata": {"metadata": {key: value}}}
            self._cloud.raw("nova", "POST", path, body).raise_for_status()

    def stored(self) -> dict[str, Any]:
        """Return what is stored by now; of an image, what is not there from the start."""
        if self._kind == "flavor":
            return self._cloud.extra_specs(self.id)
        if self._kind == "image":
            image = self._cloud.image(self.id)
            return {key: image[key] for key in image if key.startswith(("hw_", "test_", "null"))}
        if self._kind == "instance":
            return dict(self._cloud.get("nova", self._metadata)["metadata"])
        found: dict[str, Any] = self._cloud.aggregate(self.name)["metadata"]
        return found

    @property
    def _metadata(self) -> str:
        return f"/v2.1/servers/{self.id}/metadata"

    def remove(self) -> None:
        """Delete a server; the others take no room on a host."""
        if self._kind == "instance":
            self._cloud.raw("nova", "DELETE", f"/v2.1/servers/{self.id}").raise_for_status()


def boot_as_member(cloud: Cloud, name: str) -> str:
    """Boot a server in the project of the member and return its ID."""
    flavor, image = cloud.new_flavor(name), cloud.new_image(name)
    run = cloud.openstack(
        *("--os-compute-api-version", "2.74", "server", "create", "--nic", "none", "--wait"),
        *("--flavor", flavor, "--image", image, name, "-f", "value", "-c", "id"),
        cloud=MEMBER,
    )
    return run.stdout.strip()


@pytest.fixture
def user(case: Case) -> str:
    """The user who sets the metadata: servers are their members' own."""
    return case.user


@pytest.fixture
def resource(case: Case, cloud: Cloud, namer: Callable[[str], str]) -> Iterator[Resource]:
    """A resource without metadata."""
    made = Resource(cloud, case.kind, namer(case.kind))
    yield made
    made.remove()


def title(ours: dict[str, metadefs.Namespace], case: Case) -> str:
    """Return what people see of a property."""
    return str(ours[case.namespace].properties[case.property]["title"])


def added(
    browser: Browser, ours: dict[str, metadefs.Namespace], case: Case, resource: Resource
) -> Dialog:
    """Open the dialog, and take the property over to the right."""
    dialog = browser.metadata(case.kind, resource.name)
    dialog.add(str(ours[case.namespace].display_name), title(ours, case))
    return dialog


@EVERY_CASE
def test_each_value_is_stored_and_shown_again_then_removed(
    browser: Browser,
    ours: dict[str, metadefs.Namespace],
    case: Case,
    resource: Resource,
    shots: Path,
) -> None:
    dialog = added(browser, ours, case, resource)
    assert dialog.options(case.key) == list(case.values)
    for value in case.values:
        dialog.choose(case.key, value)
        if value == case.values[0]:
            shot = f"{case.kind}-{case.property.replace(':', '-')}.png"
            browser.screenshot(shots / shot, dialog.window)
        dialog.save()
        assert resource.stored() == {case.key: value}
        dialog = browser.metadata(case.kind, resource.name)
        assert dialog.chosen(case.key) == value
    dialog.remove(case.key)
    dialog.save()
    assert resource.stored() == {}


@EVERY_CASE
def test_untouched_it_cannot_be_saved(
    browser: Browser, ours: dict[str, metadefs.Namespace], case: Case, resource: Resource
) -> None:
    dialog = added(browser, ours, case, resource)
    assert not dialog.can_save
    # Something else that is added does not open the way.
    dialog.add_custom("test_other", "x")
    assert not dialog.can_save
    dialog.cancel()
    assert resource.stored() == {}


@EVERY_CASE
@pytest.mark.parametrize("value", ["True", "yes", "banana"])
def test_a_value_that_is_there_survives_another_ones_save(
    browser: Browser, case: Case, resource: Resource, value: str
) -> None:
    resource.store(case.key, value)
    dialog = browser.metadata(case.kind, resource.name)
    assert case.key in dialog.existing()
    dialog.add_custom("test_other", "x")
    dialog.save()
    assert resource.stored() == {case.key: value, "test_other": "x"}


@EVERY_CASE
def test_an_odd_value_can_be_corrected(browser: Browser, case: Case, resource: Resource) -> None:
    resource.store(case.key, "banana")
    dialog = browser.metadata(case.kind, resource.name)
    dialog.choose(case.key, case.values[0])
    dialog.save()
    assert resource.stored() == {case.key: case.values[0]}


@EVERY_CASE
def test_the_dialog_says_what_it_does(
    browser: Browser, ours: dict[str, metadefs.Namespace], case: Case, resource: Resource
) -> None:
    namespace = ours[case.namespace]
    dialog = browser.metadata(case.kind, resource.name)
    # No other namespace of ours: none of its keys would have an effect here.
    assert dialog.available() == [namespace.display_name]
    dialog.expand(str(namespace.display_name))
    assert str(namespace.description) in dialog.said
    said = dialog.select(title(ours, case))
    assert str(namespace.properties[case.property]["description"]) in said
    assert case.key in said
    dialog.cancel()
