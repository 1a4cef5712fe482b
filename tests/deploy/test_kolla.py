# SPDX-License-Identifier: Apache-2.0
"""deploy/kolla with Kolla and with the role of Kolla-Ansible, both from PyPI.

Only the container engine is replaced.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kolla.common import config as kolla_config
from kolla.image import kolla_worker, tasks
from oslo_config import cfg

from tests.deploy import environment
from tests.deploy.environment import DASHBOARD, DEPLOY, DRIVER, ROOT, STOCK

FOLDER = DEPLOY / "kolla"
BIN = Path(sys.executable).parent
KOLLA_ANSIBLE = Path(sys.prefix) / "share" / "kolla-ansible"
ROLES = KOLLA_ANSIBLE / "ansible" / "roles"
#: Tasks that write configuration, by role.
TASKS = {
    "nova-cell": (
        "Ensuring config directories exist",
        "Copying over config.json files for services",
        "Copying over nova.conf",
        "Copying over Nova compute provider config",
    ),
    "horizon": ("Ensuring config directories exist", "Copying over custom-settings.py"),
}
#: The variable with the services of a role, and the service whose container is looked at.
SERVICES = {
    "nova-cell": ("nova_cell_services", "nova-compute"),
    "horizon": ("horizon_services", "horizon"),
}


class Engine:
    """A container engine that records which folders it was to build."""

    def __init__(self) -> None:
        self.images = self
        self.built: list[str] = []

    def build(self, *, path: str, **_: Any) -> list[dict[str, str]]:
        """Build no image."""
        self.built.append(path)
        return []


@pytest.fixture(scope="module")
def sdists(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdists by the names that the README gives them."""
    made = {
        name: environment.build_sdist(source, tmp_path_factory.mktemp(name))
        for name, source in (("osc_uniqserial", ROOT), ("uniqserial_dashboard", DASHBOARD))
    }
    return {f"{name}.tar.gz": path for name, path in {**made, "nova_uniqserial": sdist}.items()}


