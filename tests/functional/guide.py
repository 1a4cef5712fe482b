# SPDX-License-Identifier: Apache-2.0
"""The operator's guide as tests use it: its commands, to be run."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap

from tests.functional.cloud import OPENSTACK, ROOT, Cloud

GUIDE = (ROOT / "doc" / "source" / "nova.rst").read_text()


def block(start: str) -> str:
    """Return the indented block of the guide that begins with these lines."""
    lines = "".join(rf"\1{re.escape(line)}.*\n" for line in start.splitlines())
    found = re.search(rf"^(?=( +))({lines}(?:\1.*\n|\n)*)", GUIDE, re.MULTILINE)
    assert found, f"the guide has no block that begins with {start!r}"
    return textwrap.dedent(found[2])


def remove_stale_traits(cloud: Cloud, provider: str) -> None:
    """Do what the guide says to a resource provider."""
    script = block("export OS_PLACEMENT_API_VERSION")
    assert "openstack resource provider trait set" in script
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            **os.environ,
            "PATH": f"{OPENSTACK.parent}:{os.environ['PATH']}",
            "OS_CLIENT_CONFIG_FILE": cloud.state["clouds_yaml"],
            "OS_CLOUD": "devcloud",
            "UUID": provider,
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
