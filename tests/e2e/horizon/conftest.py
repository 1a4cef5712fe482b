# SPDX-License-Identifier: Apache-2.0
"""Horizon before the embedded cloud, and a browser for each user."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcloud.errors import DevcloudError
from devcloud.layout import Layout
from osc_uniqserial import metadefs
from tests.e2e.conftest import progress_line
from tests.e2e.horizon import site
from tests.e2e.horizon.browser import Browser
from tests.functional.cloud import Cloud
from tests.functional.conftest import cloud as cloud  # the fixture

NAMESPACES = "/v2/metadefs/namespaces"

ADMIN, MEMBER = "devcloud", "devcloud-member"
AS_MEMBER = pytest.mark.parametrize("user", [MEMBER])


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the nightly reports: audit.json and audit.html."""
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def serve_horizon(
    cloud: Cloud, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Cloud, Path], contextlib.AbstractContextManager[str]]:
    """Return a function that serves the Horizon of a cloud with a folder of reports.

    HORIZON_VENV names an environment to keep.
    """
    layout = Layout.of(cloud.folder)
    try:
        site.ensure(layout, progress_line(request, "horizon"))
    except DevcloudError as error:
        pytest.exit(f"Horizon was not installed: {error}\n{error.detail}", returncode=1)

    @contextlib.contextmanager
    def serve(of: Cloud, reports: Path) -> Iterator[str]:
        keystone = of.clouds["clouds"][ADMIN]["auth"]["auth_url"]
        folder = tmp_path_factory.mktemp("horizon")
        try:
            with site.serve(layout, keystone, folder, reports) as url:
                yield url
        except DevcloudError as error:
            pytest.exit(f"Horizon did not start: {error}\n{error.detail}", returncode=1)

    return serve


@pytest.fixture(scope="session")
def horizon(
    cloud: Cloud,
    serve_horizon: Callable[[Cloud, Path], contextlib.AbstractContextManager[str]],
    reports: Path,
) -> Iterator[str]:
    """The URL of a Horizon of the embedded cloud."""
    with serve_horizon(cloud, reports) as url:
        yield url


@pytest.fixture(scope="session")
def browsers(horizon: str, cloud: Cloud) -> Iterator[Callable[[str], Browser]]:
    """Return a function that returns the browser of a user, by the name in clouds.yaml."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def browser_of(user: str) -> Browser:
            auth = cloud.clouds["clouds"][user]["auth"]
            return running.enter_context(Browser(horizon, auth["username"], auth["password"]))

        yield browser_of


@pytest.fixture
def user() -> str:
    """The user of the browser: an administrator, unless a test replaces it."""
    return ADMIN


@pytest.fixture
def browser(
    browsers: Callable[[str], Browser], user: str, request: pytest.FixtureRequest, shots: Path
) -> Iterator[Browser]:
    """The browser of the user; a screenshot is kept of the last page of a failed test."""
    failed = request.session.testsfailed
    yield browsers(user)
    if request.session.testsfailed > failed:
        browsers(user).screenshot(shots / f"failed-{request.node.name}.png")


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: HORIZON_SCREENSHOTS, as for the docs, else a folder that passes."""
    folder = Path(os.environ.get("HORIZON_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove_namespaces(cloud: Cloud) -> None:
    """Remove every namespace, whatever state it is in."""
    for found in cloud.get("glance", f"{NAMESPACES}?limit=1000")["namespaces"]:
        path = f"{NAMESPACES}/{found['namespace']}"
        body = {"namespace": found["namespace"], "protected": False}
        assert cloud.raw("glance", "PUT", path, body).status_code == 200
        assert cloud.raw("glance", "DELETE", path).status_code == 204


@pytest.fixture
def no_namespaces(cloud: Cloud) -> Iterator[None]:
    """A Glance without any namespace, before and after."""
    remove_namespaces(cloud)
    yield
    remove_namespaces(cloud)


@pytest.fixture
def installed(cloud: Cloud, no_namespaces: None) -> None:
    """Our namespaces, as our own command installs them."""
    cloud.openstack("unique", "serial", "metadef", "install")


@pytest.fixture(scope="session")
def ours() -> dict[str, metadefs.Namespace]:
    """Our namespaces by name."""
    return {each.name: each for each in metadefs.load()}


@pytest.fixture(scope="session")
def namer(unique_name: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that makes names which are part of no other."""
    return lambda prefix: f"{unique_name(prefix)}-end"
