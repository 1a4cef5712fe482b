# SPDX-License-Identifier: Apache-2.0
"""Nova's database and message queue: Debian's servers, with data of their own.

Both run as root in the supervisor's namespaces and listen on loopback or on a socket file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from devcloud import databases, environment
from devcloud.children import Children, listens, wait_until
from devcloud.environment import run_logged
from devcloud.terminal import Progress
from tests.e2e.stack import machine, nova_config
from tests.e2e.stack.layout import Layout

READY_TIMEOUT = 120.0


def ensure_template(layout: Layout, progress: Progress) -> Path:
    """MariaDB's data with Nova's tables and cells: made once for these packages, then copied."""
    with environment.locked(layout.cloud):
        target = layout.venv / "e2e-templates" / _template_fingerprint(layout)
        if target.is_dir():
            return target
        progress("making Nova's databases (once for these packages)")
        target.parent.mkdir(exist_ok=True)
        for unfinished in target.parent.iterdir():
            shutil.rmtree(unfinished)
        # Short: the server's socket is in it.
        with tempfile.TemporaryDirectory(prefix="e2e-db-") as scratch:
            building = Layout(Path(scratch), layout.venv)
            _build_template(building, layout.log("database-nova"))
            new = target.with_name(".new")
            shutil.copytree(building.mysql, new)
            # Last and in one step: a folder with the right name is complete.
            new.rename(target)
    return target


def _template_fingerprint(layout: Layout) -> str:
    digest = hashlib.sha256()
    digest.update(
        subprocess.run(
            ["mariadbd", "--version"], capture_output=True, check=True, env=machine.ENVIRONMENT
        ).stdout
    )
    for path in layout.venv.glob("lib/python*/site-packages/nova-*.dist-info"):
        digest.update(path.name.encode())
    for name in ("brokers.py", "build_nova.py", "nova_config.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:16]


def _build_template(building: Layout, log: Path) -> None:
    building.logs.mkdir()
    failure = "making Nova's databases failed"
    make_data(building, log)
    with Children() as children:
        server = start_mariadb(children, building)
        await_mariadb(children, building)
        nova_config.write_for_databases(building)
        run_logged(
            [building.python, "-m", "tests.e2e.stack.build_nova", building.nova_conf],
            log,
            failure,
            databases.service_environment(building.cloud),
        )
        # In order, so that the copies need no recovery.
        server.terminate()
        server.wait(timeout=60)


def make_data(layout: Layout, log: Path) -> None:
    """Make MariaDB's data without any database.

    :param log: gets what the program prints
    """
    run_logged(
        [
            _program("mariadb-install-db"),
            *("--no-defaults", "--user=root", f"--datadir={layout.mysql}"),
            *("--skip-test-db", "--auth-root-authentication-method=normal"),
        ],
        log,
        "making MariaDB's data failed",
        machine.ENVIRONMENT,
    )


def start_mariadb(children: Children, layout: Layout) -> subprocess.Popen[bytes]:
    """Start the server on the data in the stack's folder."""
    return children.start(
        "mariadb",
        [
            _program("mariadbd"),
            "--no-defaults",
            "--user=root",
            f"--datadir={layout.mysql}",
            f"--socket={layout.mysql_socket}",
            f"--pid-file={layout.root / 'mysql.pid'}",
            # Nothing but the socket file, which only root can reach.
            "--skip-networking",
            "--skip-grant-tables",
            "--max-connections=500",
            # The data is worth nothing after a power failure: do not wait for the disk.
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--innodb-use-native-aio=0",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=128M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
            "--skip-log-bin",
        ],
        layout.log("mariadb"),
        bound=False,
        env=machine.ENVIRONMENT,
        cwd=layout.root,
    )


def await_mariadb(children: Children, layout: Layout) -> None:
    """Wait until the server takes connections."""
    _await(children, layout.mysql_socket, "mariadb", layout)


def start_rabbitmq(children: Children, layout: Layout, port: int) -> None:
    """Start the broker, its distribution and its port mapper, all on 127.0.0.1."""
    layout.rabbit.mkdir(parents=True)
    (layout.rabbit / "rabbitmq.conf").write_text(
        "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n"
    )
    (layout.rabbit / "enabled_plugins").write_text("[].\n")
    data = os.fspath(layout.rabbit)
    children.start(
        "rabbitmq",
        # Not the one in /usr/sbin, which changes to another user.
        ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        layout.log("rabbitmq"),
        bound=False,
        cwd=layout.root,
        env={
            **machine.ENVIRONMENT,
            "HOME": data,
            "RABBITMQ_NODENAME": "e2e@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": f"{data}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{data}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": data,
            "RABBITMQ_LOG_BASE": data,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{data}/pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{data}/generated",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{data}/feature_flags",
            # A port mapper of its own: the system's, if there is one, is left alone.
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1}"
                # Idle schedulers are not to burn what few cores there are.
                " +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        },
    )


def await_rabbitmq(children: Children, layout: Layout, port: int) -> None:
    """Wait until the broker takes connections."""
    _await(children, ("127.0.0.1", port), "rabbitmq", layout)


def _await(children: Children, address: Path | tuple[str, int], name: str, layout: Layout) -> None:
    wait_until(
        lambda: listens(address),
        f"{name} does not answer",
        layout.log(name),
        timeout=READY_TIMEOUT,
        check=children.check,
    )


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program(name: str) -> str:
    return shutil.which(name, path=machine.PATH) or name


def copy_template(template: Path, layout: Layout) -> None:
    """Give the stack databases of its own."""
    shutil.copytree(template, layout.mysql)
