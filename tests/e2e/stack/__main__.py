# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python -m tests.e2e.stack``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from devcloud import cloud
from devcloud.errors import DevcloudError
from devcloud.terminal import exports, timed_progress
from tests.e2e.stack import control
from tests.e2e.stack.layout import Layout

EXIT_NOT_UP = 3


def _environment(layout: Layout) -> dict[str, str]:
    return {"E2E_STACK": str(layout.root), **cloud.client_environment(layout.cloud)}


def up(layout: Layout, _command: list[str]) -> int:
    """Start the stack and leave it up."""
    if not control.running(layout):
        control.start(layout, timed_progress()).keep()
    print(exports(_environment(layout)))
    return 0


def down(layout: Layout, _command: list[str]) -> int:
    """End the stack."""
    print("the stack is down" if control.down(layout) else "the stack was not up")
    return 0


def status(layout: Layout, _command: list[str]) -> int:
    """Tell whether the stack is up; exit code 3 if not."""
    if not control.running(layout):
        print("not up")
        return EXIT_NOT_UP
    print(exports(_environment(layout)))
    return 0


def run(layout: Layout, command: list[str]) -> int:
    """Run a command on the stack, which is brought up for it if it is not up."""
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        raise DevcloudError("run: which command? run -- CMD...")
    session = None if control.running(layout) else control.start(layout, timed_progress())
    try:
        return subprocess.run(
            command, env={**os.environ, **_environment(layout)}, check=False
        ).returncode
    finally:
        if session is not None:
            session.close()


def main() -> int:
    """Parse the command line and do what it says."""
    verbs = {function.__name__: function for function in (up, down, status, run)}
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.stack")
    parser.add_argument("--dir", help="the stack's folder (default: E2E_STACK, or one in /tmp)")
    parser.add_argument(
        "verb",
        choices=verbs,
        help="; ".join(f"{name}: {function.__doc__}" for name, function in verbs.items()),
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    args = parser.parse_args()
    try:
        return verbs[args.verb](Layout.of(args.dir), args.command)
    except DevcloudError as error:
        print(f"{error}\n{error.detail}".rstrip(), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
