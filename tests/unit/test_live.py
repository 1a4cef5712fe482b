# SPDX-License-Identifier: Apache-2.0
"""Where live serial numbers come from."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osc_uniqserial.guests import libvirt
from osc_uniqserial.guests.files import facts, saved_domains
from osc_uniqserial.guests.libvirt import Libvirt
from osc_uniqserial.model.guest import HostSeen, Reading, Seen, Unread
from tests.unit.builders import DOMAIN_ID, ENTITY, nova_domain

OTHER = "21111111-1111-4111-8111-111111111111"


def serials(source: Iterable[Seen]) -> dict[str, str | None]:
    """Return what was read; nothing else may be there."""
    return {each.id: each.serial for each in source if isinstance(each, Reading)}


def unread(source: Iterable[Seen]) -> list[str]:
    return [each.reason for each in source if isinstance(each, Unread)]


# --- files ----------------------------------------------------------------------


def test_a_folder_whatever_its_files_are_called(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "x").write_bytes(nova_domain())
    (tmp_path / "y.txt").write_bytes(nova_domain(OTHER, None))
    assert serials(saved_domains(str(tmp_path))) == {DOMAIN_ID: DOMAIN_ID, OTHER: None}


def test_files_that_cannot_be_read_do_not_hide_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(nova_domain())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)

    opened = Path.open

    def denied(path: Path, mode: str) -> Any:
        if path.name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", denied)
    found = list(saved_domains(str(tmp_path)))
    assert [each.source for each in found if isinstance(each, Reading)] == [
        str(tmp_path / "a"),
        str(tmp_path / "c"),
    ]
    assert [each for each in found if isinstance(each, Unread)] == [
        Unread(str(tmp_path / "b"), "Permission denied")
    ]


def test_one_file_with_several_domains_some_of_them_broken(tmp_path: Path) -> None:
    file = tmp_path / "all"
    file.write_bytes(
        nova_domain() + b"<domain></domain>\n" + ENTITY + nova_domain() + nova_domain(OTHER, "x")
    )
    found = list(saved_domains(str(file)))
    assert [type(each) for each in found] == [Reading, Unread, Unread, Reading]
    assert unread(saved_domains(str(file))) == [
        "document 2: it has no UUID",
        "document 3: it has a DTD or entities, which are not read",
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(nova_domain() + nova_domain(OTHER, "x")))
    )
    assert serials(saved_domains("-")) == {DOMAIN_ID: DOMAIN_ID, OTHER: "x"}


def test_nothing_to_read(tmp_path: Path) -> None:
    assert unread(saved_domains(str(tmp_path / "none"))) == ["No such file or directory"]
    (tmp_path / "empty").touch()
    assert unread(saved_domains(str(tmp_path))) == ["it holds no domain"]
    assert unread(facts(str(tmp_path / "none"))) == ["No such file or directory"]


def test_facts(tmp_path: Path) -> None:
    file = tmp_path / "facts"
    lines = [
        {"uuid": DOMAIN_ID.upper(), "serial": " S ", "more": 1},
        {"uuid": OTHER, "serial": None},
        {"uuid": "x", "serial": "y"},
        {"uuid": DOMAIN_ID},
        {"uuid": OTHER},
        {"more": DOMAIN_ID},
        {},
        {"uuid": DOMAIN_ID, "serial": False},
        {"uuid": 5, "serial": "S"},
        {"uuid": [], "serial": "S"},
        {"uuid": "NA", "serial": "NA"},
        {"uuid": None, "serial": None},
        {"uuid": " Not Settable ", "serial": "x"},
        {"uuid": "", "serial": "x"},
    ]
    text = "\n".join(map(json.dumps, lines))
    file.write_text(f"{text}\n\nno json\n{{no json}}\n{{'no': 'json'}}\n{{\"x\"\n")
    assert serials(facts(str(file))) == {DOMAIN_ID: "S", OTHER: None}
    assert unread(facts(str(file))) == [
        "the UUID is none in lines 3, 9",
        "no uuid and serial in lines 4, 5, 6 and 1 more",
        "the serial number is no text in line 8",
        "the UUID is no text in line 10",
        "the UUID is NA: the agent ran without root in line 11",
        "the UUID is null: the machine was unreachable, or it runs Windows in line 12",
        "the UUID is a text that stands for none in lines 13, 14",
        "no JSON in line 19",
    ]


def test_a_long_list_of_what_is_wrong_is_not_told_in_full(tmp_path: Path) -> None:
    """A big file that is something else makes few rows, and takes little memory."""
    file = tmp_path / "other"
    file.write_bytes(b"<a></domain>\n" * 10 + b"x" * (5 << 20))
    told = unread(saved_domains(str(file)))
    assert len(told) == 3 + 1
    assert told[-1] == "7 more documents could not be read"


# --- libvirt, whose module a test writes -----------------------------------------


class Guest:
    """A domain of a connection."""

    def __init__(self, active: bytes, persistent: bytes | None = None) -> None:
        self._active, self._persistent = active, persistent or active

    def XMLDesc(self, flags: int) -> str:
        return (self._persistent if flags else self._active).decode()

    def name(self) -> str:
        return "instance-1"

    def ID(self) -> int:
        return 1


class LibvirtError(Exception):
    """What the module raises."""

    def get_error_code(self) -> int:
        return 0


class NoDomain(LibvirtError):
    """It is not there."""

    def get_error_code(self) -> int:
        return 42


class Connection:
    """A host that answers."""

    def __init__(self, name: str, *guests: Guest) -> None:
        self._name, self._guests = name, guests
        self.closed = False

    def getHostname(self) -> str:
        return self._name

    def listAllDomains(self, flags: int) -> list[Guest]:
        assert flags == 0
        return list(self._guests)

    def lookupByUUIDString(self, text: str) -> Guest:
        for guest in self._guests:
            if f"<uuid>{text}</uuid>" in guest.XMLDesc(0):
                return guest
        raise NoDomain

    def getCapabilities(self) -> str:
        return f"<capabilities><host><uuid>{OTHER.upper()}</uuid></host></capabilities>"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What libvirt connects to, by URI."""
    made: dict[str, Any] = {}
    asked: list[str] = []
    made["asked"] = asked
    module: Any = types.ModuleType("libvirt")
    module.libvirtError = LibvirtError
    module.VIR_DOMAIN_XML_INACTIVE = 2
    module.VIR_ERR_NO_DOMAIN = 42
    module.registerErrorHandler = lambda _handler, _context: None

    def open_(uri: str) -> Any:
        asked.append(uri)
        found = made[uri.partition("?")[0]]
        if isinstance(found, threading.Event):
            found.wait(30)
            raise module.libvirtError("too late")
        if isinstance(found, str):
            raise module.libvirtError(found)
        return found

    module.openReadOnly = open_
    monkeypatch.setitem(sys.modules, "libvirt", module)
    return made


