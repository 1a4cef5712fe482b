# SPDX-License-Identifier: Apache-2.0
"""The dependency rule: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import osc_uniqserial

PACKAGE = Path(osc_uniqserial.__file__).parent

#: Modules of this package that each module may import.
ALLOWED: dict[str, set[str]] = {
    "policy": set(),
    "facts": {"policy"},
    "report": {"facts", "policy"},
    "records": {"facts", "policy"},
    "metadefs": set(),
    "status": {"facts", "metadefs", "policy"},
    "text": set(),
    "rest": set(),
    "background": set(),
    "pages": {"background", "facts", "policy", "records", "rest"},
    "inventory": {"background", "facts", "policy", "records", "rest"},
    "survey": {
        "background",
        "facts",
        "hosts",
        "inventory",
        "pages",
        "policy",
        "probe",
        "records",
        "rest",
    },
    "destinations": {"facts", "policy"},
    "reports": {"destinations", "facts", "policy", "report"},
    "checks": set(),
    "findings": {"checks", "facts", "policy"},
    "audit": {
        "checks",
        "destinations",
        "facts",
        "findings",
        "metadefs",
        "policy",
        "report",
        "status",
    },
    "domains": set(),
    "guests": set(),
    "live": {"domains", "guests"},
    "verify": {"checks", "facts", "findings", "guests", "policy", "report"},
    "hosts": {"facts", "policy", "rest"},
    "probe": {"facts", "policy", "rest"},
    "cloud": {"background", "facts", "hosts", "policy", "probe", "records", "rest"},
    "moves": {"facts", "hosts", "policy", "rest"},
    "catalog": {"metadefs", "rest"},
    "hooks": {"policy", "text"},
}
#: What is imported inside of functions: only when a cloud is asked.
LATER: dict[str, set[str]] = {"hooks": {"rest"}}
#: Modules that do nothing but think: standard library only, and what is named.
PURE: dict[str, set[str]] = {
    "policy": set(),
    "facts": set(),
    "report": set(),
    "records": {"msgspec"},
    "destinations": set(),
    "reports": set(),
    "audit": {"jsonschema"},
    "checks": set(),
    "findings": set(),
    "guests": set(),
    "verify": set(),
    "domains": {"defusedxml", "defusedxml.expatreader"},
    "text": set(),
    "metadefs": {"jsonschema"},
    "status": {"jsonschema"},
}


def loaded_by(module: str, first: str = "") -> set[str]:
    """Return what the import of a module loads, in a process of its own."""
    code = (
        f"import sys{first}\nbefore = set(sys.modules)\n"
        f"import osc_uniqserial.{module}\nprint(*(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ALLOWED)
def test_modules_import_only_what_is_below_them(module: str) -> None:
    ours = {
        name.removeprefix("osc_uniqserial.")
        for name in loaded_by(module)
        if name.startswith("osc_uniqserial.")
    }
    assert ours - {module, "namespaces"} <= ALLOWED[module]
    anywhere = {
        name.split(".")[1]
        for name in imports_of(PACKAGE / f"{module}.py")
        if name.startswith("osc_uniqserial.")
    }
    assert anywhere <= ALLOWED[module] | LATER.get(module, set())


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_need_the_standard_library_only(module: str) -> None:
    first = "".join(f", {name}" for name in PURE[module])
    foreign = {
        name
        for name in loaded_by(module, first)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "osc_uniqserial"}
    }
    assert foreign == set()


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_only_rest_imports_the_sdk() -> None:
    importers = {
        path.name
        for path in PACKAGE.glob("**/*.py")
        for name in imports_of(path)
        if name.split(".")[0] == "keystoneauth1"
        # For types alone, cloud.py and catalog.py name the connection.
        or name in ("openstack", "openstack.utils", "openstack.exceptions")
    }
    assert importers == {"rest.py"}


def test_pure_modules_read_no_clock_and_log_nothing() -> None:
    for module in PURE:
        assert not imports_of(PACKAGE / f"{module}.py") & {"time", "datetime", "logging", "os"}


def test_policy_is_valid_on_the_python_of_old_novas() -> None:
    """Nova 26 (Zed) still supports Python 3.8; the driver will run this text there."""
    ast.parse((PACKAGE / "policy.py").read_text(), feature_version=(3, 8))


def test_the_driver_has_the_rules_of_the_client() -> None:
    """One text, by a link: a copy could drift."""
    linked = PACKAGE.parent / "nova_driver" / "nova_uniqserial" / "policy.py"
    assert linked.is_symlink()
    assert linked.resolve() == (PACKAGE / "policy.py").resolve()


def test_every_namespace_file_is_packaged() -> None:
    """The package holds links: a new file in metadefs needs one."""
    metadefs = PACKAGE.parent / "metadefs"
    assert metadefs.is_dir()
    packaged = {path.name: path.resolve() for path in (PACKAGE / "namespaces").glob("*.json")}
    assert packaged == {path.name: path.resolve() for path in metadefs.iterdir()}


def test_commands_import_little() -> None:
    """The shell imports the modules of all commands at every start, whatever it is to do."""
    code = (
        "import sys, openstackclient.shell, openstackclient.command\n"
        "import osc_uniqserial.commands.show, osc_uniqserial.commands.metadef\n"
        "import osc_uniqserial.commands.status, osc_uniqserial.commands.hosts\n"
        "import osc_uniqserial.commands.servers, osc_uniqserial.commands.audit\n"
        "import osc_uniqserial.commands.verify\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "jsonschema" not in loaded
    ours = {name for name in loaded if name.startswith("osc_uniqserial.")}
    light = {"commands", "commands.show", "commands.metadef", "commands.host_modes"}
    light |= {
        "commands.audit",
        "commands.findings",
        "commands.live_sources",
        "commands.reporting",
        "commands.servers",
        "commands.verify",
        "commands.hosts",
        "commands.status",
        "commands.output",
        "policy",
        "text",
    }
    assert ours == {f"osc_uniqserial.{name}" for name in light}
