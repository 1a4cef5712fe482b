# SPDX-License-Identifier: Apache-2.0
"""The parts of the embedded cloud that need no cloud."""

import configparser
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
import yaml

from devcloud import __main__ as cli
from devcloud import (
    cloud,
    config,
    databases,
    environment,
    hosts,
    process,
    seed,
    seed_plan,
    seed_scenarios,
    session,
    state,
)
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import DATABASES, SERVICES, Layout
from osc_uniqserial import policy

PORTS = {service: 40000 + index for index, service in enumerate(SERVICES)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "cloud", tmp_path / "venv")


def make_state(pid: int, started: int, phase: str = state.READY) -> state.State:
    return state.State(
        phase=phase,
        pid=pid,
        started=started,
        venv="/v",
        clouds_yaml="/c",
        services={"nova": state.ServiceState(pid, "http://127.0.0.1:1")},
    )


class TestHosts:
    def test_names_and_nodes_are_unique(self) -> None:
        assert max(Counter(host.name for host in hosts.HOSTS).values()) == 1
        assert max(Counter(host.node for host in hosts.HOSTS).values()) == 1

    def test_every_host_is_in_a_known_cell_and_every_cell_has_one(self) -> None:
        assert {host.cell for host in hosts.HOSTS} == set(hosts.CELLS)

    def test_one_host_differs_from_its_node(self) -> None:
        assert [host.name for host in hosts.HOSTS if host.node != host.name] == ["auto-1"]

    def test_every_mode_is_declared_somewhere(self) -> None:
        declared = {trait for host in hosts.HOSTS for trait in host.traits}
        assert declared == {
            hosts.UNIQUE_SERIAL,
            hosts.MODE_UNIQUE,
            hosts.MODE_AUTO,
            hosts.MODE_OS,
            hosts.MODE_HARDWARE,
            hosts.MODE_NONE,
        }

    def test_provider_yaml_declares_the_traits(self) -> None:
        text = hosts.provider_yaml(hosts.BY_NAME["unique-1"])
        assert text is not None
        (provider,) = yaml.safe_load(text)["providers"]
        assert provider["identification"] == {"uuid": "$COMPUTE_NODE"}
        assert tuple(provider["traits"]["additional"]) == hosts.BY_NAME["unique-1"].traits

    @pytest.mark.parametrize("name", ["undeclared-1", "plain-fake-1", "keys-1"])
    def test_undeclared_hosts_have_none(self, name: str) -> None:
        assert hosts.provider_yaml(hosts.BY_NAME[name]) is None


class TestConfig:
    def test_files_parse_and_stay_below_the_cloud(self, layout: Layout) -> None:
        files = config.render(layout, PORTS)
        assert all(path.is_relative_to(layout.root) for path in files)
        for service in SERVICES:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(files[layout.config_file(service)])
            assert parser.sections()

    def test_services_meet_at_the_ports(self, layout: Layout) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(config.render(layout, PORTS)[layout.config_file("nova")])
        for section in ("keystone_authtoken", "placement", "neutron", "glance", "cinder"):
            assert parser[section]["auth_url"] == f"http://127.0.0.1:{PORTS['keystone']}/v3"

    def test_each_database_is_used_by_its_service_alone(self, layout: Layout) -> None:
        files = config.render(layout, PORTS)
        for name in ("keystone", "glance", "placement", "neutron", "cinder"):
            users = [path for path, text in files.items() if f"/{name}.sqlite" in text]
            assert users == [layout.config_file(name)]

    def test_only_declared_hosts_have_a_provider_yaml(self, layout: Layout) -> None:
        files = config.render(layout, PORTS)
        found = {path.parent.name for path in files if path.name == "provider.yaml"}
        assert found == {host.name for host in hosts.HOSTS if host.traits}

    def test_clouds_yaml(self) -> None:
        clouds = yaml.safe_load(config.clouds_yaml(PORTS))["clouds"]
        assert set(clouds) == {"devcloud", "devcloud-member", "devcloud-reader"}
        assert clouds["devcloud-reader"]["auth"]["username"] == "reader"
        assert clouds["devcloud-reader"]["auth"]["project_name"] == "demo"

    def test_ini_writes_booleans_as_oslo_reads_them(self) -> None:
        assert config.ini({"a": {"x": True, "y": -1}}) == "[a]\nx = true\ny = -1\n"


