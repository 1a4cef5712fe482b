# SPDX-License-Identifier: Apache-2.0
"""The table of supported versions agrees with the requirements and with what is tested."""

from __future__ import annotations

import configparser
import csv
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from osc_uniqserial.api import rest
from tests.nova import ends

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "doc" / "source"

with (PAGES / "install" / "supported.csv").open(newline="") as opened:
    #: Component -> its row.
    SUPPORTED = {row["Component"]: row for row in csv.DictReader(opened)}


def config(path: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / path)
    return parsed


def pins(path: str) -> dict[str, str]:
    """Return the exact versions of a requirements file, by name."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / path).read_text(), re.M))


def requirements() -> dict[str, Requirement]:
    """Return what the client requires, with the extras that the unit tests need, by name."""
    parsed = config("setup.cfg")
    extras = parsed["options.extras_require"]
    lists = (parsed["options"]["install_requires"], extras["reports"], extras["test"])
    found = [Requirement(line) for text in lists for line in text.split("\n") if line]
    return {each.name: each for each in found}


def test_nova() -> None:
    row = SUPPORTED["Nova with nova-uniqserial"]
    assert row["Oldest"].split()[0] == ends.OLDEST
    assert row["Newest"].split()[0] == pins("devcloud/requirements.txt")["nova"].split(".")[0]
    for page in (ROOT / "README.rst", PAGES / "install" / "supported.rst"):
        assert f"Nova {row['Oldest']} to {row['Newest']} are supported" in page.read_text()


def test_the_compute_api() -> None:
    assert SUPPORTED["Compute API"]["Oldest"].split()[0] == rest.COMPUTE_OLDEST
    readme = (ROOT / "README.rst").read_text()
    assert f"compute microversion {rest.COMPUTE_OLDEST}" in readme


def test_python() -> None:
    row = SUPPORTED["Python for osc-uniqserial"]
    client = config("setup.cfg")
    assert client["options"]["python_requires"] == f">={row['Oldest']}"
    minors = re.findall(r"Python :: 3\.(\d+)", client["metadata"]["classifiers"])
    oldest, newest = (int(row[end].removeprefix("3.")) for end in ("Oldest", "Newest"))
    assert [int(minor) for minor in minors] == list(range(oldest, newest + 1))


def test_python_of_the_driver() -> None:
    row = SUPPORTED["Python for nova-uniqserial"]
    driver = config("nova_driver/setup.cfg")
    assert driver["options"]["python_requires"] == f">={row['Oldest']}"


@pytest.mark.parametrize("name", ["python-openstackclient", "openstacksdk"])
def test_a_library(name: str) -> None:
    row = SUPPORTED[name]
    assert str(requirements()[name].specifier) == f">={row['Oldest']}"
    assert pins("lower-constraints.txt")[name] == f"{row['Oldest']}.0"
    assert pins("tools/constraints.txt")[name] == row["Newest"]


def test_horizon() -> None:
    row = SUPPORTED["Horizon"]
    tested = pins("tests/e2e/horizon/requirements.txt")["horizon"]
    assert row["Oldest"] == row["Newest"] == tested.removesuffix(".0")


def test_every_requirement_has_a_lowest_version() -> None:
    lowest = pins("lower-constraints.txt")
    build = {"build", "setuptools", "wheel"}
    assert lowest.keys() - build == requirements().keys()
    for name, requirement in requirements().items():
        assert requirement.specifier.contains(lowest[name]), name
