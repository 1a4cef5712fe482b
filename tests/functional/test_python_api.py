# SPDX-License-Identifier: Apache-2.0
"""The documented program against the embedded cloud."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.functional.cloud import ROOT, SeededCloud

PROGRAM = ROOT / "doc" / "source" / "reference" / "python" / "audit.py"


def test_ten_lines_audit_a_cloud(seeded: SeededCloud) -> None:
    run = subprocess.run(
        [sys.executable, PROGRAM],
        env={
            **os.environ,
            "OS_CLIENT_CONFIG_FILE": str(seeded.state["clouds_yaml"]),
            "OS_CLOUD": "devcloud",
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 3, run.stderr
    printed = {line.split()[0] for line in run.stdout.splitlines()}
    expected = {
        row["id"] for row in seeded.manifest["findings"] if row["severity"] in ("high", "medium")
    }
    assert printed == expected
    assert "servers checked" in run.stderr
    assert len([line for line in PROGRAM.read_text().splitlines() if line]) <= 10
