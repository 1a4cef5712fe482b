# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial show`` against ``openstack server show`` of the same server.

Usage: python3 -m bench.show SERVER [RUNS]

The cloud is the one of OS_CLOUD; ``openstack`` is the one of this environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.timing import compare

LIMIT = 1.3


def main() -> int:
    """Measure, and exit 1 over the limit."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    server = sys.argv[1]
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    openstack = Path(sys.executable).parent / "openstack"
    good = compare(
        "unique serial show against server show",
        [openstack, "server", "show", server, "-f", "json"],
        [openstack, "unique", "serial", "show", server, "-f", "json"],
        limit=LIMIT,
        runs=runs,
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