class TestDatabases:
    def test_every_database_is_built_or_copied(self) -> None:
        assert set(databases._BUILT) | set(databases._COPIES) == set(DATABASES)

    def test_service_environment_forgets_the_callers_cloud(
        self, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "somewhere")
        monkeypatch.setenv("https_proxy", "http://proxy.invalid")
        env = databases.service_environment(layout)
        assert "OS_CLOUD" not in env
        assert "https_proxy" not in env

    def test_template_depends_on_installed_packages(self, layout: Layout) -> None:
        before = databases.template_dir(layout)
        (layout.venv / "lib/python3.11/site-packages/nova-1.dist-info").mkdir(parents=True)
        assert databases.template_dir(layout) != before


class TestEnvironment:
    def test_requirements_are_pinned(self) -> None:
        for path in (environment.REQUIREMENTS, environment.CONSTRAINTS):
            lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
            assert lines
            assert all("==" in line and "@" not in line for line in lines), path

    def test_current_only_with_stamp_and_python(self, layout: Layout) -> None:
        assert not environment.is_current(layout.venv, "devcloud", "these pins")
        layout.venv.mkdir(parents=True)
        (layout.venv / "devcloud-stamp").write_text("these pins")
        assert not environment.is_current(layout.venv, "devcloud", "these pins")
        layout.python.parent.mkdir()
        layout.python.touch()
        assert environment.is_current(layout.venv, "devcloud", "these pins")
        assert not environment.is_current(layout.venv, "devcloud", "other pins")

    def test_what_fails_is_not_taken_for_complete(self, layout: Layout) -> None:
        layout.python.parent.mkdir(parents=True)
        layout.python.touch()
        made: list[str] = []
        environment.renew(layout.venv, "devcloud", "old", lambda: made.append("old"))
        environment.renew(layout.venv, "devcloud", "old", lambda: made.append("again"))
        assert made == ["old"]
        with pytest.raises(ZeroDivisionError):
            environment.renew(layout.venv, "devcloud", "new", lambda: made.append(str(1 // 0)))
        assert not environment.is_current(layout.venv, "devcloud", "old")
        assert not environment.is_current(layout.venv, "devcloud", "new")

    def test_a_fingerprint_depends_on_texts_and_files(self, tmp_path: Path) -> None:
        pins = tmp_path / "pins"
        pins.write_text("nova==1")
        before = environment.fingerprint("text", pins)
        assert before == environment.fingerprint("text", pins)
        assert before != environment.fingerprint("other", pins)
        pins.write_text("nova==2")
        assert before != environment.fingerprint("text", pins)


class TestLayout:
    def test_venv_may_be_shared(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DEVCLOUD_VENV", raising=False)
        assert Layout.of(tmp_path).venv == tmp_path / "venv"
        monkeypatch.setenv("DEVCLOUD_VENV", "/shared")
        assert Layout.of(tmp_path).venv == Path("/shared")


class TestState:
    def test_round_trip(self, tmp_path: Path) -> None:
        written = make_state(7, 8)
        state.write(tmp_path / "state.json", written)
        assert state.read(tmp_path / "state.json") == written
        assert [path.name for path in tmp_path.iterdir()] == ["state.json"]

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"services": []}', '{"services": {}}'])
    def test_unreadable_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "state.json").write_text(text)
        assert state.read(tmp_path / "state.json") is None

    def test_missing_is_none(self, tmp_path: Path) -> None:
        assert state.read(tmp_path / "state.json") is None

    def test_lock_is_held_once(self, tmp_path: Path) -> None:
        first = state.try_lock(tmp_path / "lock")
        assert first is not None
        assert state.try_lock(tmp_path / "lock") is None
        os.close(first)
        again = state.try_lock(tmp_path / "lock")
        assert again is not None
        os.close(again)


class TestProcess:
    def test_a_reused_pid_is_not_taken_for_ours(self) -> None:
        started = process.start_time(os.getpid())
        assert started is not None
        assert process.open_process(os.getpid(), started + 1) is None
        fd = process.open_process(os.getpid(), started)
        assert fd is not None
        os.close(fd)

    def test_gone_and_zombie_have_no_start_time(self) -> None:
        child = subprocess.Popen(["true"])
        deadline = time.monotonic() + 5
        while process.start_time(child.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        # Not waited for yet: a zombie.
        assert process.start_time(child.pid) is None
        child.wait()
        assert process.start_time(child.pid) is None

    def test_bound_child_dies_with_its_parent(self) -> None:
        code = (
            "import subprocess, sys; from devcloud import process; "
            "print(subprocess.Popen(process.argv_bound(['/bin/sleep', '60'])).pid, flush=True); "
            "sys.stdin.read()"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        fd = os.pidfd_open(pid)
        parent.kill()
        assert process.wait_gone(fd, 5)
        parent.communicate()
        os.close(fd)

    def test_child_whose_parent_is_gone_ends_at_once(self) -> None:
        # The parent named is not the real one: as if it had died before the child looked.
        argv = process.argv_bound(["/bin/echo", "ran"])
        argv[3] = "1"
        result = subprocess.run(argv, capture_output=True, check=False)
        assert (result.returncode, result.stdout) == (1, b"")


class TestCommands:
    def test_down_and_status_when_not_up(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["down", "--dir", str(tmp_path)]) == 0
        assert cli.main(["status", "--dir", str(tmp_path)]) == cli.EXIT_NOT_UP
        assert capsys.readouterr().out == "the cloud was not up\nnot up\n"

    def test_down_leaves_a_stranger_with_the_same_pid_alone(self, layout: Layout) -> None:
        layout.root.mkdir()
        with subprocess.Popen(["sleep", "60"]) as stranger:
            started = process.start_time(stranger.pid)
            assert started is not None
            state.write(layout.state_file, make_state(stranger.pid, started - 1))
            assert cloud.down(layout) is False
            assert session.running(layout) is None
            assert stranger.poll() is None
            stranger.send_signal(signal.SIGKILL)

    def test_up_refuses_while_another_up_is_under_way(self, layout: Layout, tmp_path: Path) -> None:
        lock = state.try_lock(layout.lock_file)
        assert lock is not None
        with pytest.raises(DevcloudError, match="under way"):
            cloud.up(layout, print)
        os.close(lock)

    def test_env_quotes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["env", "--dir", str(tmp_path / "a b")]) == cli.EXIT_NOT_UP
        assert f"OS_CLIENT_CONFIG_FILE='{tmp_path}/a b/clouds.yaml'" in capsys.readouterr().out

    def test_status_reports_a_service_that_ended(
        self, layout: Layout, capsys: pytest.CaptureFixture[str]
    ) -> None:
        layout.root.mkdir()
        started = process.start_time(os.getpid())
        assert started is not None
        current = make_state(os.getpid(), started)
        current.services["nova"].exit_code = -9
        state.write(layout.state_file, current)
        assert cli.main(["status", "--dir", str(layout.root)]) == cli.EXIT_NOT_UP
        assert "ended (-9)" in capsys.readouterr().out


NAMESPACE = json.loads(seed.NAMESPACE.read_text())


def make_plan(number: int = 1, servers: int = 300, hosts: int = 13) -> seed_plan.Plan:
    return seed_scenarios.make_plan(number, servers, hosts, NAMESPACE)


class TestSeed:
    def test_the_same_seed_makes_the_same_plan(self) -> None:
        assert make_plan(5) == make_plan(5)
        assert make_plan(5) != make_plan(6)

    @pytest.mark.parametrize("wanted", [13, 14, 20, 40])
    def test_there_are_as_many_as_asked_for(self, wanted: int) -> None:
        plan = make_plan(servers=200, hosts=wanted)
        assert (len(plan.servers), len(plan.hosts)) == (200, wanted)
        names = [host.name for host in plan.hosts]
        assert len({*names, *hosts.BY_NAME}) == wanted + len(hosts.HOSTS)
        assert {host.cell for host in plan.hosts} <= set(hosts.CELLS)

    @pytest.mark.parametrize(("servers", "wanted"), [(1, 13), (300, 12)])
    def test_too_few_are_refused(self, servers: int, wanted: int) -> None:
        with pytest.raises(DevcloudError, match="or more"):
            make_plan(servers=servers, hosts=wanted)

    def test_every_finding_of_the_table_is_planted(self) -> None:
        assert {row.id for row in make_plan().findings} == set(seed_plan.SEVERITIES)

    @pytest.mark.parametrize("wanted", [13, 40])
    def test_two_traits_are_as_rare_as_the_scenarios_want(self, wanted: int) -> None:
        plan = make_plan(hosts=wanted)
        enabled = [host.traits for host in hosts.HOSTS if host.name not in plan.disabled]
        enabled += [host.traits for host in plan.hosts if not host.disabled]
        found = Counter(trait for traits in enabled for trait in traits)
        assert (found[hosts.MODE_HARDWARE], found[hosts.MODE_NONE]) == (0, 1)

    def test_scenarios_do_not_depend_on_the_number_of_servers(self) -> None:
        small, large = make_plan(servers=150), make_plan(servers=400)
        assert large.servers[:100] == small.servers[:100]

    def test_ids_are_unique_and_look_random(self) -> None:
        plan = make_plan(servers=500)
        ids = [server.id for server in plan.servers]
        ids += [flavor.id for flavor in plan.flavors]
        ids += [image.id for image in plan.images]
        ids += [volume.id for server in plan.servers for volume in server.volumes]
        assert len(set(ids)) == len(ids)
        assert {uuid.UUID(each).version for each in ids} == {4}

    def test_no_row_is_there_twice_and_its_servers_exist(self) -> None:
        plan = make_plan(hosts=30)
        rows = [
            (row.id, row.resource_type, row.resource_name, row.image_id) for row in plan.findings
        ]
        assert not [row for row, times in Counter(rows).items() if times > 1 and row[1] != "server"]
        known = {server.id for server in plan.servers}
        lists = [row.server_ids for row in plan.findings]
        lists += [row.server_ids for row in plan.unchecked]
        for ids in (each for each in lists if each is not None):
            assert set(ids) <= known
            assert ids == sorted(ids) != []

    def test_rows_about_hosts_hold_all_that_show_them(self) -> None:
        plan = make_plan()
        rows = {(row.id, row.resource_name): row.server_ids for row in plan.findings}
        for host in plan.hosts:
            shown = sorted(
                server.id
                for server in plan.servers
                if server.host == host.name and server.source.startswith("host-")
            )
            assert rows.get(("host-identity-shown", host.name)) == (shown or None)
            assert rows.get(("serial-shared", host.name)) == (shown if len(shown) > 1 else None)

    def test_servers_fit_their_sources(self) -> None:
        for server in make_plan().servers:
            assert (server.image is None) == bool(server.volumes)
            assert server.volumes == [] or server.volumes[-1].root
            assert server.unchecked is None or server.source == seed_plan.UNKNOWN
            assert len(server.name) <= 255

    def test_two_volumes_are_listed_with_the_root_disk_last(self) -> None:
        two = [server.volumes for server in make_plan().servers if len(server.volumes) > 1]
        assert two
        for data, root in two:
            assert (data.root, root.root) == (False, True)
            assert data.id < root.id

    def test_the_words_are_those_of_the_project(self) -> None:
        assert (seed_plan.FLAVOR_KEY, seed_plan.IMAGE_KEY) == (policy.FLAVOR_KEY, policy.IMAGE_KEY)
        used = {trait for host in make_plan(hosts=30).hosts for trait in host.traits}
        assert used <= set(policy.TRAITS)
        assert {seed_plan.KEYS, seed_plan.MAY_SHOW, seed_plan.MAY_ASK} <= used
        sources = {server.source for server in make_plan().servers}
        assert sources == {source.value for source in policy.SerialSource}

    def test_manifest_is_json_with_the_ids_that_the_services_chose(self) -> None:
        plan = make_plan()
        projects = {name: f"project of {name}" for name in plan.projects}
        numbers = {each.name: str(index) for index, each in enumerate(plan.aggregates)}
        document = seed_plan.manifest(plan, projects, numbers)
        assert json.loads(json.dumps(document)) == document
        assert len(document["servers"]) == 300
        for row in document["findings"]:
            assert row["severity"] == seed_plan.SEVERITIES[row["id"]]
            if row["resource_type"] == "aggregate":
                assert row["resource_id"] == numbers[row["resource_name"]]

    def test_a_cloud_must_be_up(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["seed", "--dir", str(tmp_path)]) == 1
        assert "not up" in capsys.readouterr().err


def test_log_tail(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert log_tail(log, 2) == f"--- the end of {log}\n98\n99\n"
    assert "there is no" in log_tail(tmp_path / "y.log")


def test_state_is_plain_json(tmp_path: Path) -> None:
    state.write(tmp_path / "s", make_state(1, 2))
    assert json.loads((tmp_path / "s").read_text())["services"]["nova"]["pid"] == 1
