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
from tests.deploy.environment import DEPLOY, DRIVER, STOCK

FOLDER = DEPLOY / "kolla"
BIN = Path(sys.executable).parent
KOLLA_ANSIBLE = Path(sys.prefix) / "share" / "kolla-ansible"
ROLE = KOLLA_ANSIBLE / "ansible" / "roles" / "nova-cell"
#: Tasks of the role that write configuration.
TASKS = (
    "Ensuring config directories exist",
    "Copying over config.json files for services",
    "Copying over nova.conf",
    "Copying over Nova compute provider config",
)


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
def built(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder nova of kolla-build, with its Dockerfiles."""
    work = tmp_path_factory.mktemp("kolla")
    text = (FOLDER / "kolla-build.conf").read_text()
    location = configparser.ConfigParser()
    location.read_string(text)
    (section,) = location.sections()
    config = work / "kolla-build.conf"
    config.write_text(text.replace(location[section]["location"], str(sdist)))
    command: tuple[str | Path, ...] = (BIN / "kolla-build", "--template-only", "--config-file")
    command += (config, "--work-dir", work, "^nova-compute$", "^nova-api$")
    subprocess.run(command, check=True, capture_output=True)
    return work / "docker" / "nova"


def install_line(dockerfile: Path) -> str:
    """Return the line with which a Dockerfile installs plugins."""
    (line,) = re.findall(r"^ *(python3 -m pip .* /plugins/\*); \\$", dockerfile.read_text(), re.M)
    return str(line)


def test_the_images_of_nova_api_and_nova_compute_get_the_plugin(
    built: Path, sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for image in ("nova-api", "nova-compute"):
        assert "/nova-base:" in (built / image / "Dockerfile").read_text().splitlines()[0]
    conf = cfg.ConfigOpts()
    config = str(built.parents[1] / "kolla-build.conf")
    kolla_config.parse(conf, ["--config-file", config, "--nobuildkit"], prog="kolla-build")
    engine = Engine()
    for module in (kolla_worker, tasks):
        monkeypatch.setattr(module.engine, "getEngineClient", lambda _: engine)
    worker = kolla_worker.KollaWorker(conf)
    worker.docker_build_paths = [str(built / "nova-base")]
    worker.build_image_list()
    (image,) = worker.images
    # The others come from the network, as Nova itself does.
    image.plugins = [plugin for plugin in image.plugins if plugin["type"] == "local"]
    assert [plugin["source"] for plugin in image.plugins] == [str(sdist)]
    image.source = {}
    image.status = kolla_worker.Status.MATCHED
    tasks.BuildTask(conf, image, None).builder(image)
    assert engine.built == [str(built / "nova-base")]

    with tarfile.open(built / "nova-base" / "plugins-archive") as archive:
        # Python 3.11.2, which Debian 12 has, knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)  # noqa: S202 - filtered
    made = environment.make(tmp_path / "venv", pip=True)
    nova = environment.write_nova(made.site)
    line = install_line(built / "nova-base" / "Dockerfile")
    assert line == install_line(built / "nova-compute" / "Dockerfile")
    (tmp_path / "upper-constraints.txt").touch()
    line = line.replace("/plugins", str(tmp_path / "plugins"))
    line = line.replace("/requirements", str(tmp_path))
    environ = {**os.environ, "PATH": f"{made.home}/bin:{os.environ['PATH']}"}
    subprocess.run(("bash", "-c", line), env=environ, check=True, capture_output=True)
    made.assert_complete(nova, nova / "virt" / "uniqserial")


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the role nova-cell writes on a host with everything, with the files of this folder.

    The folder rolled-back has what it writes later, without config/nova/nova-compute.conf.
    """
    work = tmp_path_factory.mktemp("kolla-ansible")
    role = work / "roles" / "nova-cell"
    (role / "tasks").mkdir(parents=True)
    (role / "defaults").symlink_to(ROLE / "defaults")
    (role / "templates").symlink_to(ROLE / "templates")
    (role / "vars").symlink_to(ROLE / "vars")
    (work / "group_vars").symlink_to(KOLLA_ANSIBLE / "ansible" / "group_vars")
    shutil.copy(KOLLA_ANSIBLE / "ansible" / "inventory" / "all-in-one", work)
    written: list[dict[str, Any]] = yaml.safe_load((ROLE / "tasks" / "config.yml").read_text())
    chosen = [task for task in written if task["name"] in TASKS]
    assert [task["name"] for task in chosen] == list(TASKS)
    service = "nova_cell_services['nova-compute']"
    content = f"{{{{ {{'image': {service}.image, 'volumes': {service}.volumes}} | to_json }}}}"
    copy = {"content": content, "dest": "{{ node_config_directory }}/container.json"}
    chosen.append({"name": "Container", "ansible.builtin.copy": copy})
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump(chosen))
    play = {"hosts": "localhost", "roles": ["nova-cell"]}
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
    container = json.loads((configured / "container.json").read_text())
    assert container["image"].endswith("-uniqserial")
    assert container["image"].rpartition(":")[0].endswith("/nova-compute")
    assert "/etc/machine-id:/etc/machine-id:ro" in container["volumes"]
    # The role's own volumes stay.
    assert "/lib/modules:/lib/modules:ro" in container["volumes"]


def test_a_stock_host_declares_its_mode(configured: Path) -> None:
    folder = configured / "nova-compute"
    provider = yaml.safe_load((folder / "provider_config.yaml").read_text())
    (only,) = provider["providers"]
    assert only["traits"]["additional"] == ["CUSTOM_UNIQUE_SERIAL", "CUSTOM_SYSINFO_SERIAL_UNIQUE"]
    files = json.loads((folder / "config.json").read_text())["config_files"]
    assert "/etc/nova/provider_config/provider_config.yaml" in {file["dest"] for file in files}


def test_the_image_of_nova_compute_has_no_machine_id(built: Path) -> None:
    """The reason for the mount."""
    assert "rm -f /etc/machine-id" in (built / "nova-compute" / "Dockerfile").read_text()
