# SPDX-License-Identifier: Apache-2.0
"""Where the driver has to be installed so that nova-compute finds it, and where it must not be."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from tests.nova import ends
from tests.nova.ends import DRIVER, End

PIP = Path(sys.executable)


def load(end: End) -> subprocess.CompletedProcess[str]:
    """Load the compute driver as nova-compute does."""
    return end.run("load_driver.py", DRIVER)


def assert_found(end: End) -> None:
    done = load(end)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "driver": DRIVER.split(".")[1],
        "shim": str(end.site / "nova" / "virt" / "uniqserial" / "__init__.py"),
        "nova": str(end.site / "nova" / "__init__.py"),
        "validators": ["nova_uniqserial.extra_specs"],
    }


def assert_not_found(end: End) -> None:
    done = load(end)
    assert done.returncode == 1, done.stdout + done.stderr
    # nova-compute's own words, in its log.
    said = done.stdout + done.stderr
    assert "Unable to load the virtualization driver" in said
    assert "No module named 'nova.virt.uniqserial'" in said


def test_one_environment_with_nova_and_the_driver(ours: End) -> None:
    assert_found(ours)


def test_the_folder_of_a_distribution(stock: End, wheel: Path, tmp_path: Path) -> None:
    """As with DEB_PYTHON_INSTALL_LAYOUT=deb_system, or where the wheel is unpacked there."""
    site = ends.linked(stock, tmp_path / "dist-packages")
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, site)
    environ = {**stock.environ, "PYTHONPATH": str(site)}
    assert_found(dataclasses.replace(stock, site=site, environ=environ))


def test_a_driver_without_its_rules_does_not_start(stock: End, wheel: Path, tmp_path: Path) -> None:
    """Better no nova-compute than guests with a wrong serial number."""
    site = ends.linked(stock, tmp_path / "dist-packages")
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, site)
    (site / "nova_uniqserial" / "policy.py").unlink()
    environ = {**stock.environ, "PYTHONPATH": str(site)}
    done = load(dataclasses.replace(stock, site=site, environ=environ))
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "nova-uniqserial is incomplete or does not fit this Nova" in said
    assert "No module named 'nova_uniqserial.policy'" in said


def test_nova_api_goes_on_without_a_broken_plugin(stock: End, wheel: Path, tmp_path: Path) -> None:
    """It refuses the key as before; ``status`` finds it."""
    site = ends.linked(stock, tmp_path / "dist-packages")
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, site)
    environ = {**stock.environ, "PYTHONPATH": str(site)}
    end = dataclasses.replace(stock, site=site, environ=environ)
    code = (
        "import nova.tests.unit\n"
        "from nova.api.validation.extra_specs import validators\n"
        "print([name in validators.VALIDATORS for name in ('hw:unique_serial', 'hw:cpu_policy')])"
    )

    def known() -> str:
        command = (end.python, "-c", code)
        done = subprocess.run(command, env=end.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert known() == "[True, True]"
    (site / "nova_uniqserial" / "policy.py").unlink()
    assert known() == "[False, True]"


def test_nova_alone_does_not_have_it(stock: End) -> None:
    assert_not_found(stock)


def test_beside_novas_folder_it_is_not_found(stock: End, wheel: Path, tmp_path: Path) -> None:
    """What a plain install by pip does beside a distribution's Nova: /usr/local."""
    local = tmp_path / "dist-packages"
    ends.run(sys.executable, "-m", "zipfile", "-e", wheel, local)
    assert (local / "nova" / "virt" / "uniqserial" / "__init__.py").exists()
    environ = {**stock.environ, "PYTHONPATH": str(local)}
    assert_not_found(dataclasses.replace(stock, environ=environ))


def test_a_venv_on_top_of_novas_folder_does_not_find_it(
    stock: End, wheel: Path, tmp_path: Path
) -> None:
    """``--system-site-packages``: Nova is seen, and of ``nova.virt`` only Nova's own part."""
    ends.bare(stock, tmp_path, "--system-site-packages")
    python = tmp_path / "bin" / "python"
    ends.install(PIP, python, wheel)
    if stock.site != ends.DEBIAN_SITE:
        # The newest Nova is in an environment itself, which another one does not build on.
        (ends.site_of(python) / "nova.pth").write_text(f"{stock.site}\n")
    assert_not_found(dataclasses.replace(stock, python=python))


def test_pip_target_leaves_the_driver_out(stock: End, wheel: Path, tmp_path: Path) -> None:
    """Why it is not the way to install: pip skips folders that exist, and reports success."""
    site = ends.linked(stock, tmp_path / "dist-packages")
    target = ("--quiet", "--no-deps", "--target", site)
    ends.run(PIP, "-m", "pip", "install", *target, wheel)
    environ = {**stock.environ, "PYTHONPATH": str(site)}
    assert (site / "nova_uniqserial").exists()
    assert_not_found(dataclasses.replace(stock, site=site, environ=environ))
