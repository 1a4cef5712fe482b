# SPDX-License-Identifier: Apache-2.0
"""One stack for all end-to-end tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from devcloud.errors import DevcloudError
from tests.e2e.stack import control
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.stack import Stack
from tests.functional.conftest import seeded as seeded  # the fixture
from tests.functional.conftest import unique_name as unique_name  # the fixture
from tests.functional.conftest import warm as warm  # the fixture
from tests.functional.warm import WarmShell


def progress_line(request: pytest.FixtureRequest, what: str) -> Callable[[str], None]:
    """Return a function that writes lines about something between the lines of pytest."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")

    def say(text: str) -> None:
        if terminal is not None:
            terminal.write_line(f"{what}: {text}")

    return say


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, warm: WarmShell) -> Iterator[Stack]:
    """The stack that is up in E2E_STACK; without that one that is started and ended here."""
    if "E2E_STACK" in os.environ:
        layout = Layout.of()
        if not control.running(layout):
            pytest.exit(f"no stack is up in {layout.root} (E2E_STACK)", returncode=1)
        yield Stack(layout, warm)
        return
    with tempfile.TemporaryDirectory(prefix="e2e-", ignore_cleanup_errors=True) as folder:
        layout = Layout.of(folder)
        try:
            session = control.start(layout, progress_line(request, "stack"))
        except DevcloudError as error:
            # Nothing could be tested: that is a failure, and the same one for every test.
            pytest.exit(f"the stack did not start: {error}\n{error.detail}", returncode=1)
        with session:
            yield Stack(layout, warm)


@pytest.fixture
def boot(stack: Stack, unique_name: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """Return a function that boots a server; the server is deleted after the test.

    It takes what ``Stack.boot`` takes, but the name.
    """
    made: list[str] = []

    def boot_one(**options: str) -> str:
        # Kept before it is active: one that fails is deleted, too.
        made.append(
            stack.create(
                unique_name("guest"),
                options.get("host"),
                options.get("flavor_id"),
                options.get("image_id"),
            )
        )
        stack.wait(made[-1], "ACTIVE")
        return made[-1]

    yield boot_one
    stack.delete(*made)
