# SPDX-License-Identifier: Apache-2.0
"""The real shell in this process, against HTTP answers that a test writes."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import hypothesis
import pytest
import requests_mock
import stevedore
from cliff import commandmanager

from tests.unit.fake_cloud import FakeCloud

# Machines are noisy: how long an example takes is no matter of right and wrong.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


@pytest.fixture(scope="session", autouse=True)
def _commands_are_looked_up_once() -> Iterator[None]:
    """Let the shells of all tests share what is installed: that does not change meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        once = SimpleNamespace(ExtensionManager=functools.cache(stevedore.ExtensionManager))
        patch.setattr(commandmanager, "stevedore", once)
        yield


@pytest.fixture
def nova_newest() -> str:
    """The newest microversion that the fake Nova offers."""
    return "2.104"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, nova_newest: str) -> Iterator[FakeCloud]:
    """A cloud of written answers; any other request fails the test."""
    others = set(threading.enumerate())
    with requests_mock.Mocker() as mocker:
        yield FakeCloud(mocker, monkeypatch, nova_newest)
        # A command that failed may have left requests: they are not for the next test's cloud.
        # A thread that is left may start others; one without ident is being started.
        end = time.monotonic() + 60
        while (left := set(threading.enumerate()) - others) and time.monotonic() < end:
            for thread in left:
                if thread.ident is not None:
                    thread.join(60)
