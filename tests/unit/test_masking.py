# SPDX-License-Identifier: Apache-2.0
"""Passwords in URLs reach no message, no log and no report."""

from __future__ import annotations

import logging
import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.guests.libvirt import Libvirt
from osc_uniqserial.masking import mask_logs, without_secrets
from osc_uniqserial.model.guest import Unread


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://u:p@h:1/v3: refused", "at http://***@h:1/v3: refused"),
        ("https://token@h/", "https://***@h/"),
        ("http://u:p@q@h/", "http://***@h/"),
        ("see 'HTTPS://tok@h/'", "see 'HTTPS://***@h/'"),
        ("a" * 9999 + "://u:p@h", "a" * 9999 + "://u:***@h"),
        ("http://u:p/q#r?s@h/", "http://***@h/"),
        ("http://h/v3?password=p&limit=5", "http://h/v3?password=***&limit=5"),
        ("url: /v2.1?token=p/traits&name=in%3Ax (", "url: /v2.1?token=***&name=in%3Ax ("),
        ("qemu+tcp://u:p@h/system", "qemu+tcp://u:***@h/system"),
        ("qemu+ssh://root@h/system?keyfile=/a/b", "qemu+ssh://root@h/system?keyfile=/a/b"),
        ("qemu:///system", "qemu:///system"),
        ("Failed to parse: 'u:p' is not a valid host", "Failed to parse: *** is not a valid host"),
        ("flavor a:b@c, 1=2", "flavor a:b@c, 1=2"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


SECRET = st.text(st.characters(exclude_categories=("Z", "C")), min_size=6).map(lambda x: f"S{x}S")


@given(SECRET, st.sampled_from(["http", "https", "qemu+tcp", "esx"]))
def test_no_password_is_shown(secret: str, scheme: str) -> None:
    assert secret not in without_secrets(f"no answer from {scheme}://user:{secret}@host/x: why")


def test_logs_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handler = logging.StreamHandler()
    root.addHandler(handler)
    try:
        mask_logs()
        mask_logs()
        log = logging.getLogger("keystoneauth.session")
        log.warning("Failure: %(e)s. %(d).1fs.", {"e": "http://u:secret@h/", "d": 0.5})
        try:
            raise ValueError("http://u:secret@h/")
        except ValueError as error:
            log.exception(error)
    finally:
        root.removeHandler(handler)
    written = capsys.readouterr().err
    assert written.startswith("Failure: http://***@h/. 0.5s.\n")
    assert "secret" not in written
    assert "Traceback" in written


def test_errors_of_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("libvirt")
    module.registerErrorHandler = lambda *_args: None
    module.openReadOnly = lambda uri: (_ for _ in ()).throw(ValueError(f"cannot open {uri}"))
    monkeypatch.setitem(sys.modules, "libvirt", module)
    (found,) = Libvirt({"qemu+tcp://user:secret@h/system": "h"}, 5)
    assert found == Unread(
        "qemu+tcp://user:***@h/system", "cannot open qemu+tcp://user:***@h/system", "h"
    )