def test_the_guests_of_a_host(connections: dict[str, Any]) -> None:
    connections["a"] = Connection(
        "a.example",
        Guest(nova_domain()),
        Guest(nova_domain(OTHER, OTHER), nova_domain(OTHER, "new")),
    )
    one, two, host = Libvirt({"a": None}, 5, {"a.example": "a"})
    assert isinstance(one, Reading)
    assert (one.id, one.serial, one.host, one.generated) == (
        DOMAIN_ID,
        DOMAIN_ID,
        "a",
        "2026-11-22 10:11:12",
    )
    assert isinstance(two, Reading)
    assert (two.serial, two.persistent) == (OTHER, "new")
    assert host == HostSeen("a", "a", (OTHER,))
    assert connections["a"].closed


def test_a_definition_with_options_of_qemu(connections: dict[str, Any]) -> None:
    options = (
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:arg value='-smbios'/><qemu:arg value='type=1,serial=OTHER'/></qemu:commandline>"
    )
    connections["a"] = Connection("a", Guest(nova_domain(), nova_domain(after=options)))
    one, _host = Libvirt({"a": None}, 5, {"a": "a"})
    assert isinstance(one, Reading)
    assert (one.serial, one.persistent) == (DOMAIN_ID, "OTHER")


def test_a_host_whose_guests_were_not_all_read_is_not_whole(connections: dict[str, Any]) -> None:
    connections["a"] = Connection("a", Guest(nova_domain()), Guest(b"<domain/>"))
    found = list(Libvirt({"a": "a"}, 5))
    assert [type(each) for each in found] == [Reading, Unread]


