# SPDX-License-Identifier: Apache-2.0
"""The Python of nova-compute, beside that of the check. Standard library only."""

from __future__ import annotations

import os
import sys

from nova_uniqserial.check.process import Process
from nova_uniqserial.check.rows import Result, Row, safe

_CHECK = "python"
_HOW_TO_RUN = "Run this check with the Python of nova-compute, as root or as its user."


def assess(process: Process) -> Row:
    """Return whether the check runs with the Python of nova-compute."""
    ours = f"{sys.executable} (Python {'.'.join(map(str, sys.version_info[:3]))})"
    if process.python is None:
        return Row(
            _CHECK,
            Result.UNKNOWN,
            f"The Python of nova-compute is not in its arguments; this check runs with {ours}.",
            _HOW_TO_RUN,
        )
    if "/" not in process.python or (process.folder is None and process.python[0] != "/"):
        return Row(
            _CHECK,
            Result.UNKNOWN,
            f"nova-compute was started with {safe(process.python)}, and this check runs with"
            f" {ours}: they may be different.",
            _HOW_TO_RUN,
        )
    theirs = os.path.join(process.folder or "", process.python)
    if not os.path.exists(theirs):
        return Row(
            _CHECK,
            Result.FAILED,
            f"nova-compute runs with {safe(theirs)}, which is missing now: nova-compute does not"
            " start again.",
            "Install that Python again with Nova and nova-uniqserial, or change the service to"
            " another one, and restart nova-compute.",
        )
    if _identity(theirs) != _identity(sys.executable):
        return Row(
            _CHECK,
            Result.FAILED,
            f"nova-compute runs with {safe(theirs)}, and this check with {ours}: what is"
            " installed for one of them is not for the other.",
            f"Run this check again: {safe(theirs)} -m nova_uniqserial check",
        )
    if process.replaced:
        return Row(
            _CHECK,
            Result.WARNING,
            f"{safe(theirs)} was replaced after nova-compute had started.",
            "Restart nova-compute. Running guests are not affected.",
        )
    path = (process.environ or {}).get("PYTHONPATH", "")
    if process.environ is not None and path != os.environ.get("PYTHONPATH", ""):
        return Row(
            _CHECK,
            Result.WARNING,
            "nova-compute and this check have different PYTHONPATH variables, so they may load"
            " different files.",
            f"Run this check again with PYTHONPATH={safe(path)}",
        )
    return Row(_CHECK, Result.OK, f"nova-compute and this check run with {ours}.")


def _identity(python: str) -> tuple[str, str | None]:
    """Return the program and the virtual environment of an interpreter."""
    folder = os.path.dirname(os.path.dirname(python))
    is_venv = os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    return os.path.realpath(python), os.path.realpath(folder) if is_venv else None
