# SPDX-License-Identifier: Apache-2.0
"""The recipes for every night, run as they are documented: only paths come from outside."""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import textwrap
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from osc_uniqserial.reports.prometheus import LABELS
from tests.functional.cloud import OPENSTACK, ROOT, SeededCloud

PAGES = ROOT / "doc" / "source"
NIGHTLY = PAGES / "admin" / "nightly"
NAME = "unique-serial-nightly"
SCRIPT = NIGHTLY / NAME
INSTALLED = f"/usr/local/bin/{NAME}"


class Night:
    """A machine with the script: its folders, and what is around a run."""

    def __init__(self, cloud: SeededCloud, folder: Path) -> None:
        self.reports = folder / "reports"
        self.metrics = folder / "textfile collector"
        self.metrics.mkdir()
        (self.metrics / "other.prom").write_text("up 1\n")
        self.environment = {
            # Nothing else of the session: a job has little around it.
            "PATH": "/usr/bin:/bin",
            "OS_CLIENT_CONFIG_FILE": str(cloud.state["clouds_yaml"]),
            "OS_CLOUD": "devcloud",
            "UNIQUE_SERIAL_OPENSTACK": str(OPENSTACK),
            "UNIQUE_SERIAL_REPORTS": str(self.reports),
            "UNIQUE_SERIAL_METRICS": str(self.metrics),
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
        }

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [SCRIPT, *options],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def kept(self) -> list[str]:
        """Return the runs that are there, the oldest first; drafts too."""
        return sorted(each.name for each in self.reports.iterdir() if each.name != "latest")

    def metric_file(self) -> Path:
        """Return what the node exporter reads."""
        return self.metrics / "unique_serial_devcloud.prom"


@pytest.fixture
def night(seeded: SeededCloud, tmp_path: Path) -> Night:
    """A machine on which it never ran."""
    return Night(seeded, tmp_path)


def fake(folder: Path, text: str) -> str:
    """Write a program that stands for ``openstack``, and return its path."""
    program = folder / "fake-openstack"
    program.write_text(f"#!/usr/bin/env bash\n{text}")
    program.chmod(0o755)
    return str(program)


def fake_audit(folder: Path, code: int) -> str:
    """Return an audit that writes its reports and ends with a code."""
    return fake(
        folder,
        "for each; do case $each in html=* | json=* | junit=* | prometheus=*)"
        ' echo x >"${each#*=}" ;; esac; done\n'
        f"exit {code}\n",
    )


# --- the script -----------------------------------------------------------------


def test_findings(night: Night) -> None:
    run = night.run("--all-projects")
    assert run.returncode == 3, run.stdout + run.stderr
    assert run.stderr == ""
    assert " of 300 servers checked" in run.stdout.splitlines()[-1]
    lock, name = night.kept()
    assert lock == ".lock"
    assert re.fullmatch(r"\d{8}T\d{6}Z", name)
    folder = night.reports / "latest"
    assert folder.readlink() == Path(name)
    assert sorted(each.name for each in folder.iterdir()) == [
        "audit.html",
        "audit.json",
        "audit.prom",
        "audit.txt",
        "audit.xml",
    ]
    assert (folder / "audit.txt").read_text() == run.stdout
    assert 'id="check-serial-shared"' in (folder / "audit.html").read_text()
    suite = ET.parse(folder / "audit.xml").getroot().find("testsuite")  # noqa: S314
    assert suite is not None
    assert int(suite.attrib["failures"]) > 0
    # Names of servers are not for everybody; the node exporter is another user.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o640}
    assert sorted(each.name for each in night.metrics.iterdir()) == [
        "other.prom",
        night.metric_file().name,
    ]
    assert stat.S_IMODE(night.metric_file().stat().st_mode) == 0o644
    assert night.metric_file().read_text() == (folder / "audit.prom").read_text()


def test_metrics_are_those_of_the_page(night: Night) -> None:
    page = (PAGES / "reference" / "metrics.rst").read_text()
    assert night.run("--all-projects").returncode == 3
    written: dict[str, set[str]] = {}
    for line in night.metric_file().read_text().splitlines():
        if not line.startswith("#"):
            name, labels, _value = re.split(r"\{|\} ", line)
            written.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    common = {"command", "cloud", "region", "scope"}
    rows = re.findall(r"^   \* - ``(openstack_\w+)``\n     -(.*)\n", page, re.MULTILINE)
    assert written == {name: set(labels) for name, labels in LABELS.items()}
    assert written == {name: common | set(re.findall(r"``(\w+)``", more)) for name, more in rows}


