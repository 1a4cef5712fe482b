# SPDX-License-Identifier: Apache-2.0
"""YAML files of users: the texts that are written, or an error with its line."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial import strict_yaml
from osc_uniqserial.commands import options
from osc_uniqserial.policy import HostMode

MODES = st.sampled_from([mode.value for mode in HostMode])
#: Hosts that YAML takes for something else when they are written without quotes.
ODD = st.sampled_from(
    [
        "012",
        "1e3",
        "yes",
        "2030-01-01",
        "null",
        "~",
        "",
        "*",
        "<<",
        "=",
        "0x1f",
        "1:30",
        "- a",
        "a: b",
    ]
)


def modes(text: str) -> dict[str, HostMode]:
    return options.parse_modes(strict_yaml.load(text))


@given(st.dictionaries(st.text() | ODD, MODES, min_size=1), st.booleans())
@settings(max_examples=200)
def test_any_mapping_that_is_written_is_read(given: dict[str, str], flow: bool) -> None:
    text = yaml.safe_dump(given, default_flow_style=flow)
    assert {host: mode.value for host, mode in modes(text).items()} == given


#: Parts of YAML, and of what changes the meaning of YAML.
PARTS = (
    st.text()
    | st.sampled_from(
        [*"[]{},:-?&*!|>'\"%@`#~ \n\t\r\x85\u2028\ufeff", ": ", "- ", "\n  ", "\n---\n", "\n...\n"]
    )
    | st.sampled_from(
        ["&a ", "*a", "!!bool ", "!", "!<x> ", "<<", "012", "auto", "host: auto\n", "host: none\n"]
    )
    | st.sampled_from(["%YAML 1.1\n", "%TAG ! tag:x\n", "? ", '"\\ud800"', '"\\x"', "|9", ">-\n"])
)


@given(st.lists(PARTS).map("".join))
@settings(max_examples=1000)
def test_any_text_is_host_modes_or_refused(text: str) -> None:
    for each in (text, f"host: {text}", f"{text}: auto"):
        try:
            found = modes(each)
        except strict_yaml.BadYaml:
            continue
        assert all(type(host) is str for host in found)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16")))
@settings(max_examples=200)
def test_any_file_is_read_or_refused(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda *_args: _Stream(content))
        with contextlib.suppress(strict_yaml.BadYaml):
            strict_yaml.load(strict_yaml.read("x"))


class _Stream:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_args: object) -> None:
        return

    def read(self, most: int) -> bytes:
        return self.content[:most]


def test_both_parsers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "a: os\nb: [1, {c: '2'}]\n",
        "a: [",
        "&a b: c",
        "a: 1\na: 2",
        "x: !y z",
        '"\\ud800": a',
    ]
    results = []
    for fast in (strict_yaml._FAST, None):
        monkeypatch.setattr(strict_yaml, "_FAST", fast)
        for text in texts:
            try:
                results.append(repr(strict_yaml.load(text)))
            except strict_yaml.BadYaml as error:
                results.append(str(error))
    assert results[: len(texts)] == results[len(texts) :]


def test_aliases_take_no_memory() -> None:
    """All of it would be 9 to the power of 20 words."""
    lines = ["x0: &x0 [a]"] + [
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 21)
    ]
    tracemalloc.start()
    with pytest.raises(strict_yaml.BadYaml, match="line 1: '&x0': anchors"):
        strict_yaml.load("\n".join(lines))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_the_number_of_values_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "_MAX_NODES", 10)
    with pytest.raises(strict_yaml.BadYaml, match="line 2: it has more than 10 values"):
        strict_yaml.load("a: [1, 2, 3,\n4, 5, 6, 7, 8, 9]")