@pytest.fixture(scope="module")
def built(sdists: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder docker of kolla-build, with the Dockerfiles."""
    work = tmp_path_factory.mktemp("kolla")
    locations = configparser.ConfigParser()
    locations.read(FOLDER / "kolla-build.conf")
    for section in locations.sections():
        name = Path(locations[section]["location"]).name
        locations[section]["location"] = str(sdists[name])
    config = work / "kolla-build.conf"
    with config.open("w") as file:
        locations.write(file)
    command: tuple[str | Path, ...] = (BIN / "kolla-build", "--template-only", "--config-file")
    command += (config, "--template-override", FOLDER / "horizon-override.j2")
    command += ("--work-dir", work, "^nova-compute$", "^nova-api$", "^horizon$")
    subprocess.run(command, check=True, capture_output=True)
    return work / "docker"


def install_line(dockerfile: Path) -> str:
    """Return the line with which a Dockerfile installs plugins."""
    (line,) = re.findall(r"^ *(python3 -m pip .* /plugins/\*); \\$", dockerfile.read_text(), re.M)
    return str(line)


def add_plugins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let kolla-build make the archive of plugins of an image, and return their sources.

    :param folder: the folder with its Dockerfile
    """
    conf = cfg.ConfigOpts()
    config = next(parent for parent in folder.parents if (parent / "kolla-build.conf").exists())
    arguments = ["--config-file", str(config / "kolla-build.conf"), "--nobuildkit"]
    kolla_config.parse(conf, arguments, prog="kolla-build")
    engine = Engine()
    for module in (kolla_worker, tasks):
        monkeypatch.setattr(module.engine, "getEngineClient", lambda _: engine)
    worker = kolla_worker.KollaWorker(conf)
    worker.docker_build_paths = [str(folder)]
    worker.build_image_list()
    (image,) = worker.images
    # The others come from the network, as the service itself does.
    image.plugins = [plugin for plugin in image.plugins if plugin["type"] == "local"]
    image.source = {}
    image.status = kolla_worker.Status.MATCHED
    tasks.BuildTask(conf, image, None).builder(image)
    assert engine.built == [str(folder)]
    return [plugin["source"] for plugin in image.plugins]


def install(folder: Path, work: Path, python: Path, **environ: str) -> None:
    """Install the archive of plugins as the Dockerfile does."""
    with tarfile.open(folder / "plugins-archive") as archive:
        # Python 3.11.2, which Debian 12 has, knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(work)  # noqa: S202 - filtered
    (work / "upper-constraints.txt").touch()
    line = install_line(folder / "Dockerfile")
    line = line.replace("/plugins", str(work / "plugins")).replace("/requirements", str(work))
    run(line, python, **environ)


def run(line: str, python: Path, **environ: str) -> None:
    """Run a line of a Dockerfile."""
    path = f"{python.parent}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, **environ}
    subprocess.run(("bash", "-c", line), env=variables, check=True, capture_output=True)


def test_the_images_of_nova_api_and_nova_compute_get_the_plugin(
    built: Path, sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = built / "nova" / "nova-base"
    for image in ("nova-api", "nova-compute"):
        text = (folder.with_name(image) / "Dockerfile").read_text()
        assert "/nova-base:" in text.splitlines()[0]
    assert add_plugins(folder, monkeypatch) == [str(sdist)]
    made = environment.make(tmp_path / "venv", pip=True)
    nova = environment.write_nova(made.site)
    compute = folder.with_name("nova-compute") / "Dockerfile"
    assert install_line(folder / "Dockerfile") == install_line(compute)
    install(folder, tmp_path, made.python)
    made.assert_complete(nova, nova / "virt" / "uniqserial")


def test_the_image_of_horizon_gets_the_plugin_and_enables_it(
    built: Path,
    sdists: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = built / "horizon"
    expected = [
        str(sdists[f"{name}.tar.gz"]) for name in ("osc_uniqserial", "uniqserial_dashboard")
    ]
    assert sorted(add_plugins(folder, monkeypatch)) == sorted(expected)
    made = environment.make(tmp_path / "venv", pip=True)
    # The requirements are those of the client, which tox -e package installs.
    install(folder, tmp_path, made.python, PIP_NO_DEPS="1")
    dashboard = made.site / "openstack_dashboard"
    for name in ("enabled", "local_settings.d"):
        (dashboard / "local" / name).mkdir(parents=True)
    (dashboard / "__init__.py").touch()
    dockerfile = (folder / "Dockerfile").read_text().replace("\\\n", "")
    (line,) = re.findall(r"^RUN (plugin=.*)$", dockerfile, re.M)
    run(line, made.python)
    found = {str(path.relative_to(dashboard)) for path in dashboard.glob("local/*/*")}
    assert found == {
        "local/enabled/_1065_project_unique_serial.py",
        "local/enabled/_2165_admin_unique_serial.py",
        "local/local_settings.d/_90_unique_serial.py",
    }


def write_role(name: str, folder: Path) -> None:
    """Write a role with some tasks of a role of Kolla-Ansible, and one about its container."""
    role = ROLES / name
    (folder / "tasks").mkdir(parents=True)
    for part in ("defaults", "templates", "vars"):
        if (role / part).exists():
            (folder / part).symlink_to(role / part)
    written: list[dict[str, Any]] = yaml.safe_load((role / "tasks" / "config.yml").read_text())
    chosen = [task for task in written if task["name"] in TASKS[name]]
    assert [task["name"] for task in chosen] == list(TASKS[name])
    services, service = SERVICES[name]
    about = f"{services}['{service}']"
    content = f"{{{{ {{'image': {about}.image, 'volumes': {about}.volumes}} | to_json }}}}"
    copy = {"content": content, "dest": f"{{{{ node_config_directory }}}}/{service}/container.json"}
    chosen.append({"name": "Container", "ansible.builtin.copy": copy})
    (folder / "tasks" / "main.yml").write_text(yaml.safe_dump(chosen))


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the roles write on a host with everything, with the files of this folder.

    The folder rolled-back has what it writes later, without config/nova/nova-compute.conf.
    """
    work = tmp_path_factory.mktemp("kolla-ansible")
    for role in TASKS:
        write_role(role, work / "roles" / role)
    (work / "group_vars").symlink_to(KOLLA_ANSIBLE / "ansible" / "group_vars")
    shutil.copy(KOLLA_ANSIBLE / "ansible" / "inventory" / "all-in-one", work)
    play = {"hosts": "localhost", "roles": list(TASKS)}
    again = {**play, "vars": {"way": "rolled-back"}}
    (work / "play.yml").write_text(yaml.safe_dump([play, again]))
    shutil.copytree(FOLDER / "config", work / "rolled-back-config")
    (work / "rolled-back-config" / "nova" / "nova-compute.conf").unlink()
    (work / "installed-config").symlink_to(FOLDER / "config")
    cloud = {
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "api_interface_address": "127.0.0.1",
        "config_owner_group": str(os.getgid()),
        "config_owner_user": str(os.getuid()),
        "kolla_base_distro": "rocky",
        "kolla_internal_vip_address": "127.0.0.9",
        # Otherwise computed with a collection that is not in PyPI.
        "kolla_same_external_internal_vip": True,
        "migration_interface_address": "127.0.0.1",
        "network_interface": "lo",
        "node_config_directory": f"{work}/{{{{ way | default('installed') }}}}",
        "node_custom_config": f"{work}/{{{{ way | default('installed') }}}}-config",
        "nova_console": "none",
    }
    (work / "cloud.json").write_text(json.dumps(cloud))
    variables = (
        KOLLA_ANSIBLE / "etc_examples" / "kolla" / "passwords.yml",
        work / "cloud.json",
        FOLDER / "globals.yml",
        FOLDER / "stock-hosts.yml",
    )
    command: tuple[str | Path, ...] = (BIN / "ansible-playbook", "-i", work / "all-in-one")
    command += (work / "play.yml", *(part for file in variables for part in ("-e", f"@{file}")))
    ansible = KOLLA_ANSIBLE / "ansible"
    environ = {
        **environment.ansible(work),
        "ANSIBLE_ACTION_PLUGINS": str(ansible / "action_plugins"),
        "ANSIBLE_FILTER_PLUGINS": str(ansible / "filter_plugins"),
        "ANSIBLE_LIBRARY": str(ansible / "library"),
        "ANSIBLE_ROLES_PATH": str(work / "roles"),
    }
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return work / "installed"


def nova_conf(folder: Path) -> configparser.RawConfigParser:
    """Read the nova.conf of a service."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(folder / "nova.conf")
    return parser


def test_nova_compute_gets_the_driver_and_no_other_service_does(configured: Path) -> None:
    services = {file.parent.name: nova_conf(file.parent) for file in configured.glob("*/nova.conf")}
    drivers = {name: conf["DEFAULT"]["compute_driver"] for name, conf in services.items()}
    assert drivers == {"nova-compute": DRIVER, "nova-conductor": STOCK}
    assert services["nova-compute"]["libvirt"]["sysinfo_serial"] == "unique"


def test_the_rollback_leaves_nothing_of_the_driver(configured: Path) -> None:
    """It removes config/nova/nova-compute.conf, and deploys."""
    compute = configured.with_name("rolled-back") / "nova-compute"
    conf = nova_conf(compute)
    assert conf["DEFAULT"]["compute_driver"] == STOCK
    assert not conf.has_option("libvirt", "sysinfo_serial")
    assert "uniqserial" not in (compute / "nova.conf").read_text()


def test_nova_compute_runs_the_new_image_with_the_machine_id_of_the_host(configured: Path) -> None:
    container = json.loads((configured / "nova-compute" / "container.json").read_text())
    assert container["image"].endswith("-uniqserial")
    assert container["image"].rpartition(":")[0].endswith("/nova-compute")
    assert "/etc/machine-id:/etc/machine-id:ro" in container["volumes"]
    # The role's own volumes stay.
    assert "/lib/modules:/lib/modules:ro" in container["volumes"]


def test_horizon_reads_the_nightly_audit(configured: Path) -> None:
    container = json.loads((configured / "horizon" / "container.json").read_text())
    assert container["image"].endswith("-uniqserial")
    settings: dict[str, str] = {}
    exec((configured / "horizon" / "_9999-custom-settings.py").read_text(), settings)  # noqa: S102
    for name in ("UNIQUE_SERIAL_REPORT", "UNIQUE_SERIAL_REPORT_HTML"):
        folder = Path(settings[name]).parent
        assert f"{folder}:{folder}:ro" in container["volumes"]
    # The role's own volumes stay.
    assert "kolla_logs:/var/log/kolla/" in container["volumes"]


def test_a_stock_host_declares_its_mode(configured: Path) -> None:
    folder = configured / "nova-compute"
    provider = yaml.safe_load((folder / "provider_config.yaml").read_text())
    (only,) = provider["providers"]
    assert only["traits"]["additional"] == ["CUSTOM_UNIQUE_SERIAL", "CUSTOM_SYSINFO_SERIAL_UNIQUE"]
    files = json.loads((folder / "config.json").read_text())["config_files"]
    assert "/etc/nova/provider_config/provider_config.yaml" in {file["dest"] for file in files}


def test_the_image_of_nova_compute_has_no_machine_id(built: Path) -> None:
    """The reason for the mount."""
    dockerfile = built / "nova" / "nova-compute" / "Dockerfile"
    assert "rm -f /etc/machine-id" in dockerfile.read_text()
