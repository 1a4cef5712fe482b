# SPDX-License-Identifier: Apache-2.0
"""``python3 -m nova_uniqserial image_property`` beside Nova's own, on databases that Nova made."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.nova.ends import End

NOVA = "nova-manage"
OURS = "nova_uniqserial"
STATES = ("active", "stopped", "shelved", "shelved_offloaded")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
FROZEN = {"image_hw_disk_bus": "virtio"}

#: What goes after the category, with the name of a state for a server in it -> exit code.
REFUSED = {
    "": 2,
    "clear {stopped}": 2,
    "show {stopped}": 2,
    "set": 2,
    "set {stopped}": 1,
    f"set {UNKNOWN} --property hw_disk_bus=scsi": 2,
    "set {active} --property hw_disk_bus=scsi": 3,
    "set {stopped} --property hw_disk_bus": 4,
    "set {stopped} --property hw_nothing=1": 5,
    "set {stopped} --property hw_disk_bus=banana": 6,
    "set {stopped} --property hw_disk_bus=a=b": 6,
}


class Done(NamedTuple):
    """How a step ended."""

    code: int
    output: str
    errors: str

    def answer(self) -> Any:
        """Return what a step printed that must succeed."""
        assert self.code == 0, self.output + self.errors
        return json.loads(self.output.splitlines()[-1])


@dataclass
class Databases:
    """Databases of a Nova with a server in each state."""

    end: End
    config: Path
    servers: dict[str, str] = field(default_factory=dict)

    def take(self, *lines: str) -> list[Done]:
        """Take steps, each a line of words."""
        done = subprocess.run(
            self.end.command("servers.py", self.config),
            input=json.dumps([line.format(**self.servers).split(" ") for line in lines]),
            env=self.end.environment(),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [Done(*each) for each in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def databases(ours: End, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    folder = tmp_path_factory.mktemp("databases")
    config = folder / "nova.conf"
    config.write_text(
        f"[DEFAULT]\ntransport_url = fake://\nlog_dir = {folder}\n"
        f"[database]\nconnection = sqlite:///{folder}/main.db\n"
        f"[api_database]\nconnection = sqlite:///{folder}/api.db\n"
    )
    made = Databases(ours, config)
    api, main, servers = made.take(
        f"{NOVA} api_db sync", f"{NOVA} db sync --local_cell", f"make {' '.join(STATES)}"
    )
    assert (api.code, main.code) == (0, 0), api.output + api.errors + main.output + main.errors
    made.servers = servers.answer()
    return made


def test_errors_are_those_of_nova_manage(databases: Databases) -> None:
    lines = [f"image_property {line}".strip() for line in REFUSED]
    done = databases.take(
        *(f"{NOVA} {line}" for line in lines),
        *(f"{OURS} {line}" for line in lines),
        "read {stopped}",
    )
    theirs, ours, stored = done[: len(lines)], done[len(lines) : -1], done[-1]
    for line, code, their, our in zip(lines, REFUSED.values(), theirs, ours, strict=True):
        assert our[:2] == their[:2], line
        assert our.code == code, (line, our)
    assert stored.answer()["system_metadata"] == FROZEN


def test_the_property_is_set_where_nova_manage_refuses_it(databases: Databases) -> None:
    states = ("stopped", "shelved", "shelved_offloaded")
    steps = (
        f"{NOVA} image_property set {{}} --property hw_unique_serial=true",
        "read {}",
        f"{OURS} image_property set {{}} --property hw_unique_serial=true",
        "read {}",
    )
    servers = [databases.servers[state] for state in states]
    taken = databases.take(*(step.format(server) for server in servers for step in steps))
    for refused, before, done, after in zip(*[iter(taken)] * len(steps), strict=True):
        assert refused.code == 5
        assert "hw_unique_serial" in refused.output
        assert before.answer()["system_metadata"] == FROZEN
        assert (done.code, done.output) == (0, ""), done
        assert after.answer() == {
            # What the compute driver reads.
            "system_metadata": {**FROZEN, "image_hw_unique_serial": "true"},
            # Services without the driver read the request specification as before.
            "request_spec disk bus": "virtio",
            "has the field": False,
        }


def test_the_property_is_shown_as_by_nova_manage(databases: Databases) -> None:
    show = "image_property show {stopped}"
    set_false, theirs, ours, missing = databases.take(
        f"{OURS} image_property set {{stopped}} --property hw_unique_serial=false",
        f"{NOVA} {show} hw_unique_serial",
        f"{OURS} {show} hw_unique_serial",
        f"{OURS} {show} hw_machine_type",
    )
    assert set_false.code == 0, set_false
    assert ours[:2] == theirs[:2]
    if databases.end.name.startswith("oldest"):
        # A defect of this Nova: its own parser and its own method have different names.
        assert ours.code == missing.code == 255
        assert "unexpected keyword argument 'property'" in ours.output
    else:
        assert ours[:2] == (0, "false\n")
        assert missing.code == 3


def test_text_that_is_no_boolean_is_refused(databases: Databases) -> None:
    junk = ("banana", "", "null", "x" * 255)
    before, *done, after = databases.take(
        "read {shelved}",
        *(f"{OURS} image_property set {{shelved}} --property hw_unique_serial={x}" for x in junk),
        "read {shelved}",
    )
    for text, each in zip(junk, done, strict=True):
        assert each.code == 6, each
        assert each.output == f"hw_unique_serial is {text!r}, which is neither true nor false.\n"
    assert after.answer() == before.answer()


def test_a_running_server_is_refused(databases: Databases) -> None:
    done, after = databases.take(
        f"{OURS} image_property set {{active}} --property hw_unique_serial=true", "read {active}"
    )
    assert done.code == 3
    assert "must be STOPPED, SHELVED, OR SHELVED_OFFLOADED" in done.output
    assert after.answer()["system_metadata"] == FROZEN


def test_other_categories_are_refused(databases: Databases) -> None:
    categories = ("api_db", "cell_v2", "db", "placement", "libvirt", "volume_attachment")
    for category, done in zip(
        categories, databases.take(*(f"{OURS} {name} sync" for name in categories)), strict=True
    ):
        assert done.code == 2
        assert f"invalid choice: '{category}'" in done.errors
        assert done.errors.endswith("Use nova-manage for the other categories.\n")
