# SPDX-License-Identifier: Apache-2.0
"""The definitions in Manage Metadata of flavors, images and host aggregates, and what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from tests.functional.cloud import Cloud, Json
from tests.skyline.page import Page

Kind = Literal["flavor", "image", "aggregate"]
GUEST, HOSTS = "Guest Serial Number", "Guest Serial Number of Hosts"
#: Kind -> path of the page, namespace, and the keys with what is stored of true and of false.
CASES: dict[Kind, tuple[str, str, dict[str, tuple[str, str]]]] = {
    "flavor": (
        "/compute/flavor-admin?tab=custom",
        GUEST,
        {"hw:unique_serial": ("true", "false")},
    ),
    "image": ("/compute/image-admin", GUEST, {"hw_unique_serial": ("true", "false")}),
    "aggregate": (
        "/compute/aggregates-admin",
        HOSTS,
        {"hw:unique_serial": ("true", "false"), "hw_unique_serial": ("True", "False")},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def definitions(cloud: Cloud) -> Iterator[None]:
    """Our definitions, in a Glance without others."""
    cloud.openstack("unique", "serial", "metadef", "install")
    yield
    cloud.openstack("unique", "serial", "metadef", "remove")


def made(cloud: Cloud, kind: Kind, name: str) -> Callable[[], Json]:
    """Create a resource, and return a function that returns its stored metadata."""
    if kind == "flavor":
        # The list is sorted by ID.
        flavor = {"name": name, "id": f"0-{name}", "ram": 64, "vcpus": 1, "disk": 1}
        cloud.raw("nova", "POST", "/v2.1/flavors", {"flavor": flavor}).raise_for_status()
        return lambda: cloud.extra_specs(f"0-{name}")
    if kind == "image":
        image = cloud.new_image(name)
        return lambda: {
            key: value for key, value in cloud.image(image).items() if "unique_serial" in key
        }
    aggregate = {"aggregate": {"name": name}}
    cloud.raw("nova", "POST", "/v2.1/os-aggregates", aggregate).raise_for_status()
    return lambda: dict(cloud.aggregate(name)["metadata"])


@pytest.mark.parametrize("number", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("kind", CASES)
def test_what_is_chosen_is_stored(
    page: Page, cloud: Cloud, unique_name: Callable[[str], str], kind: Kind, number: int
) -> None:
    path, namespace, keys = CASES[kind]
    name = unique_name("skyline")
    stored = made(cloud, kind, name)
    page.open(path)
    dialog = page.metadata(name)
    # Skyline selects the first value: adding the key asks for a unique serial number.
    assert dialog.add(namespace) == [values[0] for values in keys.values()]
    if number:
        assert dialog.choose_second() == [values[1] for values in keys.values()]
    dialog.save()
    assert stored() == {key: values[number] for key, values in keys.items()}
