# SPDX-License-Identifier: Apache-2.0
"""What nova-compute does first: load its compute driver; then say where it came from.

Usage, with the Python of a Nova: load_driver.py DRIVER
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys


def main() -> None:
    """Load the driver as nova-compute does, which exits when it cannot."""
    # First: it decides whether Nova runs with threads, and patches what it must.
    importlib.import_module("nova.tests.unit")
    # The bindings need the C library: Nova's tests bring a stand-in for them.
    sys.modules["libvirt"] = importlib.import_module("nova.tests.fixtures.libvirt")
    import nova
    import nova.conf
    from nova import config
    from nova.virt import driver

    config.parse_args(["nova-compute", "--config-file", "/dev/null", "--config-dir", "/dev/null"])
    nova.conf.CONF.set_override("compute_driver", sys.argv[1])
    loaded = driver.load_compute_driver(None)
    validators = [
        point.value
        for point in importlib.metadata.entry_points(group="nova.api.extra_spec_validators")
        if point.name == "unique_serial"
    ]
    print(
        json.dumps(
            {
                "driver": type(loaded).__name__,
                "shim": sys.modules["nova.virt.uniqserial"].__file__,
                "nova": nova.__file__,
                "validators": validators,
            }
        )
    )


if __name__ == "__main__":
    main()
