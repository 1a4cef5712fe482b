# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: mark a flavor, an image and an aggregate; see what servers get."""

import json
import os
import shlex
import subprocess
import textwrap
import time
from pathlib import Path

from devcloud import cloud
from devcloud.environment import fingerprint, make_venv, pip_install, renew
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.terminal import Progress, exports

_SERVER_TIMEOUT = 180.0

#: Server, flavor, image, host (None: the scheduler's choice), and what to look at.
_SERVERS = (
    ("db-1", "licensed", "debian", None, "Asked for, and steered to a host that does it."),
    ("db-2", "hopeful", "debian", "keys-1", "Asked for and honoured, but nothing steers a move."),
    ("db-3", "hopeful", "debian", "auto-1", "The same flavor on a stock host: it is ignored."),
    ("app-1", "small", "appliance", "keys-1", "Here the image asks."),
    ("web-1", "small", "debian", "unique-1", "Nobody asks, but the host is in mode unique."),
    ("web-2", "small", "debian", "os-1", "Nobody asks: the guest shows its host's identity."),
    ("web-3", "small", "debian", "keys-1", "Nobody asks, on a host that would honour it."),
    ("db-4", "hopeful", "debian", "undeclared-1", "A host that says nothing: never a guess."),
)


def _bin(layout: Layout) -> Path:
    """The folder of the demonstration's own ``openstack``."""
    return layout.root / "client" / "bin"


def client_help(layout: Layout) -> str:
    """The lines for a shell in which the cloud and the client are to be used."""
    return "\n".join(
        (
            f"export PATH={shlex.quote(str(_bin(layout)))}:$PATH",
            exports(cloud.client_environment(layout)),
            "openstack unique serial --help",
            "# python3 -m devcloud down",
        )
    )


class Demo:
    """Runs ``openstack`` for all to see."""

    def __init__(self, layout: Layout) -> None:
        self._openstack = _bin(layout) / "openstack"
        self._environment = {**os.environ, **cloud.client_environment(layout), "COLUMNS": "100"}

    def say(self, text: str) -> None:
        """Print a paragraph."""
        print(f"\n{textwrap.fill(text, 88, initial_indent='# ', subsequent_indent='# ')}")

    def run(self, *args: str, expect: int = 0, quiet: bool = False) -> str:
        """Run a command, show it with what it prints, and return its standard output."""
        if not quiet:
            print(f"\n$ {shlex.join(('openstack', *args))}", flush=True)
        run = subprocess.run(
            [self._openstack, *args],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if not quiet or run.returncode != expect:
            print((run.stdout + run.stderr).rstrip(), flush=True)
        if run.returncode != expect:
            raise DevcloudError(f"openstack exited {run.returncode}, not {expect}")
        return run.stdout


def run_demo(layout: Layout, progress: Progress, *, fresh: bool) -> None:
    """Run the main job on the cloud, which must be up.

    :param fresh: the cloud is empty, so that plain names are free
    """
    _ensure_client(layout, progress)
    demo = Demo(layout)
    suffix = "" if fresh else time.strftime("-%H%M%S")
    disk = layout.run / "demo-disk"
    disk.write_bytes(b"\0" * 512)
    size = ("--ram", "64", "--disk", "1")

    demo.say("Horizon and other tools learn the keys from Glance's metadata definitions.")
    demo.run("unique", "serial", "metadef", "install")

    demo.say("Mark a flavor: its servers get a serial number of their own, on hosts that can.")
    demo.run(
        *("flavor", "create", *size, "--unique-serial", "--unique-serial-hosts", "supported"),
        *(f"licensed{suffix}", "-c", "name", "-c", "properties"),
    )
    demo.run("flavor", "create", *size, "--unique-serial", f"hopeful{suffix}", quiet=True)
    demo.run("flavor", "create", *size, f"small{suffix}", quiet=True)

    demo.say("Mark an image.")
    for image in ("debian", "appliance"):
        demo.run("image", "create", "--file", str(disk), "--public", f"{image}{suffix}", quiet=True)
    demo.run("image", "set", "--unique-serial", f"appliance{suffix}")

    demo.say("Mark a host aggregate: on its hosts a request for a unique serial is met.")
    demo.run("aggregate", "create", "--unique-serial", f"licence-rack{suffix}", "-c", "properties")

    demo.say("Mistakes are refused before anything is written.")
    for mistake in ("hw:unique_serial=banana", "hw_unique_serial=true"):
        demo.run("flavor", "set", "--property", mistake, f"small{suffix}", expect=1)

    demo.say(
        "Boot servers on hosts with different [libvirt]sysinfo_serial. Each host declares its"
        " mode as a trait; keys-1 reports what a host with the Nova part of this project reports."
    )
    for server, flavor, image, host, _ in _SERVERS:
        print(f"{server}{suffix}: flavor {flavor}, image {image}, host {host or '(any)'}")
        demo.run(
            *("--os-compute-api-version", "2.74", "server", "create", "--nic", "none"),
            *("--flavor", f"{flavor}{suffix}", "--image", f"{image}{suffix}"),
            *(("--host", host) if host else ()),
            f"{server}{suffix}",
            quiet=True,
        )
    _wait_active(demo, {f"{server}{suffix}" for server, *_ in _SERVERS})

    columns: tuple[str, ...] = ()  # all of them for the first server
    for server, _, _, _, lesson in _SERVERS:
        demo.say(lesson)
        demo.run("unique", "serial", "show", f"{server}{suffix}", *columns)
        columns = ("-c", "serial_source", "-c", "survives_move", "-c", "why")

    demo.say("A server that exists asks itself: no resize, no rebuild.")
    demo.run("server", "set", "--unique-serial", f"web-3{suffix}")
    demo.run("unique", "serial", "show", f"web-3{suffix}", *columns)

    demo.say("The same for many servers: here those that may lose their serial on a move.")
    demo.run("unique", "serial", "list", "--at-risk", *_columns("name host serial_source"))
    demo.say("And for the compute hosts.")
    demo.run(
        *("unique", "serial", "host", "list"),
        *_columns("host host_mode host_honours meets_unique servers"),
    )
    demo.say("What is wrong in this cloud? Exit code 3: there are findings.")
    demo.run(
        *("unique", "serial", "audit", *_columns("severity id resource_name servers")), expect=3
    )


def _columns(names: str) -> tuple[str, ...]:
    return tuple(word for name in names.split() for word in ("-c", name))


def _wait_active(demo: Demo, wanted: set[str]) -> None:
    deadline = time.monotonic() + _SERVER_TIMEOUT
    while True:
        listed = json.loads(demo.run("server", "list", "-n", "-f", "json", quiet=True))
        states = {row["Name"]: row["Status"] for row in listed if row["Name"] in wanted}
        if set(states.values()) == {"ACTIVE"} and set(states) == wanted:
            return
        failed = sorted(name for name, status in states.items() if status == "ERROR")
        if failed:
            raise DevcloudError(f"these servers did not boot: {', '.join(failed)}")
        if time.monotonic() > deadline:
            raise DevcloudError(f"the servers did not become active: {states}")
        time.sleep(1)


def _ensure_client(layout: Layout, progress: Progress) -> None:
    """Install this project, as it is here, with OpenStackClient."""
    home = layout.root / "client"
    files = (SOURCE_ROOT / name for name in ("setup.cfg", "pyproject.toml", "setup.py"))

    def install() -> None:
        progress("installing OpenStackClient and this plugin")
        make_venv(layout, home)
        pip_install(layout, home, "--editable", SOURCE_ROOT)

    renew(home, "devcloud", fingerprint(str(SOURCE_ROOT), *files), install)
