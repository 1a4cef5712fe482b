# SPDX-License-Identifier: Apache-2.0
"""Skyline from PyPI before the embedded cloud, in a browser."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from devcloud import environment
from devcloud.children import Children
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import Layout
from tests.e2e import chromium
from tests.functional.cloud import Cloud
from tests.functional.conftest import cloud as cloud  # the fixture
from tests.functional.conftest import unique_name as unique_name  # the fixture
from tests.functional.conftest import warm as warm  # the shell of the cloud
from tests.skyline import gateway
from tests.skyline.page import Page

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
#: Seconds until skyline-apiserver must answer.
_START = 120


@pytest.fixture(scope="session")
def home(cloud: Cloud) -> Path:
    """The environment of Skyline: SKYLINE_VENV, else one in the folder of the cloud."""
    layout = Layout.of(cloud.folder)
    venv = Path(os.environ.get("SKYLINE_VENV", layout.root / "skyline-venv"))

    def make() -> None:
        environment.make_venv(layout, venv)
        environment.pip_install(layout, venv, "-r", REQUIREMENTS)

    environment.renew(venv, "skyline", environment.fingerprint(REQUIREMENTS), make)
    return venv


@pytest.fixture(scope="session")
def skyline(cloud: Cloud, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of Skyline."""
    folder = tmp_path_factory.mktemp("skyline")
    auth = cloud.clouds["clouds"]["devcloud"]
    settings = {
        "default": {
            "database_url": f"sqlite:///{folder}/skyline.db",
            "log_dir": str(folder),
            "policy_file_path": str(folder),
            "ssl_enabled": False,
        },
        "openstack": {
            "default_region": auth["region_name"],
            "enforce_new_defaults": False,
            "keystone_url": f"{auth['auth']['auth_url']}/",
            "system_project": auth["auth"]["project_name"],
            "system_user_name": auth["auth"]["username"],
            "system_user_password": auth["auth"]["password"],
        },
    }
    (folder / "skyline.yaml").write_text(yaml.safe_dump(settings))
    environ = {**os.environ, "OS_CONFIG_DIR": str(folder)}
    environ.pop("PYTHONPATH", None)
    (site,) = home.glob("lib/python3*/site-packages")
    log = folder / "apiserver.log"
    migrate: list[str | Path] = [home / "bin" / "python", "-m", "alembic", "-c"]
    migrate += [site / "skyline_apiserver" / "db" / "alembic" / "alembic.ini", "upgrade", "head"]
    environment.run_logged(migrate, log, "the migration of Skyline's database failed", environ)
    with Children() as children, socket.create_server(("127.0.0.1", 0)) as listener:
        own = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serve: list[str | Path] = [home / "bin" / "python", "-m", "uvicorn"]
        serve += ["--fd", str(listener.fileno()), "skyline_apiserver.main:app"]
        options = {"env": environ, "pass_fds": [listener.fileno()]}
        children.start("Skyline", serve, log, **options)
        regions = f"{own}/api/v1/contrib/regions"
        for name, status in children.answers({"Skyline": regions}, _START):
            if status != 200:
                raise DevcloudError(f"{name} answered {status}", log_tail(log))
        prefix = f"/api/openstack/{auth['region_name']}"
        services = cloud.state["services"].items()
        targets = {f"{prefix}/{name}/": f"{about['url']}/" for name, about in services}
        targets["/api/openstack/skyline/"] = f"{own}/"
        with gateway.serve(site / "skyline_console" / "static", targets) as url:
            yield url


@pytest.fixture(scope="session")
def page(skyline: str, cloud: Cloud) -> Iterator[Page]:
    """Skyline, with an administrator who is logged in."""
    auth = cloud.clouds["clouds"]["devcloud"]["auth"]
    driver = chromium.start()
    try:
        driver.set_window_size(1500, 1100)
        page = Page(driver, skyline)
        page.open("/auth/login")
        driver.execute_script("localStorage.setItem('lang', 'en')")
        page.one("#normal_login_username").send_keys(auth["username"])
        # The region and the domain are chosen when they were read.
        page.one(".ant-select-selection-item", "Default")
        driver.find_element(By.ID, "normal_login_password").send_keys(auth["password"], Keys.ENTER)
        page.until(lambda: "/auth/login" not in driver.current_url)
        yield page
    finally:
        driver.quit()
