# SPDX-License-Identifier: Apache-2.0
"""The packages beside Debian 12's Nova: installation, upgrade, rollback."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.debian.packages import (
    CONF,
    DRIVER,
    KEEP,
    MODULES,
    REPLACE,
    STOCK,
    Build,
    check,
    status,
)
from tests.debian.root import Root

#: What the modules and their data are named.
LEFT = ("find", "/usr", "/etc", "/var/lib/nova", "-xdev", "-iname", "*uniq*serial*")


def test_lintian_reports_no_error(first: Build, second: Build) -> None:
    for made in (first, second):
        (changes,) = made.folder.glob("*.changes")
        command = ("lintian", "--fail-on", "error", changes)
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("kind", "edited"), [("kvm", True), ("qemu", False)])
def test_installation_upgrade_and_rollback(
    first: Build, second: Build, mount: Callable[[], Root], kind: str, edited: bool
) -> None:
    root = mount()
    theirs, ours = f"nova-compute-{kind}", f"nova-compute-uniqserial-{kind}"
    root.install(theirs)
    stock = root.read(CONF)
    assert f"compute_driver={STOCK}\n" in stock
    assert root.call(*LEFT) == ""

    root.install(*first.put(root, MODULES))
    code, rows = check(root)
    assert code == 3
    for name in ("driver", "validator", "image-property"):
        assert rows[name]["result"] == "ok", rows
    assert rows["compute-driver"]["result"] == "warning"
    assert f"{STOCK}, from {CONF}, line 2" in rows["compute-driver"]["reason"]

    printed = root.install(*first.put(root, ours))
    assert "WARNING" not in printed
    assert status(root, theirs) == "rc"
    assert "nova-compute (restart)" in root.read("/var/log/policy-rc.d.log")
    _code, rows = check(root)
    assert rows["compute-driver"]["result"] == "ok"
    assert f"{DRIVER}, from {CONF}, line 3" in rows["compute-driver"]["reason"]
    assert f"virt_type={kind}\n" in root.read(CONF)
    assert f"virt_type={kind}\n" in stock

    root.call("apt-get", "-qq", "purge", theirs)
    assert f"compute_driver={DRIVER}\n" in root.read(CONF)

    before = root.read(CONF)
    if edited:
        root.write(CONF, before + "cpu_mode=none\n")
    root.install(*second.put(root, MODULES, ours), options=KEEP)
    assert status(root, ours) == "ii"
    assert root.call("dpkg-query", "-W", "-f", "${Version}", MODULES).endswith("-2")
    if edited:
        assert root.read(CONF) == before + "cpu_mode=none\n"
        assert root.read(f"{CONF}.dpkg-dist") == before + "# Revision 2.\n"
    else:
        assert root.read(CONF) == before + "# Revision 2.\n"
    _code, rows = check(root)
    assert rows["compute-driver"]["result"] == "ok"

    root.install(theirs, options=REPLACE)
    assert root.read(CONF) == stock
    _code, rows = check(root)
    assert f"{STOCK}, from {CONF}, line 2" in rows["compute-driver"]["reason"]
    root.call("apt-get", "-qq", "purge", MODULES, ours)
    for package in (MODULES, ours):
        assert status(root, package) in ("", "un")
    assert root.read(CONF) == stock
    assert root.call(*LEFT) == ""
    # No file of Debian's Nova changed.
    assert root.call("dpkg", "--verify", "python3-nova", "nova-compute", theirs) == ""
    found = root.run("python3", "-c", "import nova.virt.uniqserial")
    assert "No module named 'nova.virt.uniqserial'" in found.stderr


def test_an_edited_file_of_nova_is_kept_with_a_warning(
    first: Build, mount: Callable[[], Root]
) -> None:
    root = mount()
    edited = root.read(CONF) + "cpu_mode=none\n"
    root.write(CONF, edited)
    packages = first.put(root, MODULES, "nova-compute-uniqserial-qemu")
    printed = root.install(*packages, options=KEEP)
    assert f"WARNING: {CONF} was kept and does not select the driver" in printed
    assert root.read(CONF) == edited
    code, rows = check(root)
    assert code == 3
    assert rows["compute-driver"]["result"] == "warning"
    assert f"from {CONF}, line 2" in rows["compute-driver"]["reason"]
