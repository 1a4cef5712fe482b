# SPDX-License-Identifier: Apache-2.0
"""Reports in files: the files, and what is in each format."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import itertools
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import threading
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml, TestCase
from prometheus_client.parser import text_string_to_metric_families

from osc_uniqserial.checks import ALL, AUDIT, VERIFY
from osc_uniqserial.checks.check import Check
from osc_uniqserial.commands.findings import COLUMNS
from osc_uniqserial.effective.counts import HostCounts
from osc_uniqserial.model.finding import Covered, Finding, Remedy, Severity
from osc_uniqserial.policy import HostMode, SerialSource
from osc_uniqserial.reports import FORMATS, html, junit, prometheus
from osc_uniqserial.reports import json as json_report
from osc_uniqserial.reports.baseline import Assessed, Entry, Standing
from osc_uniqserial.reports.files import Target
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import safe_text
from tests.unit.builders import servers

# --- a run in memory ------------------------------------------------------------

BEGAN = datetime.datetime(2026, 11, 23, 8, 9, 10, tzinfo=datetime.UTC)
LOW = frozenset({Severity.HIGH, Severity.MEDIUM, Severity.LOW})
ACCEPTED = Standing.ACCEPTED
#: None of it may come through as it is, in any format.
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of svg": "</svg></title></desc></style><h1>x",
    "attribute": "\"'><img src=x onerror=alert(1)>",
    "comment": "<!-- ]]> -->",
    "template": "{{7*7}}{% raw %}${7*7}",
    "reference": "&lt;script&gt;&#x202e;",
    "right to left": "a\u202eb\u2066\u200fc",
    "escape": "\x1b[2J\x1b]0;x\x07",
    "nul": "a\x00b",
    "surrogate": "a\ud800b\udfff",
    "no character": "a\ufffe\uffffb",
    "long": "x" * 255,
    "address": "javascript:alert(1)//http://evil.example/url(x)",
}
TEXT = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(
    [*HOSTILE.values()]
)


def command(text: str, more: str = "") -> Remedy:
    """Return a remedy that is a command, with more words behind it."""
    return Remedy(f"{text}{more}", (text,))


def found(
    id_: str,
    standing: Standing | None = None,
    *,
    name: str | None = "gold",
    evidence: str = "seen",
    remedy: Remedy | None = None,
    count: int | None = None,
    reason: str = "known",
) -> Assessed:
    held = None if count is None else servers(count)
    severity = ALL[id_].severity
    finding = Finding(id_, severity, "flavor", name, name, evidence, remedy, servers=held)
    entry = None
    if standing not in (None, Standing.NEW):
        entry = Entry(id_, "flavor", name, reason, name, BEGAN.date())
    return Assessed(finding, standing, entry)


def host(name: str | None, mode: HostMode | None = None, **sources: int) -> HostCounts:
    """Return a host; ``instance_uuid`` and so on tell how many servers are of which source."""
    counts = {SerialSource[source.upper()]: count for source, count in sources.items()}
    return HostCounts(name, mode, None, sources=Counter(counts))


HOSTS = [
    host("own", HostMode.UNIQUE, instance_uuid=3),
    host("shares", HostMode.AUTO, host_auto=2, host_os=1, instance_uuid=1),
    host("shows", HostMode.OS, host_os=1),
    host("none", HostMode.NONE, absent=4),
    host("odd", None, unknown=1),
    host("empty", HostMode.HARDWARE),
    host(None, None, absent=2, unknown=1),
]


def run(*assessed: Assessed, **changes: Any) -> Run:
    """Return a run of audit that found these."""
    assessed = tuple(sorted(assessed, key=lambda each: [*Severity].index(each.finding.severity)))
    about = Run(
        command="audit",
        version="1.0",
        options="--long",
        began=BEGAN,
        seconds=12.3456,
        cloud="prod",
        region="one",
        auth_url="keystone.test",
        user="admin (u)",
        project="admin (p)",
        scope="all projects",
        covered=Covered("14 of 16 servers checked", 16, 14, 0),
        checks=AUDIT,
        fatal=LOW,
        assessed=assessed,
        hosts=HOSTS,
    )
    if any(each.standing for each in assessed):
        about = dataclasses.replace(about, baseline="baseline.yaml")
    return dataclasses.replace(about, **changes)


def run_of(text: str, **changes: Any) -> Run:
    """Return a run with a text in every place that it can come to from outside."""
    remedy = command(f"openstack flavor set {shlex.quote(text)}", f", and more of {text}")
    more: dict[str, Any] = {
        "name": text,
        "evidence": f"seen {text}",
        "remedy": remedy,
        "reason": f"why {text}",
    }
    return run(
        *(found(id_, standing, **more) for standing in Standing for id_ in ("no-valid-host",)),
        found("not-steered", Standing.ACCEPTED, **more),
        found("hosts-unreadable", Standing.NEW, **more),
        found("images-unreadable", Standing.ACCEPTED, **more),
        version=f"1 {text}",
        options=f"--x {text}",
        cloud=f"c {text}",
        region=f"r {text}",
        auth_url=f"a {text}",
        user=f"u {text}",
        project=f"p {text}",
        scope=f"s {text}",
        covered=Covered(f"c {text}", 16, 14, 0),
        baseline=f"b {text}",
        unmet=[Entry("not-steered", "flavor", f"r {text}", "x", f"n {text}")],
        hosts=[
            host(f"a {text}", None, host_os=2),
            host(f"b {text}", None, unknown=2),
            host(f"c {text}"),
        ],
        **changes,
    )


# --- files ----------------------------------------------------------------------


def test_a_file_is_there_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report"
    target = Target(str(path))
    assert [*tmp_path.iterdir()] == []
    target.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert [*tmp_path.iterdir()] == [path]


def test_what_was_there_stays_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old, and longer")
    target = Target(str(path))
    assert path.read_bytes() == b"old, and longer"
    target.write(b"new")
    assert path.read_bytes() == b"new"


def test_to_find_out_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old")
    before = path.stat()
    Target(str(path))
    assert [*tmp_path.iterdir()] == [path]
    assert path.stat() == before
    assert path.read_bytes() == b"old"


def test_a_file_that_is_read_meanwhile_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old")
    target = Target(str(path))
    with path.open("rb") as reader:
        target.write(b"new, and longer")
        assert reader.read() == b"old"


def test_a_failure_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old")
    target = Target(str(path))

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        target.write(b"new")
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_two_at_a_time_do_not_mix(tmp_path: Path) -> None:
    one, other = (Target(str(tmp_path / "report")) for _ in range(2))
    one.write(b"one")
    other.write(b"other")
    assert (tmp_path / "report").read_bytes() == b"other"
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    goal, link = tmp_path / "elsewhere" / "report", tmp_path / "link"
    if there:
        goal.write_bytes(b"old")
    link.symlink_to(Path("elsewhere", "report"))
    target = Target(str(link))
    target.write(b"new")
    assert link.is_symlink()
    assert goal.read_bytes() == b"new"
    assert [*goal.parent.iterdir()] == [goal]


def test_a_pipe_is_written_once_and_not_ended_before(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    reader.start()
    target = Target(str(path))
    reader.join(0.2)
    assert read == []
    target.write(b"new")
    reader.join(10)
    assert read == [b"new"]


def test_standard_output_that_is_a_pipe() -> None:
    script = (
        "from osc_uniqserial.reports.files import Target\nTarget('/dev/stdout').write(b'new')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert (run.stdout, run.stderr) == (b"new", b"")


def test_a_file_stays_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old")
    given: list[tuple[int, int]] = []
    monkeypatch.setattr("os.chown", lambda _path, user, group: given.append((user, group)))
    Target(str(path)).write(b"new")
    assert given == [(path.stat().st_uid, path.stat().st_gid)]


def test_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    Target(str(path)).write(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_stays(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old")
    path.chmod(mode)
    Target(str(path)).write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_the_mode_of_a_new_file_follows_the_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        Target(str(tmp_path / "report")).write(b"new")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o666 & ~mask


def test_a_draft_is_for_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts: list[tuple[str, int]] = []

    def look(_number: int) -> None:
        drafts.extend((each.name, each.stat().st_mode) for each in tmp_path.iterdir())

    monkeypatch.setattr("os.fsync", look)
    Target(str(tmp_path / "x.prom")).write(b"new")
    ((name, mode),) = drafts
    assert stat.S_IMODE(mode) == 0o600
    # The node exporter reads *.prom.
    assert not name.endswith(".prom")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("folder", IsADirectoryError),
        ("folder/", IsADirectoryError),
        ("link", IsADirectoryError),
        ("missing/report", FileNotFoundError),
        ("file/report", NotADirectoryError),
        ("/proc/report", OSError),
        ("", IsADirectoryError),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, error: type[OSError]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error) as caught:
        Target(path)
    assert caught.value.strerror
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_regular_file_is_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        target = Target(str(pipe))
        target.write(b"new")
        assert os.read(reader, 99) == b"new"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [*tmp_path.iterdir()] == [pipe]


def test_the_null_device_stays() -> None:
    Target("/dev/null").write(b"new")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


# --- HTML -----------------------------------------------------------------------

_VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclasses.dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.children)

    def walk(self) -> Iterator[Element]:
        yield self
        for each in self.children:
            if isinstance(each, Element):
                yield from each.walk()

    def all(self, tag: str) -> list[Element]:
        return [each for each in self.walk() if each.tag == tag]


class Page(HTMLParser):
    """What a browser would make of it; elements that are not closed fail."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.source = content.decode()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(self.source)
        self.close()
        assert self._open == [self.root]
        self.elements = [*self.root.walk()]
        self.tags = [each.tag for each in self.elements]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            last = self._open[-1].children[-1]
            assert isinstance(last, Element)
            self._open.append(last)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self._open[-1].children.append(Element(tag, {key: said or "" for key, said in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[Element]:
        return self.root.all(tag)

    def one(self, id_: str) -> Element:
        (element,) = [each for each in self.elements if each.attributes.get("id") == id_]
        return element

    def section(self, id_: str) -> Element:
        (element,) = [
            each for each in self.all("section") if each.attributes["aria-labelledby"] == id_
        ]
        return element

    @property
    def tiles(self) -> dict[str, str]:
        (tiles,) = [each for each in self.all("ul") if each.attributes.get("class") == "tiles"]
        return {
            item.text.removeprefix(item.all("b")[0].text).strip(): item.all("b")[0].text
            for item in tiles.all("li")
        }

    @property
    def groups(self) -> dict[str, Element]:
        """Findings, by ID of what they are; the last one of each."""
        return {each.all("code")[0].text: each for each in self.all("article")}


def page(of: Run) -> Page:
    return Page(html.render(of))


def test_a_page_says_what_its_numbers_are() -> None:
    by_policy = "what servers should have, by policy"
    assert by_policy not in page(run()).root.text
    assert "Only some servers" not in page(run()).root.text
    assert by_policy in page(run(command="verify", checks=VERIFY)).root.text
    both = page(run(covered=Covered("", 16, 14, 0, (3, 9)), checks=ALL))
    assert by_policy in both.root.text
    assert both.tiles["guests compared"] == "3 of 9"


PAGES = {
    "nothing at all": run(hosts=[], covered=Covered("", 0, 0, 0), cloud="", region="", auth_url=""),
    "clean": run(),
    "all": run(*(found(id_, count=2) for id_ in ALL), checks=ALL),
    "all, assessed": run(
        *(found(id_, standing) for id_ in ALL for standing in Standing), checks=ALL
    ),
    "hostile": run_of("".join(HOSTILE.values())),
    "only accepted": run(found("not-steered", Standing.ACCEPTED)),
}
each_page = pytest.mark.parametrize("made", PAGES.values(), ids=PAGES)


@each_page
def test_the_page_loads_nothing_and_runs_nothing(made: Run) -> None:
    read = page(made)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "img", "use"} & {
        *read.tags
    }
    for each in read.elements:
        for key, said in each.attributes.items():
            assert not key.startswith("on")
            assert key not in ("src", "srcset", "style", "action", "data", "xlink:href", "xmlns")
            assert "//" not in said
            assert key != "href" or said.startswith("#")
    (style,) = read.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = [
        each
        for each in read.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"


@each_page
def test_the_page_can_be_found_through(made: Run) -> None:
    read = page(made)
    assert [read.tags.count(tag) for tag in ("html", "main", "h1")] == [1, 1, 1]
    assert read.all("html")[0].attributes["lang"] == "en"
    levels = [int(tag[1]) for tag in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    ids = [each.attributes["id"] for each in read.elements if "id" in each.attributes]
    assert len(ids) == len({*ids})
    for each in read.elements:
        if "href" in each.attributes:
            assert each.attributes["href"].removeprefix("#") in ids
        for label in each.attributes.get("aria-labelledby", "").split():
            assert read.one(label).text.strip()
        assert each.attributes.get("aria-label", "x").strip()
    for name in ("section", "article", "nav"):
        for each in read.all(name):
            assert {"aria-label", "aria-labelledby"} & {*each.attributes}


@each_page
def test_pictures_and_tables_have_words(made: Run) -> None:
    read = page(made)
    assert len(read.all("svg")) == (3 if made.hosts else 2)
    for picture in read.all("svg"):
        assert picture.attributes["role"] == "img"
        assert {"aria-label", "aria-labelledby"} & {*picture.attributes}
    for table in read.all("table"):
        assert all(each.attributes["scope"] in ("col", "row") for each in table.all("th"))
        columns = len(table.all("thead")[0].all("th"))
        for row in table.all("tbody")[0].all("tr"):
            assert len(row.all("th") + row.all("td")) == columns
    for each in read.elements:
        if each.attributes.get("tabindex") == "0":
            assert each.attributes["role"] == "region"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_format_escapes_what_terminals_interpret(kind: str, text: str) -> None:
    written = importlib.import_module(f"osc_uniqserial.reports.{kind}").render(run_of(text))
    kinds = {unicodedata.category(char) for char in written.decode() if char != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_names_make_no_elements(text: str) -> None:
    harmless, hostile = page(run_of("name")), page(run_of(text))
    assert hostile.tags == harmless.tags
    assert [{*each.attributes} for each in hostile.elements] == [
        {*each.attributes} for each in harmless.elements
    ]
    shown = safe_text(text if len(text) < 80 else text[:70])
    for id_ in ("hosts", "findings", "accepted", "coverage", "about"):
        assert shown in hostile.section(id_).text
    assert shown in hostile.all("h1")[0].text


@pytest.mark.parametrize("text", [*HOSTILE.values(), "a\r\nb\tc\u2028d\x85"])
def test_nothing_in_the_page_moves_what_is_around_it(text: str) -> None:
    kinds = {unicodedata.category(char) for char in page(run_of(text)).source if char != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(TEXT)
@settings(max_examples=25)
def test_any_name_can_be_shown(text: str) -> None:
    # A command ends with its line.
    read = page(run_of("n" + text.replace("\n", "")))
    assert read.tags == TAGS
    assert all(char == "\n" or char not in read.source for char in "\x00\x1b\u202e\r")


TAGS = page(run_of("name")).tags
CHECKS = sum(1 for check in AUDIT.values() if check.severity is not Severity.UNCHECKED)


def test_the_numbers_are_those_of_the_run() -> None:
    assert page(run()).tiles == {
        "servers checked": "14 of 16",
        "servers with a serial number of their own": "4",
        "servers that share one with others": "3",
        "compute hosts": "6",
    }
    many = page(
        run(
            *(found("not-steered", standing) for standing in Standing),
            found("hosts-unreadable", Standing.NEW),
            covered=Covered("", 2_000_000, 1_999_999, 1000),
        )
    )
    assert many.tiles["servers checked"] == "1,999,999 of about 2,001,000"
    # What could not be read is no finding.
    assert many.tiles["new since the baseline"] == "1"
    assert many.tiles["about more servers than accepted"] == "1"
    assert many.tiles["accepted until a day that is past"] == "1"
    assert many.tiles["accepted"] == "1"
    assert "accepted" in page(run(baseline="x")).tiles
    assert "accepted" not in page(run()).tiles


def test_the_charts_are_those_of_the_run() -> None:
    read = page(run())
    assert read.one("chart-1-text").text == (
        "unique: 1, os: 1, hardware: 1, auto: 1, none: 1, unknown: 1"
    )
    assert read.one("chart-2-text").text == (
        "own UUID: 4, host: machine ID: 2, host: hardware UUID: 0, host: auto: 2, none: 6,"
        " unknown: 2"
    )
    widths = [int(each.attributes["width"]) for each in read.all("rect") if "x" in each.attributes]
    assert max(widths) <= 420


def test_a_mode_that_has_no_effect_is_not_counted() -> None:
    other = HostCounts("vmware", HostMode.UNIQUE, smbios=False)
    told = page(run(hosts=[*HOSTS, other])).one("chart-1-text").text
    before = page(run()).one("chart-1-text").text
    assert told == f"{before}, writes no serials: 1"


def test_the_map_has_each_host_and_the_worst_first() -> None:
    (section,) = [page(run()).section("hosts")]
    titles = [each.text for each in section.all("title")]
    assert titles == [
        "shares: 4 servers, 3 sharing",
        "shows: 1 server, 0 sharing",
        "odd: 1 server, 0 sharing",
        "none: 4 servers, 0 sharing",
        "own: 3 servers, 0 sharing",
        "empty: 0 servers, 0 sharing",
    ]
    head, first, *_rows = section.all("tr")
    cells = {
        name.text: cell.text
        for name, cell in zip(head.all("th"), first.all("th") + first.all("td"), strict=True)
        if cell.text
    }
    assert cells == {
        "Host": "shares",
        "Servers": "4",
        "own UUID": "1",
        "host: machine ID": "1",
        "host: auto": "2 share",
        "Mode": "auto",
        "Honours the keys": "unknown",
    }
    assert section.all("details")[0].text == "1 host has no serversempty (hardware)"


@pytest.mark.parametrize(
    ("assessed", "said", "style"),
    [
        ([], f"{CHECKS} checks found nothing, and everything could be read.", "good"),
        (
            [found("hosts-unreadable")],
            f"{CHECKS} checks found nothing, but not everything could be read.",
            "warn",
        ),
        (
            [found("hosts-unreadable", ACCEPTED)],
            f"{CHECKS} checks found nothing new, but not everything could be read.",
            "warn",
        ),
        (
            [found("not-steered", ACCEPTED)],
            f"{CHECKS} checks found nothing new, and everything could be read.",
            "good",
        ),
        ([found("image-may-show-host")], "1 finding: 1 info.", "none"),
        (
            [found("not-steered"), found("serial-shared"), found("not-steered", name="b")],
            "3 findings: 1 high, 2 low.",
            "bad",
        ),
        (
            [found("not-steered", Standing.NEW), found("cannot-move", ACCEPTED)],
            "1 finding that the baseline does not accept: 1 low.",
            "info",
        ),
    ],
)
def test_the_verdict(assessed: Sequence[Assessed], said: str, style: str) -> None:
    (banner,) = [
        each
        for each in page(run(*assessed)).all("p")
        if (each.attributes.get("class") or "").startswith("banner ")
    ]
    assert banner.text == said
    assert banner.attributes["class"] == f"banner {style}"


def copied(group: Element) -> list[str]:
    """Return the commands of a group: each can be selected by itself."""
    return [
        each.text
        for block in group.all("ul")
        if block.attributes.get("class") == "commands"
        for each in block.all("code")
    ]


@pytest.mark.parametrize("key", ["hw;uniqueserial", "|hw #;unique", "hw,unique", "a'b (c", 'x"y'])
def test_a_command_is_whole_or_not_there(key: str) -> None:
    """Names of image properties come from tenants, and commands are copied into a shell."""
    text = f"openstack image unset --property {shlex.quote(key)} ID"
    read = page(run(found("misplaced-key", remedy=command(text, ", or not"))))
    assert copied(read.groups["misplaced-key"]) == [text]


@pytest.mark.parametrize(
    "remedy",
    [
        "Find out which one is the server's (openstack server show); the other is left",
        "Correct the flavor or the image (openstack flavor set, image set); a resize applies it",
    ],
)
def test_a_command_that_is_only_mentioned_is_none(remedy: str) -> None:
    group = page(run(found("setting-conflict", remedy=Remedy(remedy)))).groups["setting-conflict"]
    assert copied(group) == []
    assert remedy in group.text


def test_a_command_for_each_server() -> None:
    one = found("live-unread", remedy=command("openstack server reboot --hard SERVER"))
    held = servers(2)
    one = dataclasses.replace(one, finding=dataclasses.replace(one.finding, servers=held))
    group = page(run(one, checks=ALL)).groups["live-unread"]
    assert copied(group) == [f"openstack server reboot --hard {id_}" for id_ in held]


@pytest.mark.parametrize("standing", [None, Standing.ACCEPTED])
def test_a_page_is_small_whatever_was_found(standing: Standing | None) -> None:
    about: dict[str, Any] = {"evidence": "\u202e" * 5_000, "reason": "x" * 5_000}
    many = [
        found(
            "not-steered",
            standing,
            name=f"{number}",
            remedy=Remedy(f"Other words {number}"),
            **about,
        )
        for number in range(20_000)
    ]
    hosts = [host(f"{number}" + "\u202e" * 250, None, host_os=2) for number in range(5_000)]
    entries = [Entry("not-steered", "flavor", "x" * 255, "x")] * 20_000
    source = page(run(*many, hosts=hosts, unmet=entries, baseline="x")).source
    assert len(source.encode()) < 5_000_000
    assert "more; <code>-f json" in source or "more groups; <code>-f json" in source
    assert "19,900 more" in source


def test_commands_of_one_group_are_lines_to_copy() -> None:
    made = [
        found("not-steered", name=name, remedy=command(f"openstack flavor set --x {name}"))
        for name in ("a", "b", "<c>", "a")
    ]
    read = page(run(*made))
    assert len(read.all("article")) == 1
    assert copied(read.groups["not-steered"]) == [
        "openstack flavor set --x a",
        "openstack flavor set --x b",
        "openstack flavor set --x <c>",
    ]


def test_what_is_to_be_done_alike_is_one_group() -> None:
    made = [
        found("not-steered", name="a", remedy=command("openstack x a", ", or provide such a host")),
        found("not-steered", name="b", remedy=command("openstack x b", ", or provide such a host")),
        found("not-steered", name="c", remedy=Remedy("Provide a host")),
        found("not-steered", name="d"),
    ]
    first, second, third = page(run(*made)).all("article")
    assert copied(first) == ["openstack x a", "openstack x b"]
    # The whole sentence, before what is copied.
    assert first.all("p")[0].text == "openstack x FLAVOR, or provide such a host"
    assert [each.text for each in first.all("li")][2:] == ["flavor a: seen", "flavor b: seen"]
    assert (copied(second), second.all("p")[0].text) == ([], "Provide a host")
    assert (copied(third), third.all("p")) == ([], [])


def test_a_group_that_is_long_is_cut() -> None:
    made = [found("not-steered", name=f"n{number}") for number in range(1234)]
    (group,) = page(run(*made)).all("article")
    assert len(group.all("li")) == 100
    assert group.all("p")[-1].text == "And 1,134 more; -f json --long lists all."


def test_what_the_baseline_says_is_seen() -> None:
    made = [found("not-steered", standing, name=standing.value) for standing in Standing]
    read = page(run(*made, unmet=[Entry("cannot-move", "flavor", "gone", "x")]))
    assert [each.text for each in read.groups["not-steered"].all("li")] == [
        "new flavor new: seen",
        "grew flavor grew: seen",
        "expired flavor expired: seen",
    ]
    (row,) = read.section("accepted").all("tbody")[0].all("tr")
    assert [each.text for each in row.all("td")] == [
        "not-steered",
        "flavor accepted",
        "seen",
        "known",
        "2026-11-23",
    ]
    about = read.section("about").text
    assert "baseline.yaml" in about
    assert "cannot-move of flavor gone" in about
    without = page(run(found("not-steered")))
    assert "new" not in without.groups["not-steered"].all("li")[0].text
    assert not [each for each in without.elements if each.attributes.get("id") == "accepted"]


def test_what_could_not_be_checked_is_told_apart() -> None:
    read = page(run(found("hosts-unreadable"), found("not-steered")))
    (finding,) = read.section("findings").all("article")
    (unchecked,) = read.section("coverage").all("article")
    assert "not-steered" in finding.text
    assert "not checked" in unchecked.text
    assert "Everything could be read." not in read.source
    assert "Everything could be read." in page(run()).source


def test_each_finding_is_explained_once() -> None:
    read = page(run(*(found(id_, count=1) for id_ in ALL for _ in range(2)), checks=ALL))
    for id_, check in ALL.items():
        (told,) = [
            each.text
            for each in read.all("details")
            if any(dl.attributes.get("id") == f"check-{id_}" for dl in each.all("dl"))
        ]
        for line in (check.texts[part] for part in ("summary", "meaning", "why", "accept")):
            assert line in told
        for line in check.texts["repair"].splitlines():
            assert line.strip() in told
    assert page(run()).section("meanings").all("details") == []


def test_a_page_about_many_hosts_is_small() -> None:
    hosts = [
        host(f"compute-{number}.{'x' * 200}", None, host_os=number % 4) for number in range(5_000)
    ]
    content = html.render(run(hosts=hosts))
    assert len(content) < 5_000_000
    read = Page(content)
    assert len(read.section("hosts").all("title")) == 5_000
    assert read.tiles["compute hosts"] == "5,000"


# --- JUnit ----------------------------------------------------------------------


def suite(of: Run) -> dict[str, TestCase]:
    """Return the cases by the ID of their check; both parsers read them."""
    content = junit.render(of)
    root = ET.fromstring(content)  # noqa: S314
    (only,) = JUnitXml.fromstring(content)
    cases = {case.name.partition(": ")[0]: case for case in only}
    assert list(cases) == list(of.checks)
    assert len(root.findall("testsuite/testcase")) == len(of.checks)
    kinds = outcomes(cases)
    told = (only.tests, only.failures, only.errors, only.skipped)
    assert told == (len(of.checks), kinds["failure"], kinds["error"], kinds["skipped"])
    return cases


def outcome(case: TestCase) -> str:
    if not case.result:
        return "passes"
    (result,) = case.result
    return str(result._tag)


def outcomes(cases: dict[str, TestCase]) -> Counter[str]:
    return Counter(map(outcome, cases.values()))


def properties(of: Run) -> dict[str, str]:
    root = ET.fromstring(junit.render(of))  # noqa: S314
    return {
        each.attrib["name"]: each.attrib["value"]
        for each in root.findall("testsuite/properties/property")
    }


ABOUT_METADEFS = {id_ for id_ in AUDIT if id_.startswith("metadefs-")}


def test_each_check_is_a_case_and_passes_when_nothing_was_found() -> None:
    cases = suite(run())
    assert outcomes(cases) == {"passes": len(AUDIT)}
    for id_, case in cases.items():
        assert case.classname == f"audit.{AUDIT[id_].severity.value}"
        assert case.name == f"{id_}: {AUDIT[id_].summary}"


def test_each_kind_of_outcome_is_counted() -> None:
    cases = suite(
        run(
            found("serial-shared", Standing.NEW),
            found("serial-shared", Standing.ACCEPTED, name="b"),
            found("cannot-move", Standing.GREW),
            found("flavor-changed", Standing.EXPIRED),
            found("not-steered", Standing.ACCEPTED, reason="Why <not>"),
            found("not-steered", Standing.ACCEPTED, name="b", reason="Other"),
            found("image-may-show-host", Standing.NEW),
            found("metadefs-unreadable", Standing.NEW),
        )
    )
    failed = {id_ for id_, case in cases.items() if outcome(case) == "failure"}
    assert failed == {"serial-shared", "cannot-move", "flavor-changed"}
    assert {id_ for id_, case in cases.items() if outcome(case) == "error"} == ABOUT_METADEFS
    (skipped,) = cases["not-steered"].result
    assert outcome(cases["not-steered"]) == "skipped"
    assert skipped.message == "accepted: Why <not>; Other"
    assert outcome(cases["image-may-show-host"]) == "passes"
    assert "seen" in cases["image-may-show-host"].system_out
    assert outcomes(cases)["passes"] == len(AUDIT) - 3 - len(ABOUT_METADEFS) - 1


@pytest.mark.parametrize("standing", [None, Standing.NEW, Standing.ACCEPTED])
@pytest.mark.parametrize(
    "missing",
    [check for check in ALL.values() if check.severity is Severity.UNCHECKED],
    ids=lambda check: check.id,
)
def test_what_rests_on_something_unread_never_passes(
    missing: Check, standing: Standing | None
) -> None:
    cases = suite(run(found(missing.id, standing, evidence="no answer"), checks=ALL))
    for id_, case in cases.items():
        if id_ == missing.id:
            assert outcome(case) == ("skipped" if standing is Standing.ACCEPTED else "error")
        elif ALL[id_].rests_on & missing.takes_away:
            assert outcome(case) == "error"
            (error,) = case.result
            assert error.message == "could not be checked: no answer"
        else:
            assert outcome(case) == "passes"


@pytest.mark.parametrize(
    ("standing", "fatal", "expected"),
    [
        (None, LOW, "failure"),
        (Standing.GREW, LOW, "failure"),
        (Standing.ACCEPTED, LOW, "error"),
        (None, frozenset(), "error"),
    ],
)
def test_what_was_found_although_not_all_was_read(
    standing: Standing | None, fatal: frozenset[Severity], expected: str
) -> None:
    made = run(found("metadefs-private", standing), found("metadefs-unreadable"), fatal=fatal)
    assert outcome(suite(made)["metadefs-private"]) == expected


@pytest.mark.parametrize(
    ("fatal", "failed"),
    [
        ([], 0),
        ([Severity.HIGH], 1),
        ([Severity.HIGH, Severity.MEDIUM], 2),
        ([Severity.HIGH, Severity.MEDIUM, Severity.LOW], 3),
        ([Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO], 4),
    ],
)
def test_what_fails_is_what_the_run_fails_on(fatal: list[Severity], failed: int) -> None:
    ids = ("serial-shared", "cannot-move", "not-steered", "image-may-show-host")
    kinds = outcomes(suite(run(*map(found, ids), fatal=fatal)))
    assert (kinds["failure"], kinds["passes"]) == (failed, len(AUDIT) - failed)


def test_a_failure_tells_all_that_is_to_be_known() -> None:
    made = [
        found("not-steered", name=f"n{number}", evidence=f"e{number}") for number in range(1234)
    ]
    case = suite(run(*made, found("not-steered", ACCEPTED, name="last")))["not-steered"]
    (failure,) = case.result
    assert failure.message == "e0 (and 1,233 more)"
    assert "flavor n0: e0\n" in failure.text
    assert "flavor n199: e199\n... and 1,034 more" in failure.text
    assert AUDIT["not-steered"].texts["meaning"] in failure.text
    assert AUDIT["not-steered"].texts["repair"] in failure.text


def test_the_suite_tells_of_the_run() -> None:
    made = run(scope="project p only", options="--only x")
    assert properties(made) == {
        "cloud": "prod",
        "region": "one",
        "user": "admin (u)",
        "project": "admin (p)",
        "scope": "project p only",
        "coverage": "14 of 16 servers checked",
        "options": "--only x",
        "version": "1.0",
    }
    assert properties(run(cloud=""))["cloud"] == "keystone.test"
    (only,) = JUnitXml.fromstring(junit.render(made))
    assert (only.timestamp, only.time) == ("2026-11-23T08:09:10", 12.346)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_names_make_no_cases(text: str) -> None:
    assert outcomes(suite(run_of(text))) == outcomes(suite(run_of("name")))


@given(TEXT)
@settings(max_examples=50)
def test_any_name_is_well_formed(text: str) -> None:
    made = run_of(text, checks={id_: AUDIT[id_] for id_ in FEW})
    told = junit.render(made).decode()
    root = ET.fromstring(told.encode())  # noqa: S314
    assert [each.tag for each in root.iter()] == FEW_TAGS
    kinds = {unicodedata.category(char) for char in told if char != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


FEW = ("no-valid-host", "not-steered", "hosts-unreadable", "images-unreadable")
FEW_TAGS = [
    each.tag
    for each in ET.fromstring(  # noqa: S314
        junit.render(run_of("name", checks={id_: AUDIT[id_] for id_ in FEW}))
    ).iter()
]


# --- Prometheus -----------------------------------------------------------------

WHERE = {"command": "audit", "cloud": "prod", "region": "one", "scope": "all projects"}


def samples(of: Run) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values by metric and by its own labels."""
    read: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(prometheus.render(of).decode()):
        assert family.type == "gauge"
        assert family.documentation
        name = family.name.removeprefix("openstack_unique_serial_")
        assert name != family.name
        for sample in family.samples:
            assert sample.name == family.name
            where = [sample.labels.pop(key) for key in WHERE]
            assert where == [
                of.command,
                safe_text(of.label),
                safe_text(of.region),
                "all projects",
            ]
            key = tuple(sample.labels.values())
            assert key not in read.setdefault(name, {})
            read[name][key] = sample.value
    return read


def test_what_was_not_found_is_nought() -> None:
    read = samples(run())
    assert read["findings"] == {
        (id_, check.severity.value, "new"): 0 for id_, check in AUDIT.items()
    }
    assert set(read["finding_servers"].values()) == {0}
    assert len(read["finding_servers"]) == len(AUDIT)


def test_with_a_baseline_every_standing_is_told() -> None:
    read = samples(run(baseline="x"))
    assert read["findings"] == {
        (id_, check.severity.value, standing.value): 0
        for id_, check in AUDIT.items()
        for standing in Standing
    }


def test_the_policy_is_no_metric_of_guests() -> None:
    assert {"servers", "sharing_servers"} & {*samples(run())} == {"servers", "sharing_servers"}
    assert not {"servers", "sharing_servers"} & {*samples(run(command="verify", checks=VERIFY))}


def test_servers_on_no_host_are_counted_by_themselves() -> None:
    waiting = HostCounts(None, placed=False, sources=Counter({SerialSource.ABSENT: 5}))
    read = samples(run(hosts=[*HOSTS, waiting]))["servers"]
    assert read["not-placed",] == 5
    assert read["absent",] == samples(run())["servers"]["absent",]


@pytest.mark.parametrize(
    ("scope", "label"),
    [
        ("project p only", "project p only"),
        ("own project only: this user may not list the servers of others", "own project only"),
    ],
)
def test_a_part_of_a_cloud_is_told_as_one(scope: str, label: str) -> None:
    text = prometheus.render(run(scope=scope)).decode()
    assert f'scope="{label}"' in text
    assert "all projects" not in text
    assert f"Only some servers were checked: {scope}" in page(run(scope=scope)).root.text


def test_the_values_are_those_of_the_run() -> None:
    read = samples(
        run(
            found("serial-shared", Standing.NEW, count=3),
            found("serial-shared", Standing.ACCEPTED, count=4),
            found("serial-shared", Standing.ACCEPTED),
            found("hosts-unreadable", Standing.NEW),
            covered=Covered("", 16, 14, 5),
        )
    )
    about = {key[2]: value for key, value in read["findings"].items() if key[0] == "serial-shared"}
    assert about == {"new": 1, "grew": 0, "expired": 0, "accepted": 2}
    assert read["finding_servers"]["serial-shared", "high"] == 7
    assert read["findings"]["hosts-unreadable", "unchecked", "new"] == 1
    assert sum(read["findings"].values()) == 4
    assert read["servers"] == {
        ("instance-uuid",): 4,
        ("host-os",): 2,
        ("host-hardware",): 0,
        ("host-auto",): 2,
        ("absent",): 6,
        ("unknown",): 2,
        ("not-placed",): 0,
    }
    assert read["sharing_servers"] == {(): 3}
    assert read["coverage_servers"] == {("checked",): 14, ("unchecked",): 2, ("unread",): 5}
    assert read["run_duration_seconds"] == {(): 12.346}
    assert read["run_timestamp_seconds"] == {(): round(BEGAN.timestamp() + 12.3456, 3)}


def test_the_metrics_are_those_that_are_documented() -> None:
    guide = Path(__file__).parents[2] / "doc/source/reference/metrics.rst"
    told = set(re.findall(r"\* - ``openstack_unique_serial_(\w+)``", guide.read_text()))
    assert set(samples(run())) == told


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\\nb", "a\nb", "a{b}=,", "ünï", ""])
def test_labels_come_back(text: str) -> None:
    samples(run(cloud=text, region=text))


@given(TEXT)
@settings(max_examples=25)
def test_any_label_comes_back(text: str) -> None:
    samples(run(cloud=text, region=text, checks={id_: AUDIT[id_] for id_ in FEW}))


@pytest.mark.parametrize("cloud", ["", "envvars", "defaults"])
@pytest.mark.parametrize(
    ("auth_url", "label"),
    [
        ("https://keystone.one:5000/v3", "keystone.one:5000"),
        ("https://keystone.two:5000/v3/", "keystone.two:5000"),
        ("http://10.0.0.1/identity/v3", "10.0.0.1/identity"),
        ("http://10.0.0.1/identity/v2.0", "10.0.0.1/identity"),
        ("http://[fd00::1]:5000", "[fd00::1]:5000"),
        ("http://***@keystone/v3?password=***", "keystone"),
        ("http://user:secret@keystone/v3#x", "keystone"),
        ("keystone.test", "keystone.test"),
    ],
)
def test_a_cloud_without_a_name_is_told_by_its_address(
    cloud: str, auth_url: str, label: str
) -> None:
    """The SDK calls every cloud of OS_* variables envvars."""
    made = run(cloud=cloud, auth_url=auth_url)
    assert properties(made)["cloud"] == label
    assert f'cloud="{label}"' in prometheus.render(made).decode()
    assert label in page(made).root.text
    assert json.loads(json_report.render(made))["cloud"]["label"] == label


def test_a_cloud_without_a_name_and_address_keeps_its_word() -> None:
    assert run(cloud="envvars", auth_url="").label == "envvars"
    assert run(cloud="prod", auth_url="https://keystone").label == "prod"


# --- JSON -----------------------------------------------------------------------


@given(TEXT)
def test_json_has_every_text_as_it_is(text: str) -> None:
    made = run_of(text)
    written = json_report.render(made).decode("ascii")
    document = json.loads(written)
    assert [each["evidence"] for each in document["findings"]] == [
        each.finding.evidence for each in made.assessed
    ]
    assert {each["resource_name"] for each in document["findings"]} == {text}


def test_the_keys_of_json_are_those_that_are_documented() -> None:
    page = Path(__file__).parents[2] / "doc/source/reference/fields.rst"
    rows = page.read_text().partition("JSON report\n===")[2].partition("Other commands\n===")[0]
    known = set(re.findall(r"``(\w+)``", rows))
    document = json.loads(json_report.render(run(found("changes-on-move", Standing.ACCEPTED))))
    keys = {*document}
    for each in (document["cloud"], document["coverage"], document["baseline"]):
        keys |= each.keys()
    for name in ("checks", "findings", "hosts"):
        keys |= document[name][0].keys()
    assert keys <= known


def test_json_has_what_columns_have_and_more() -> None:
    held = servers(2)
    one = found("changes-on-move", Standing.ACCEPTED, count=2, remedy=command("openstack x", "!"))
    document = json.loads(json_report.render(run(one)))
    (finding,) = document["findings"]
    assert COLUMNS.keys() - {"servers"} <= finding.keys()
    assert finding["server_ids"] == list(held)
    assert finding["remedy"] == {"text": "openstack x!", "commands": ["openstack x"]}
    assert finding["accepted_by"]["reason"] == "known"
    assert finding["accepted_by"]["expires"] == BEGAN.date().isoformat()
    assert document["fails_on"] == ["high", "low", "medium"]
    assert document["hosts"][0]["serial_sources"] == {"instance-uuid": 3}
