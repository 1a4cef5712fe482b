# SPDX-License-Identifier: Apache-2.0
"""Make what the tests need from the network: ``python -m tests.debian.prepare``."""

from __future__ import annotations

from devcloud import environment
from devcloud.layout import Layout
from devcloud.terminal import timed_progress
from tests.debian import root


def main() -> None:
    """Make the root file system and the environment of the services, unless they exist."""
    progress = timed_progress()
    if not root.ready():
        progress("making a root file system of Debian 12 (some minutes)")
        root.make()
    services = Layout.of()
    with environment.locked(services):
        environment.ensure(services, progress)


if __name__ == "__main__":
    main()
