# SPDX-License-Identifier: Apache-2.0
"""The recipe for several clouds and regions, run as it is documented."""

from __future__ import annotations

import configparser
import copy
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.cloud import OPENSTACK, ROOT, SeededCloud
from tests.functional.test_nightly import SCRIPT, fake, fake_audit

PAGES = ROOT / "doc" / "source"
RECIPE = PAGES / "admin" / "several-clouds"
CLOUDS = RECIPE / "unique-serial-clouds"
SECOND = "RegionTwo"


class Machine:
    """A machine with the script: its folders, and what is around a run."""

    def __init__(self, folder: Path, clouds_yaml: Path) -> None:
        self.reports, self.metrics = folder / "reports", folder / "metrics"
        self.baselines = folder / "baselines"
        for each in (self.metrics, self.baselines):
            each.mkdir()
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "OS_CLIENT_CONFIG_FILE": str(clouds_yaml),
            "UNIQUE_SERIAL_NIGHTLY": str(SCRIPT),
            "UNIQUE_SERIAL_OPENSTACK": str(OPENSTACK),
            "UNIQUE_SERIAL_REPORTS": str(self.reports),
            "UNIQUE_SERIAL_METRICS": str(self.metrics),
            "UNIQUE_SERIAL_BASELINES": str(self.baselines),
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [CLOUDS, *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=500,
        )

    def codes(self) -> dict[str, int]:
        """Return the kept exit codes."""
        lines = (self.reports / "exit-codes").read_text().splitlines()
        return {name: int(code) for name, code in (line.split("\t") for line in lines)}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without a cloud."""
    return Machine(tmp_path, tmp_path / "clouds.yaml")


@pytest.fixture
def second_region(seeded: SeededCloud) -> Iterator[str]:
    """A second region of the cloud, with the same services."""
    made = []
    assert seeded.raw("keystone", "POST", "/v3/regions", {"region": {"id": SECOND}}).ok
    for endpoint in seeded.get("keystone", "/v3/endpoints")["endpoints"]:
        copied = {key: endpoint[key] for key in ("service_id", "interface", "url")}
        body = {"endpoint": {**copied, "region_id": SECOND}}
        made.append(seeded.raw("keystone", "POST", "/v3/endpoints", body).json()["endpoint"]["id"])
    yield SECOND
    for id_ in made:
        assert seeded.raw("keystone", "DELETE", f"/v3/endpoints/{id_}").ok
    assert seeded.raw("keystone", "DELETE", f"/v3/regions/{SECOND}").ok


def test_a_second_region_a_second_cloud_and_one_that_is_down(
    seeded: SeededCloud, second_region: str, tmp_path: Path
) -> None:
    ours = copy.deepcopy(seeded.clouds["clouds"]["devcloud"])
    first = ours.pop("region_name")
    down = copy.deepcopy(ours)
    down["auth"]["auth_url"] = "http://127.0.0.1:9/v3"
    clouds = {
        "north": {**ours, "regions": [first, second_region]},
        "south": {**ours, "region_name": first},
        "down": {**down, "region_name": first},
    }
    clouds_yaml = tmp_path / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump({"clouds": clouds}))
    machine = Machine(tmp_path, clouds_yaml)
    (machine.baselines / f"north@{second_region}.yaml").write_text("accepted: []\n")
    targets = ["down", f"north@{second_region}", "south"]
    options = ("--only", "inherited-key", "--only", "serial-shared")
    run = machine.run(*targets, "--", "--all-projects", *options)
    assert run.returncode == 1, run.stdout + run.stderr
    assert machine.codes() == {"down": 1} | dict.fromkeys(targets[1:], 3)
    assert [line for line in run.stdout.splitlines() if ": exit code " in line] == [
        f"{name}: exit code {code}" for name, code in machine.codes().items()
    ]
    # The baseline of one region is of this region.
    assert run.stdout.count("since the baseline: ") == 1
    assert not (machine.reports / "down" / "latest").exists()
    places = set()
    for target in targets[1:]:
        assert (machine.reports / target / "latest" / "audit.html").exists()
        file = machine.metrics / f"unique_serial_{target}.prom"
        for family in text_string_to_metric_families(file.read_text()):
            for sample in family.samples:
                places.add((file.stem, sample.labels["cloud"], sample.labels["region"]))
    # Each file has one cloud and region, and no two files have the same.
    assert places == {
        (f"unique_serial_north@{second_region}", "north", second_region),
        ("unique_serial_south", "south", first),
    }
    assert len(list(machine.metrics.iterdir())) == 2


def test_the_baseline_of_a_target_without_one_of_its_own(machine: Machine, tmp_path: Path) -> None:
    own = machine.baselines / "north.yaml"
    own.touch()
    script = fake(tmp_path, 'echo "$OS_CLOUD $UNIQUE_SERIAL_BASELINE"\n')
    run = machine.run(
        "north", "south", UNIQUE_SERIAL_NIGHTLY=script, UNIQUE_SERIAL_BASELINE="/etc/all.yaml"
    )
    assert run.stdout.splitlines() == [f"north {own}", "south /etc/all.yaml"], run.stderr


@pytest.mark.parametrize(
    ("codes", "expected"),
    [("0 0", 0), ("0 4", 4), ("4 3", 3), ("3 1", 1), ("124 0", 1), ("75 4", 1), ("2 3", 1)],
)
def test_the_gravest_exit_code_counts_and_all_are_kept(
    machine: Machine, tmp_path: Path, codes: str, expected: int
) -> None:
    first, second = map(int, codes.split())
    program = fake(tmp_path, f"case $OS_CLOUD in a) exit {first} ;; *) exit {second} ;; esac\n")
    run = machine.run("a", "b@r", UNIQUE_SERIAL_NIGHTLY=program)
    assert run.returncode == expected
    assert machine.codes() == {"a": first, "b@r": second}
    assert bool(run.stdout) is (expected != 0)


def test_what_each_audit_gets(machine: Machine, tmp_path: Path) -> None:
    program = fake(
        tmp_path,
        'echo "$OS_CLOUD|$OS_REGION_NAME|$UNIQUE_SERIAL_REPORTS|$UNIQUE_SERIAL_BASELINE|$*"\n',
    )
    (machine.baselines / "b@r_1.yaml").touch()
    run = machine.run("a@b@c", "b@r/1", "--", "--skip", "x y", UNIQUE_SERIAL_NIGHTLY=program)
    assert run.stdout.splitlines() == [
        f"a@b|c|{machine.reports}/a@b@c||--skip x y",
        f"b|r/1|{machine.reports}/b@r_1|{machine.baselines}/b@r_1.yaml|--skip x y",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no cloud was given"),
        (["--", "a"], "no cloud was given"),
        (["a", "a"], "a and a have the same folder"),
        (["a b", "a/b"], "a/b and a b have the same folder"),
        (["--all-projects"], "--all-projects is no CLOUD and no CLOUD@REGION"),
        (["a@"], "a@ is no CLOUD and no CLOUD@REGION"),
        ([".."], ".. is no CLOUD and no CLOUD@REGION"),
    ],
)
def test_wrong_usage_checks_nothing(
    machine: Machine, tmp_path: Path, arguments: list[str], message: str
) -> None:
    program = fake(tmp_path, "echo ran\n")
    run = machine.run(*arguments, UNIQUE_SERIAL_NIGHTLY=program)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr
    assert not machine.reports.exists()


def test_a_folder_of_baselines_that_is_missing(machine: Machine) -> None:
    run = machine.run("a", UNIQUE_SERIAL_BASELINES="/nowhere")
    assert (run.returncode, run.stdout) == (2, "")
    assert "UNIQUE_SERIAL_BASELINES is no folder: /nowhere" in run.stderr


def test_the_nightly_script_keeps_regions_apart(machine: Machine, tmp_path: Path) -> None:
    program = fake_audit(tmp_path, 0)
    for region in ("", "r1", "r 2"):
        run = subprocess.run(
            [SCRIPT],
            env={
                **machine.environment,
                "OS_CLOUD": "a",
                "OS_REGION_NAME": region,
                "UNIQUE_SERIAL_OPENSTACK": program,
                # Two runs in one second would have one name.
                "UNIQUE_SERIAL_REPORTS": str(tmp_path / f"reports {region}"),
            },
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
    assert sorted(each.name for each in machine.metrics.iterdir()) == [
        "unique_serial_a.prom",
        "unique_serial_a@r1.prom",
        "unique_serial_a@r_2.prom",
    ]


def test_the_files_of_the_page_fit_together() -> None:
    """The service and the pipeline audit the clouds and regions of the sample."""
    sample = yaml.safe_load((RECIPE / "clouds.yaml").read_text())["clouds"]
    places = {
        (name, region)
        for name, cloud in sample.items()
        for region in cloud.get("regions") or [cloud["region_name"]]
    }
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
    unit.read_string(re.sub(r"\\\n *", "", (RECIPE / "clouds.conf").read_text()))
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    page = (PAGES / "admin" / "several-clouds.rst").read_text()
    assert f"``{program}``" in page
    targets = words[: words.index("--")]
    assert f"    unique-serial-clouds {' '.join(words)}\n" in page
    told = {tuple(each.split("@")) for each in targets if "@" in each}
    told |= {(each, sample[each]["region_name"]) for each in targets if "@" not in each}
    assert told == places
    job = yaml.safe_load((RECIPE / "gitlab-ci.yml").read_text())["unique-serial"]
    matrix = {
        (each["OS_CLOUD"], region)
        for each in job["parallel"]["matrix"]
        for region in (
            each["OS_REGION_NAME"]
            if isinstance(each["OS_REGION_NAME"], list)
            else [each["OS_REGION_NAME"]]
        )
    }
    assert matrix == places