def test_no_metrics_and_an_option(night: Night) -> None:
    run = night.run("--only", "inherited-key", UNIQUE_SERIAL_METRICS="")
    assert run.returncode in (3, 4)
    assert not night.metric_file().exists()
    assert 'id="check-serial-shared"' not in (night.reports / "latest/audit.html").read_text()


def test_accepted_findings_leave_what_was_not_checked(night: Night, tmp_path: Path) -> None:
    baseline = tmp_path / "a baseline.yaml"
    known = night.run(
        "--write-baseline", str(baseline), "--baseline-reason", "known", UNIQUE_SERIAL_METRICS=""
    )
    assert known.returncode == 3
    run = night.run(UNIQUE_SERIAL_BASELINE=str(baseline))
    assert run.returncode == 4, run.stdout + run.stderr
    assert "since the baseline: " in run.stdout
    assert night.metric_file().exists()
    assert len(night.kept()) == 3


def test_nothing_found_says_nothing(night: Night, tmp_path: Path) -> None:
    run = night.run(UNIQUE_SERIAL_OPENSTACK=fake_audit(tmp_path, 0))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (night.reports / "latest" / "audit.xml").exists()


def test_a_password_in_a_file_of_its_own(seeded: SeededCloud, night: Night, tmp_path: Path) -> None:
    clouds = yaml.safe_load(Path(seeded.state["clouds_yaml"]).read_text())
    auth = clouds["clouds"]["devcloud"]["auth"]
    sample = yaml.safe_load((NIGHTLY / "secure.yaml").read_text())
    (entry,) = sample["clouds"].values()
    assert entry == {"auth": {"password": "PASSWORD"}}
    shown = yaml.safe_load((NIGHTLY / "clouds.yaml").read_text())["clouds"]
    assert shown.keys() == sample["clouds"].keys()
    assert shown["auditor"]["auth"].keys() == auth.keys() - {"password"}
    entry["auth"]["password"] = auth.pop("password")
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
    (tmp_path / "secure.yaml").write_text(yaml.safe_dump({"clouds": {"devcloud": entry}}))
    files = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    # Nobody is asked for what is missing.
    without = night.run(**files, OS_CLIENT_SECURE_FILE=str(tmp_path / "missing.yaml"))
    assert without.returncode == 1
    run = night.run(**files, OS_CLIENT_SECURE_FILE=str(tmp_path / "secure.yaml"))
    assert run.returncode == 3, run.stdout + run.stderr


def test_an_error_changes_nothing(night: Night) -> None:
    assert night.run("--only", "inherited-key").returncode in (3, 4)
    before = (night.kept(), night.metric_file().read_text())
    run = night.run(OS_CLOUD="nowhere")
    assert run.returncode == 1
    assert "nowhere" in run.stdout
    assert run.stderr == "the audit ended with 1: there is no report\n"
    wrong = night.run("--fail-on", "nonsense")
    assert wrong.returncode == 2
    assert (night.kept(), night.metric_file().read_text()) == before


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [("OS_CLOUD", "", 1), ("UNIQUE_SERIAL_KEEP", "0", 2), ("UNIQUE_SERIAL_KEEP", "all", 2)],
)
def test_a_setting_that_makes_no_sense(night: Night, variable: str, value: str, code: int) -> None:
    run = night.run(**{variable: value})
    assert run.returncode == code
    assert variable in run.stderr
    assert not night.reports.exists()


def test_metrics_that_cannot_be_written(night: Night, tmp_path: Path) -> None:
    run = night.run(
        UNIQUE_SERIAL_OPENSTACK=fake_audit(tmp_path, 3), UNIQUE_SERIAL_METRICS="/nowhere"
    )
    assert run.returncode == 2
    assert "/nowhere" in run.stderr
    # Before anything was done.
    assert not night.reports.exists()


def test_only_the_last_ones_are_kept(night: Night, tmp_path: Path) -> None:
    night.reports.mkdir()
    old = [f"2026010{day}T031700Z" for day in range(1, 6)]
    for name in [*old, ".run.killed"]:
        (night.reports / name).mkdir()
        (night.reports / name / "audit.txt").write_text("old")
    (night.reports / "notes").mkdir()
    (night.reports / "2026 notes.txt").write_text("of somebody")
    run = night.run(UNIQUE_SERIAL_OPENSTACK=fake_audit(tmp_path, 4), UNIQUE_SERIAL_KEEP="3")
    assert run.returncode == 4
    new = os.readlink(night.reports / "latest")
    assert night.kept() == [".lock", "2026 notes.txt", *old[-2:], new, "notes"]