def test_a_host_that_hangs_keeps_nobody_waiting(connections: dict[str, Any]) -> None:
    hangs = threading.Event()
    connections.update(
        {"a": Connection("a", Guest(nova_domain())), "b": hangs, "c": "Permission denied"}
    )
    found = list(Libvirt({"b": "b", "a": "a", "c": "c"}, 0.3))
    hangs.set()
    assert {type(each) for each in found} == {Reading, HostSeen, Unread}
    told = {each.host: each.reason for each in found if isinstance(each, Unread)}
    assert told == {"b": "no answer within 0.3 s", "c": "Permission denied"}


def test_more_hosts_than_are_read_at_once(
    connections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt, "HOSTS_AT_ONCE", 2)
    hangs = threading.Event()
    names = [f"h{number}" for number in range(9)]
    connections.update({name: Connection(name) for name in names})
    connections["h0"] = hangs
    found = list(Libvirt({name: name for name in names}, 0.3))
    hangs.set()
    assert sorted(str(each.host) for each in found if not isinstance(each, Reading)) == names


def test_one_guest(connections: dict[str, Any]) -> None:
    connections["a"] = Connection("a", Guest(nova_domain()), Guest(nova_domain(OTHER, OTHER)))
    assert serials(Libvirt({"a": "a"}, 5, only=OTHER)) == {OTHER: OTHER}
    there = list(Libvirt({"a": "a"}, 5, only="31111111-1111-4111-8111-111111111111"))
    assert [type(each) for each in there] == [HostSeen]


def test_ssh_asks_nobody_for_a_password(connections: dict[str, Any]) -> None:
    uri = "qemu+ssh://a/system"
    connections[uri] = Connection("a")
    list(Libvirt({uri: "a"}, 5))
    list(Libvirt({f"{uri}?keyfile=x": "a"}, 5))
    list(Libvirt({f"{uri}?no_tty=0": "a"}, 5))
    assert connections["asked"] == [
        f"{uri}?no_tty=1",
        f"{uri}?keyfile=x&no_tty=1",
        f"{uri}?no_tty=0",
    ]


