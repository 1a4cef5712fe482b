# SPDX-License-Identifier: Apache-2.0
"""Each way has a page of the same form, and a row in the documentation."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.deploy.environment import DEPLOY, ROOT
from tests.guide import page

FOLDERS = [*sorted(path for path in DEPLOY.iterdir() if path.is_dir()), ROOT / "devstack"]
SECTIONS = ["Install", "Check", "Roll back", "Tested"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_a_page_has_all_sections_and_names_all_files(folder: Path) -> None:
    text = (folder / "README.rst").read_text()
    lines = text.splitlines()
    titles = [
        title for title, line in itertools.pairwise(lines) if line and line == "-" * len(title)
    ]
    assert [title for title in titles if title in SECTIONS] == SECTIONS
    for needed in (
        "unique serial status",
        "unique serial host list",
        "honoured on",
        "nova_uniqserial check",
        "stale traits",
    ):
        assert needed in " ".join(text.split()), needed
    if folder.parent == DEPLOY:
        files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        # A file, or the folder that holds it.
        missing = {
            str(file)
            for file in files
            if not any(f"``{path}``" in text for path in (file, *file.parents))
        }
        assert missing == {"README.rst"}


@pytest.mark.parametrize("folder", FOLDERS[:-1], ids=lambda folder: str(folder.name))
def test_the_rollback_has_the_order_of_the_manual(folder: Path) -> None:
    """The driver reports its traits again while it runs."""
    _, _, section = (folder / "README.rst").read_text().partition("\nRoll back\n")
    text = " ".join(section.partition("\nTested\n")[0].split())
    steps = ("--disable HOST", "Remove the stale traits", "--enable HOST")
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert all(line in page("admin/roll-back") for line in (steps[0], steps[2]))


def test_the_documentation_has_a_row_for_each_folder() -> None:
    text = page("install/installers")
    for folder in FOLDERS:
        assert f"     - ``{folder.relative_to(ROOT)}``\n" in text