def test_runs_do_not_overlap(night: Night) -> None:
    night.reports.mkdir()
    with (night.reports / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = night.run()
    assert run.returncode == 75
    assert run.stderr == "another run has not ended: nothing was checked\n"
    assert night.kept() == [".lock"]


def test_a_run_that_takes_too_long(night: Night, tmp_path: Path) -> None:
    run = night.run(
        UNIQUE_SERIAL_OPENSTACK=fake(tmp_path, "exec sleep 60\n"), UNIQUE_SERIAL_TIMEOUT="0.5"
    )
    assert run.returncode == 124
    assert run.stderr == "the audit ended with 124: there is no report\n"
    assert night.kept() == [".lock"]


def test_what_a_run_started_keeps_others_out(night: Night, tmp_path: Path) -> None:
    """The script is killed, and the audit goes on: the next one waits for its turn."""
    slow = fake(tmp_path, f"echo $$ >{tmp_path}/pid\nexec sleep 60\n")
    first = subprocess.Popen([SCRIPT], env=night.environment | {"UNIQUE_SERIAL_OPENSTACK": slow})
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    first.kill()
    first.wait()
    assert night.run().returncode == 75
    os.kill(child, signal.SIGKILL)
    # Its timeout, which has the lock too, ends with it.
    while night.run(UNIQUE_SERIAL_OPENSTACK=fake_audit(tmp_path, 0)).returncode == 75:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not [name for name in night.kept() if name.startswith(".run")]


# --- what starts it -------------------------------------------------------------


def unit(kind: str) -> dict[str, dict[str, list[str]]]:
    """Return the settings of a unit: a key may be there several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in (NIGHTLY / f"{NAME}.{kind}").read_text().splitlines():
        if not line or line.startswith(("#", ";")):
            continue
        if found := re.fullmatch(r"\[(\w+)\]", line):
            current = sections.setdefault(found[1], {})
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert re.fullmatch(r"[A-Z]\w+", key), line
        current.setdefault(key, []).append(value)
    return sections


def test_the_service() -> None:
    service = unit("service")
    assert service.keys() == {"Unit", "Service"}
    settings = service["Service"]
    assert settings["Type"] == ["oneshot"]
    assert settings["User"] == ["unique-serial"]
    assert settings["SuccessExitStatus"] == ["3 4"]
    assert settings["ExecStart"][0].split()[0] == INSTALLED
    environment = dict(each.split("=", 1) for each in settings["Environment"])
    assert (
        environment["OS_CLOUD"] in yaml.safe_load((NIGHTLY / "clouds.yaml").read_text())["clouds"]
    )
    assert settings["ReadWritePaths"] == [environment["UNIQUE_SERIAL_METRICS"]]
    # The reports of the script are in the folder that the service may write to.
    default = re.search(r"UNIQUE_SERIAL_REPORTS:-([^}]+)\}", SCRIPT.read_text())
    assert default
    assert Path(default[1]).parent == Path("/var/lib") / settings["StateDirectory"][0]


def test_the_units_with_systemd(tmp_path: Path) -> None:
    """With what systemd has for it; a machine without systemd reads the syntax alone."""
    timer = unit("timer")
    assert timer["Install"] == {"WantedBy": ["timers.target"]}
    (when,) = timer["Timer"]["OnCalendar"]
    tool = shutil.which("systemd-analyze")
    for kind in ("service", "timer"):
        text = (NIGHTLY / f"{NAME}.{kind}").read_text()
        # It looks whether the script is there.
        (tmp_path / f"{NAME}.{kind}").write_text(text.replace(INSTALLED, str(SCRIPT)))
    if tool is None:
        for kind in ("service", "timer"):
            parser = configparser.RawConfigParser(strict=False)
            # The documented way to keep the case of names; typeshed takes it for a method.
            parser.optionxform = str  # type: ignore[assignment,method-assign]  # see above
            assert parser.read(tmp_path / f"{NAME}.{kind}")
            assert set(parser.sections()) <= {"Unit", "Service", "Timer", "Install"}
        assert re.fullmatch(r"\*-\*-\* ([01]\d|2[0-3]):[0-5]\d:[0-5]\d", when)
        return
    verified = subprocess.run(
        [tool, "verify", *(tmp_path / f"{NAME}.{kind}" for kind in ("service", "timer"))],
        capture_output=True,
        text=True,
    )
    # Other units of the machine may have faults of their own.
    ours = [line for line in verified.stderr.splitlines() if NAME in line]
    assert ours == []
    # Every night once.
    elapses = subprocess.run(
        [tool, "calendar", "--iterations=3", when], capture_output=True, text=True, check=True
    ).stdout
    assert len(re.findall(r"\d{4}-\d\d-\d\d 03:17:00", elapses)) >= 3


def test_the_lines_for_cron(night: Night, tmp_path: Path) -> None:
    *variables, line = (NIGHTLY / "crontab").read_text().splitlines()
    environment = dict(each.split("=", 1) for each in variables)
    assert environment.keys() == {"MAILTO", "OS_CLOUD", "UNIQUE_SERIAL_METRICS"}
    *fields, command = line.split(" ", 5)
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    for field, (least, most) in zip(fields, ranges, strict=True):
        assert field == "*" or least <= int(field) <= most
    # cron would end the line there.
    assert "%" not in command
    assert command.split()[0] == INSTALLED
    assert f"``{INSTALLED}``" in (PAGES / "admin" / "nightly.rst").read_text()
    assert command.split() == unit("service")["Service"]["ExecStart"][0].split()
    run = subprocess.run(
        ["sh", "-c", command.replace(INSTALLED, str(SCRIPT))],
        env=night.environment | {"SHELL": "/bin/sh", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 3, run.stdout + run.stderr
    assert night.metric_file().exists()


# --- GitLab -----------------------------------------------------------------------


def test_the_job_for_gitlab(seeded: SeededCloud, tmp_path: Path) -> None:
    (job,) = yaml.safe_load((NIGHTLY / "gitlab-ci.yml").read_text()).values()
    assert all(line.startswith("pip install ") for line in job["before_script"])
    assert job["artifacts"]["when"] == "always"
    assert job["allow_failure"] == {"exit_codes": [4]}

    def run(baseline: str) -> int:
        (tmp_path / "baseline.yaml").write_text(baseline)
        # As its runner does: all lines are one program.
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])],
            cwd=tmp_path,
            env={
                **os.environ,
                **job["variables"],
                "PATH": f"{OPENSTACK.parent}:{os.environ['PATH']}",
                "OS_CLIENT_CONFIG_FILE": str(seeded.state["clouds_yaml"]),
                "OS_CLOUD": "devcloud",
            },
        ).returncode

    assert run("") == 3
    artifacts = job["artifacts"]
    for name in [*artifacts["paths"], artifacts["reports"]["junit"]]:
        assert (tmp_path / name).stat().st_size > 0
    report = ET.parse(tmp_path / artifacts["reports"]["junit"]).getroot()  # noqa: S314
    assert report.findall(".//failure")
    # A baseline that is none: an error, which no exit code allows.
    assert run("accepted: yes") == 1


def test_every_file_is_on_the_page() -> None:
    page = (PAGES / "admin" / "nightly.rst").read_text()
    shown = set(re.findall(r"literalinclude:: nightly/(\S+)", page))
    assert shown == {each.name for each in NIGHTLY.iterdir()}
    # What is to be typed is bash that can be read.
    for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", page):
        subprocess.run(["bash", "-n", "-c", textwrap.dedent(block)], check=True)


def test_no_secret_is_on_a_command_line() -> None:
    for file in NIGHTLY.iterdir():
        if file.name == "secure.yaml":
            continue
        text = file.read_text()
        assert not re.search(r"--os-password|OS_PASSWORD|password:", text), file.name


def jobs() -> dict[str, str]:
    """Return all that is run every night, by what starts it."""
    (job,) = yaml.safe_load((NIGHTLY / "gitlab-ci.yml").read_text()).values()
    return {
        "systemd": unit("service")["Service"]["ExecStart"][0],
        "cron": (NIGHTLY / "crontab").read_text().splitlines()[-1],
        "gitlab": " ".join(job["script"]),
    }


@pytest.mark.parametrize("starter", ["systemd", "cron", "gitlab"])
def test_a_job_does_not_shrink_unnoticed(starter: str) -> None:
    """A user who may not see all projects is an error, not a clean report about few."""
    assert "--all-projects" in jobs()[starter]
