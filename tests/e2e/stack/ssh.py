# SPDX-License-Identifier: Apache-2.0
"""Stands in for ssh and scp between compute hosts, for what Nova does with them.

The stack installs it under both names, beside a table ``hosts.json``: address -> folder that the
host sees as Nova's state_path. Where Nova names a path on another host, this puts the path at
which the machine has it, and runs the same command here.
"""

import json
import os
import sys
from pathlib import Path

STATE = "/run/nova"


def translate(address: str, path: str) -> str:
    """The path by which this machine reaches a path of a host."""
    table = json.loads(Path(__file__).with_name("hosts.json").read_text())
    if path != STATE and not path.startswith(f"{STATE}/"):
        raise SystemExit(f"only paths below {STATE} can be reached, not {path}")
    return str(table[address] + path[len(STATE) :])


def ssh(args: list[str]) -> list[str]:
    """Turn ``ssh -o OPTION ADDRESS COMMAND ...`` into the command."""
    while args[0].startswith("-"):
        args = args[2:]
    address, *command = args
    return [translate(address, word) if word.startswith("/") else word for word in command]


def scp(args: list[str]) -> list[str]:
    """Turn ``scp -C -r ADDRESS:SOURCE TARGET`` into cp; either may have the address."""
    paths = []
    for word in args:
        if word.startswith("-"):
            continue
        address, colon, path = word.partition(":")
        paths.append(translate(address, path) if colon else word)
    return ["cp", "-r", "--sparse=always", *paths]


if __name__ == "__main__":
    argv = {"ssh": ssh, "scp": scp}[Path(sys.argv[0]).name](sys.argv[1:])
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
