# SPDX-License-Identifier: Apache-2.0
"""What the driver adds to the one method of Nova that it overrides.

Usage, with the Python of an environment that has Nova and nova-uniqserial:
python -m bench.sysinfo [RUNS]

Both drivers make the sysinfo of the same instance, in turns. Nothing is asked of libvirt, but
its Python module is there as on a compute host. Debug logging is off. The instance has as many
metadata as Nova allows.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import nova.conf
from nova import objects
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.uniqserial import UniqueSerialLibvirtDriver
from oslo_utils import uuidutils

from bench.timing import in_turns

CALLS = 500
LIMIT_US = 50.0


def seconds_a_call(make: Callable[[Any], Any], instance: Any) -> float:
    """Return the mean CPU time of one call: what else runs on the machine does not count."""
    began = time.process_time()
    for _ in range(CALLS):
        make(instance)
    return (time.process_time() - began) / CALLS


def main(runs: int) -> int:
    """Print one line a host mode; 1 when the driver adds more than the limit."""
    nova.conf.CONF([], project="nova", default_config_files=[])
    objects.register_all()
    instance = objects.Instance(
        uuid=uuidutils.generate_uuid(),
        flavor=objects.Flavor(extra_specs={"hw:cpu_policy": "shared", "hw:unique_serial": "true"}),
        system_metadata={
            **{f"image_hw_property_{number}": "x" for number in range(20)},
            "image_hw_unique_serial": "false",
        },
        metadata={
            **{f"property-{number}": "x" for number in range(127)},
            "hw_unique_serial": "true",
        },
    )
    worst = 0.0
    for mode in ("unique", "none"):
        nova.conf.CONF.set_override("sysinfo_serial", mode, group="libvirt")
        jobs = {
            driver: partial(seconds_a_call, driver(None)._get_guest_config_sysinfo, instance)
            for driver in (libvirt_driver.LibvirtDriver, UniqueSerialLibvirtDriver)
        }
        stock, ours = (
            statistics.median(samples) * 1e6 for samples in in_turns(jobs, runs).values()
        )
        worst = max(worst, ours - stock)
        print(
            f"sysinfo of one guest, host mode {mode}: stock {stock:.1f} us, ours {ours:.1f} us,"
            f" ratio {ours / stock:.2f}, added {ours - stock:.1f} us (limit {LIMIT_US:.0f} us),"
            f" medians of {runs} runs of {CALLS} calls in turns"
        )
    return int(worst > LIMIT_US)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
