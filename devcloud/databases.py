# SPDX-License-Identifier: Apache-2.0
"""Synced, empty databases: made once for an environment, then copied at every start."""

import base64
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from devcloud.children import Children
from devcloud.config import CATALOG, endpoint, render, sqlite_url
from devcloud.layout import DATABASES, SERVICES, SOURCE_ROOT, Layout
from devcloud.terminal import Progress

#: What templates hold where a cloud's own ports and paths belong.
PLACEHOLDERS: Mapping[str, str] = {
    **{service: f"http://{service}.invalid{CATALOG[service][2]}" for service in CATALOG},
    **{name: f"sqlite:///{name}.invalid" for name in DATABASES if name.startswith("nova_cell")},
}

#: Database -> the service whose configuration its builder reads.
_BUILT: Mapping[str, str] = {
    "keystone": "keystone",
    "nova_cell1": "nova",
    "nova_api": "nova",
    "cinder": "cinder",
    "neutron": "neutron",
    "glance": "glance",
    "placement": "placement",
}
_COPIES: Mapping[str, str] = {"nova_cell0": "nova_cell1", "nova_cell2": "nova_cell1"}


def template_dir(layout: Layout) -> Path:
    """Where the templates for this code and these installed packages lie."""
    digest = hashlib.sha256()
    for path in layout.venv.glob("lib/python*/site-packages/*.dist-info"):
        digest.update(path.name.encode() + b"\0")
    for name in ("build_databases.py", "config.py", "databases.py", "hosts.py", "layout.py"):
        digest.update((SOURCE_ROOT / "devcloud" / name).read_bytes())
    return layout.venv / "devcloud-templates" / digest.hexdigest()[:16]


def ensure_templates(layout: Layout, progress: Progress) -> Path:
    """The folder of the templates, made if it does not exist.

    Call it with the environment's lock held.
    """
    target = template_dir(layout)
    if target.is_dir():
        return target
    progress("making the databases (once for these packages)")
    target.parent.mkdir(exist_ok=True)
    # Left by a killed process. The environment's lock is held: no process is writing.
    for unfinished in target.parent.glob(".new-*"):
        shutil.rmtree(unfinished)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
        building = Layout(Path(scratch), layout.venv)
        _build(layout, building)
        # Last and in one step: a folder with the right name is complete.
        building.databases.rename(target)
    return target


def _build(layout: Layout, building: Layout) -> None:
    building.databases.mkdir(parents=True)
    write_files(render(building, dict.fromkeys(SERVICES, 1)))
    write_keys(building)
    layout.logs.mkdir(parents=True, exist_ok=True)
    with Children() as children:
        for name, service in _BUILT.items():
            children.start(
                name,
                [
                    *(layout.python, "-m", "devcloud.build_databases"),
                    *(name, building.config_file(service)),
                ],
                layout.log(f"database-{name}"),
                env=service_environment(building),
                cwd=building.run,
            )
        children.succeed("making the databases failed")
    for copy, source in _COPIES.items():
        shutil.copy(building.database(source), building.database(copy))
    for name in DATABASES:
        # Readers and the writer do not wait for each other then; the file remembers it. Not
        # the cell that may be taken down: it must be one file, whose damage shows at once.
        if name != "nova_cell2":
            with closing(sqlite3.connect(building.database(name))) as db:
                db.execute("PRAGMA journal_mode = WAL")


def install(template: Path, layout: Layout, ports: Mapping[str, int]) -> None:
    """Copy the templates into a cloud and write its ports and paths into them."""
    layout.databases.mkdir(parents=True)
    for name in DATABASES:
        shutil.copy(template / f"{name}.sqlite", layout.database(name))
    with closing(sqlite3.connect(layout.database("keystone"))) as db, db:
        for service in SERVICES:
            db.execute(
                "UPDATE endpoint SET url = ? WHERE url = ?",
                (endpoint(service, ports[service]), PLACEHOLDERS[service]),
            )
    with closing(sqlite3.connect(layout.database("nova_api"))) as db, db:
        for name, placeholder in PLACEHOLDERS.items():
            if name.startswith("nova_cell"):
                db.execute(
                    "UPDATE cell_mappings SET database_connection = ? "
                    "WHERE database_connection = ?",
                    (sqlite_url(layout.database(name)), placeholder),
                )


def write_files(files: Mapping[Path, str]) -> None:
    """Write configuration files."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def link_driver(layout: Layout) -> None:
    """Let the fake driver import the code of nova_driver, and nothing else find it.

    A build leaves metadata beside that code: with its folder on the path Nova would load the
    validator too, and be no stock Nova any more.
    """
    layout.lib.mkdir()
    (layout.lib / "nova_uniqserial").symlink_to(SOURCE_ROOT / "nova_driver" / "nova_uniqserial")


def write_keys(layout: Layout) -> None:
    """New Fernet keys: a staged one and a primary one, as keystone-manage makes them."""
    for name in ("fernet-keys", "credential-keys"):
        folder = layout.etc / "keystone" / name
        folder.mkdir(mode=0o700)
        for index in ("0", "1"):
            (folder / index).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def service_environment(layout: Layout) -> dict[str, str]:
    """The environment of the services' processes: nothing of the caller's OpenStack settings."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "PYTHON"))}
    env["PYTHONPATH"] = f"{SOURCE_ROOT}{os.pathsep}{layout.lib}"
    env["PATH"] = f"{layout.venv / 'bin'}:{env.get('PATH', '/usr/bin:/bin')}"
    # Proxies are for the world outside; everything here is on loopback.
    for key in [key for key in env if key.lower().endswith("_proxy")]:
        del env[key]
    return env