def running(word: str) -> list[str]:
    """Return the processes that have a word on their command line."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if word in line and "python" not in line]


#: What ssh may be: a process, one with a process below it, and one that ignores SIGTERM.
SSH = ["exec sleep {0}", "sleep {0}; true", "trap '' TERM; sleep {0}; sleep {0}; true"]


def waiting(script: str) -> subprocess.Popen[bytes]:
    """Start a process as libvirt starts ssh."""
    return subprocess.Popen(["sh", "-c", script])


@pytest.mark.parametrize("script", SSH)
@pytest.mark.parametrize("stopped", [False, True])
def test_no_ssh_is_left(connections: dict[str, Any], script: str, stopped: bool) -> None:
    """Neither after a timeout nor when nobody asks for more."""
    number = f"300.{os.getpid()}"
    ended = threading.Semaphore(0)

    def connect() -> None:
        waiting(script.format(number)).wait()
        ended.release()
        raise LibvirtError("End of file while reading data")

    module: Any = sys.modules["libvirt"]
    answers = {"qemu:///a": lambda: Connection("a")}
    module.openReadOnly = lambda uri: answers.get(uri, connect)()
    uris = {"qemu:///a": "a", "qemu+tcp://b/system": "b", "qemu+tcp://c/system": "c"}
    if stopped:
        source = iter(Libvirt(uris, 30))
        assert isinstance(next(source), HostSeen)
        while len(running(number)) < 2:
            pass
        del source
    else:
        found = list(Libvirt(uris, 0.5))
        assert unread(found) == ["no answer within 0.5 s"] * 2
    assert running(number) == []
    assert ended.acquire(timeout=5)
    assert ended.acquire(timeout=5)


INTERRUPTED = """
import signal, subprocess, sys, types
# What starts the tests may ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
module = types.ModuleType("libvirt")
module.registerErrorHandler = lambda *_args: None
module.openReadOnly = lambda _uri: subprocess.run(["sh", "-c", "sleep {0}; true"])
sys.modules["libvirt"] = module
from osc_uniqserial.guests.libvirt import Libvirt
print("ready", flush=True)
list(Libvirt({{"a": "a", "b": "b"}}, 60))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_ssh_is_left_after_an_interruption(number: signal.Signals) -> None:
    seconds = f"301.{os.getpid()}"
    command = [sys.executable, "-c", INTERRUPTED.format(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        while len(running(seconds)) < 4:
            assert run.poll() is None
        run.send_signal(number)
        run.communicate(timeout=10)
    assert run.returncode == (-number if number is signal.SIGINT else 128 + number)
    assert running(seconds) == []


def test_without_libvirt_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    assert "osc-uniqserial[libvirt]" in unread(Libvirt({"a": None}, 5))[0]


def test_hosts_in_uris() -> None:
    hosts = ["a", "b.example.org", "-oProxyCommand=x", "c d", "e;f", "g/../h", "i%2f"]
    uris, odd = libvirt.expand(["qemu+ssh://{host}/system", "qemu:///system"], hosts)
    assert uris == {
        "qemu+ssh://a/system": "a",
        "qemu+ssh://b.example.org/system": "b.example.org",
        "qemu:///system": None,
    }
    assert odd == tuple(hosts[2:])


@pytest.mark.parametrize("source", [saved_domains, facts])
def test_an_empty_source_is_not_silent(
    source: Callable[[str], Iterator[Seen]], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path in (empty, tmp_path / "folder" if source is saved_domains else empty):
        if path.name == "folder":
            path.mkdir()
        (unread,) = source(str(path))
        assert isinstance(unread, Unread)
        assert unread.reason.startswith("it holds no ")


@pytest.mark.parametrize("source", [saved_domains, facts])
def test_standard_input_that_is_closed(
    source: Callable[[str], Iterator[Seen]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    (unread,) = source("-")
    assert unread == Unread("standard input", "It is closed")


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(nova_domain())
    (tmp_path / "b").symlink_to(tmp_path / "gone")
    good, bad = saved_domains(str(tmp_path))
    assert isinstance(good, Reading)
    assert bad == Unread(str(tmp_path / "b"), "No such file or directory")


@pytest.mark.parametrize(
    "told",
    [
        *("NA", "Not Specified", "n/a", None, "Unknown", "null", "0", "Default string", "NONE"),
        *("<BAD INDEX>", "To Be Filled By O.E.M.", "System Serial Number", " Not Available "),
    ],
)
def test_what_agents_say_of_a_guest_without_a_serial_number(
    told: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({"uuid": DOMAIN_ID, "serial": told}))
    (found,) = facts(str(path))
    assert isinstance(found, Reading)
    assert found.serial is None


@pytest.mark.parametrize("told", ["", " "])
def test_an_empty_text_is_what_the_guest_reads(told: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({"uuid": DOMAIN_ID, "serial": told}))
    (found,) = facts(str(path))
    assert isinstance(found, Reading)
    assert found.serial == ""
