# SPDX-License-Identifier: Apache-2.0
"""What the plugin adds to ``openstack flavor set --help``.

Usage: python3 -m bench.startup [RUNS]

Baseline: the same command in a virtual environment without the plugin, which
is otherwise the same. Both environments are made here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from bench.timing import compare
from devcloud.layout import SOURCE_ROOT

LIMIT = 1.03


def main() -> int:
    """Make both environments, measure, and exit 1 over the limit."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for name in ("without", "with"):
            home = Path(folder) / name
            venv.create(home, with_pip=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "--quiet"]
            # The plugin in both, then out of one: they get the same dependencies.
            subprocess.run([*pip, "install", str(SOURCE_ROOT)], check=True, capture_output=True)
            if name == "without":
                subprocess.run([*pip, "uninstall", "--yes", "osc-uniqserial"], check=True)
            commands[name] = [home / "bin" / "openstack", "flavor", "set", "--help"]
        good = compare(
            "flavor set --help, plugin installed against not",
            commands["without"],
            commands["with"],
            limit=LIMIT,
            runs=runs,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
