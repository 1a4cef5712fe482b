# SPDX-License-Identifier: Apache-2.0
"""The files of installers that are in no package registry, against recorded names.

Rules of precedence are checked with the parser of Nova's configuration files and with Ansible.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import environment
from tests.deploy.environment import DEPLOY, DRIVER, STOCK
from tests.repository import committed

RECORDED: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("recorded.toml").read_text()
)
OSA = DEPLOY / "openstack-ansible" / "user_nova_uniqserial.yml"
HELM = DEPLOY / "openstack-helm"
RHOSO = DEPLOY / "rhoso"
JUJU = DEPLOY / "juju" / "nova-compute.service.d" / "uniqserial.conf"


def load(file: Path) -> Any:
    """Return the document of a YAML file."""
    return yaml.safe_load(file.read_text())


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Return the dotted paths of all scalar values; items of a list have the path of the list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, prefix)
    else:
        yield prefix


def unknown(value: Any, record: str) -> set[str]:
    """Return the paths that the installer does not read."""
    names = RECORDED[record]["names"]
    return {
        path
        for path in paths(value)
        if not any(path == name or path.startswith(f"{name}.") for name in names)
    }


def test_openstack_helm_reads_all_values() -> None:
    assert not unknown(load(HELM / "values.yaml"), "openstack-helm")


def test_openstack_helm_selects_the_driver(tmp_path: Path) -> None:
    """The chart writes what is below ``conf.nova`` into nova.conf (helm-toolkit, to_oslo_conf)."""
    conf = load(HELM / "values.yaml")["conf"]
    file = tmp_path / "nova.conf"

    def resolved() -> dict[str, str | None]:
        parser = configparser.RawConfigParser()
        parser.read_dict(conf["nova"])
        with file.open("w") as stream:
            parser.write(stream)
        return environment.resolve(["--config-file", str(file)])

    assert resolved() == {"driver": DRIVER, "mode": "unique"}
    # Rolled back: --reuse-values keeps what --set does not replace.
    (path, value) = re.findall(r"--set ([\w.]+)=(\S+)", (HELM / "README.rst").read_text())[0]
    root, group, section, option = path.split(".")
    assert (root, group) == ("conf", "nova")
    conf["nova"][section][option] = value
    assert resolved() == {"driver": STOCK, "mode": "unique"}


def test_atmosphere_reads_all_variables() -> None:
    variables = load(HELM / "atmosphere.yml")
    overrides = variables.pop("atmosphere_image_overrides")
    assert not unknown(overrides, "atmosphere-images")
    (name,) = RECORDED["atmosphere-values"]["names"]
    values = variables.pop(name)
    assert not variables
    # Atmosphere selects the images itself.
    chart = load(HELM / "values.yaml")
    assert values["conf"] == chart["conf"]
    assert overrides == chart["images"]["tags"]


@pytest.mark.parametrize(
    ("file", "record"),
    [
        ("openstackversion.yaml", "rhoso-version"),
        ("nova-uniqserial-service.yaml", "rhoso-service"),
        ("nodeset-machine-id.yaml", "rhoso-nodeset"),
    ],
)
def test_the_operator_accepts_all_fields(file: str, record: str) -> None:
    assert not unknown({"spec": load(RHOSO / file)["spec"]}, record)


def test_rhoso_reads_the_driver_after_its_own_files(tmp_path: Path) -> None:
    config = load(RHOSO / "nova-uniqserial-config.yaml")
    (name,) = config["data"]
    # edpm-ansible copies *nova*.conf.
    assert re.fullmatch(r".*nova.*\.conf", name)
    stock = f"[DEFAULT]\ncompute_driver = {STOCK}\n[libvirt]\nsysinfo_serial = auto\n"
    written = {"01-nova.conf": stock, "02-nova-override.conf": "", name: config["data"][name]}
    for file, text in written.items():
        (tmp_path / file).write_text(text)
    found = environment.resolve(["--config-dir", str(tmp_path)])
    assert found == {"driver": DRIVER, "mode": "unique"}
    # Rolled back: the service "nova" does not have this ConfigMap.
    (tmp_path / name).unlink()
    found = environment.resolve(["--config-dir", str(tmp_path)])
    assert found == {"driver": STOCK, "mode": "auto"}
    references = load(RHOSO / "nova-uniqserial-service.yaml")["spec"]["dataSources"]
    assert {"configMapRef": {"name": config["metadata"]["name"]}} in references


def test_juju_overrides_the_file_of_the_charm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(JUJU)
    assert unit.sections() == ["Service"]
    files = [tmp_path / "nova.conf", tmp_path / "nova-compute.conf"]
    files[0].write_text("[libvirt]\nsysinfo_serial = auto\n")
    files[1].write_text(f"[DEFAULT]\ncompute_driver = {STOCK}\n")
    arguments = [part for file in files for part in ("--config-file", str(file))]
    with monkeypatch.context() as drop_in:
        for setting in re.findall(r"^Environment=(.*)$", JUJU.read_text(), re.M):
            drop_in.setenv(*setting.split("="))
        assert environment.resolve(arguments) == {"driver": DRIVER, "mode": "unique"}
    # Rolled back: without the drop-in.
    assert environment.resolve(arguments) == {"driver": STOCK, "mode": "auto"}


def test_openstack_ansible_selects_the_driver_except_for_ironic(tmp_path: Path) -> None:
    """As openstack-ansible.sh runs it: user_*.yml are extra variables."""
    hosts = {name: {"nova_virt_type": name} for name in ("kvm", "qemu", "ironic")}
    inventory = {"all": {"vars": {"ansible_connection": "local"}, "hosts": hosts}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    # Of the role's tasks/nova_post_install.yml.
    fact = {
        "name": "Set nova config facts",
        "ansible.builtin.set_fact": {"nova_compute_driver": STOCK},
    }
    fact["when"] = "'nova_compute_driver' not in hostvars[inventory_hostname]"
    copy = {
        "content": "{{ nova_compute_driver }}",
        "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}",
    }
    play = {"hosts": "all", "gather_facts": False, "tasks": [fact, {"ansible.builtin.copy": copy}]}
    play["vars"] = {"ansible_python_interpreter": sys.executable}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    command: tuple[str | Path, ...] = (Path(sys.executable).parent / "ansible-playbook",)
    command += ("-i", tmp_path / "hosts.yml", tmp_path / "play.yml")
    environ = {**os.environ, **environment.ansible(tmp_path)}

    def play_with(*options: str) -> dict[str, str]:
        done = subprocess.run((*command, *options), env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return {name: (tmp_path / name).read_text() for name in hosts}

    found = play_with("-e", f"@{OSA}")
    assert found == {"kvm": DRIVER, "qemu": DRIVER, "ironic": "ironic.IronicDriver"}
    # Rolled back: without the variable.
    assert play_with("--limit", "kvm")["kvm"] == STOCK
    assert not unknown(load(OSA), "openstack-ansible-os_nova")


def test_openstack_ansible_installs_from_git(tmp_path: Path) -> None:
    (requirement,) = load(OSA)["nova_user_pip_packages"]
    address, _, reference = requirement.partition("@")
    assert address.startswith("git+https://")
    # What the role python_venv_build builds wheels of (tasks/python_venv_install.yml).
    assert requirement.split("egg=")[-1] == "nova-uniqserial"
    repository = committed(tmp_path / "repository")
    built = environment.build(f"git+{repository.as_uri()}@{reference}", tmp_path / "wheel")
    assert built.name.startswith("nova_uniqserial-")


@pytest.mark.parametrize("way", ["rhoso", "openstack-helm"])
def test_a_containerfile_installs_into_the_folder_of_nova(
    way: str, wheel: Path, tmp_path: Path
) -> None:
    made = environment.make(tmp_path / "venv", pip=False)
    nova = environment.write_nova(made.site)
    text = (DEPLOY / way / "Containerfile").read_text()
    assert "COPY nova_uniqserial-*.whl /tmp/" in text
    (tmp_path / wheel.name).write_bytes(wheel.read_bytes())
    (run,) = re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.M)
    run = run.replace("/tmp/nova_", f"{shlex.quote(str(tmp_path))}/nova_")  # noqa: S108 - of the image
    run = run.replace("/var/lib/openstack", str(made.home))
    environ = {**os.environ, "PATH": f"{made.home}/bin:{os.environ['PATH']}"}
    subprocess.run(("sh", "-c", run), cwd="/", env=environ, check=True)
    made.assert_complete(nova, nova / "virt" / "uniqserial")
    assert not (tmp_path / wheel.name).exists()
