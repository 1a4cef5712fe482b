# SPDX-License-Identifier: Apache-2.0
"""Run commands of the manual against a cloud."""

from __future__ import annotations

import os
import subprocess

from tests.functional.cloud import OPENSTACK, Cloud
from tests.guide import block


def run(cloud: Cloud, script: str, **variables: str) -> str:
    """Run commands of the manual in a shell and return what they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            **os.environ,
            "PATH": f"{OPENSTACK.parent}:{os.environ['PATH']}",
            "OS_CLIENT_CONFIG_FILE": cloud.state["clouds_yaml"],
            "OS_CLOUD": "devcloud",
            **variables,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def remove_stale_traits(cloud: Cloud, provider: str) -> None:
    """Remove the traits of a resource provider with the commands of the rollback."""
    script = block("admin/roll-back", "export OS_PLACEMENT_API_VERSION")
    assert "openstack resource provider trait set" in script
    run(cloud, script, UUID=provider)
