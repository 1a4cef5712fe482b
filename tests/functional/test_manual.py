# SPDX-License-Identifier: Apache-2.0
"""The commands of the manual that change something, in the order of each page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.cloud import Cloud
from tests.guide import PAGES, blocks, commands

#: Words of commands that test_metadef, test_auditor, test_operators_guide, test_apply and tests/e2e
#: run.
ELSEWHERE = {"metadef", "role", "resource", "--undo", "--live"}
#: Words of our own commands that change something, or show a server. The tests of the others have
#: files of their own.
WRITES = {"apply", "show", "--baseline", "--write-baseline"}
#: Findings and gaps are results too.
RESULTS = {"audit", "apply"}


def in_order() -> list[list[str]]:
    """Return each command that changes something, or shows a server, once."""
    found: list[list[str]] = []
    for path in sorted(PAGES.rglob("*.rst")):
        for script in blocks(path.read_text()):
            for words in commands(script):
                reads = words[:2] == ["unique", "serial"] and not WRITES & {*words}
                if not reads and not ELSEWHERE & {*words} and words not in found:
                    found.append(words)
    return found


def test_the_commands_of_the_manual(
    cloud: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unique_name: Callable[[str], str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (PAGES / "admin" / "plan").glob("*.yaml"):
        shutil.copy(file, tmp_path)
    flavor, image = unique_name("flavor"), unique_name("image")
    flavor_id, image_id = cloud.new_flavor(flavor), cloud.new_image(image)
    server = unique_name("server")
    server_id = cloud.boot(server, flavor_id, image_id, "keys-1")
    names = {
        "FLAVOR": flavor,
        "NEW_FLAVOR": unique_name("larger"),
        "IMAGE": image,
        "SERVER": server,
        "AGGREGATE": unique_name("aggregate"),
        "VOLUME": cloud.new_volume(unique_name("volume"), image_id),
        "HOST": "keys-1",
        **dict.fromkeys(("db-1", "db-3", "db-4"), server),
    }
    answer = cloud.raw(
        "nova", "POST", "/v2.1/os-aggregates", {"aggregate": {"name": names["AGGREGATE"]}}
    )
    assert answer.ok, answer.text
    script = in_order()
    assert len(script) > 15
    for words in script:
        args = [names.get(word, word) for word in words]
        if "NAME" in args:
            args[args.index("NAME")] = unique_name("new")
        if "apply" in args:
            # A terminal is asked.
            args.append("--yes")
        if args[:2] == ["server", "create"]:
            # This cloud has no network.
            args += ["--nic", "none"]
        done = cloud.openstack(*args, check=False)
        allowed = {0, 3, 4} if RESULTS & {*words} else {0}
        assert done.returncode in allowed, f"{' '.join(args)}:\n{done.stderr}"
        assert not re.search(r"\bTraceback\b", done.stderr)
        if {"reboot", "confirm"} & {*words}:
            cloud.wait(server_id, "ACTIVE")
    assert cloud.get("nova", f"/v2.1/servers/{server_id}")["server"]["metadata"] == {}
