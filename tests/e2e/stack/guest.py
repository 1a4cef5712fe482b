# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest: Debian's kernel, and a program that reads the serial number aloud."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.stack.machine import PATH

#: An emulated processor is slow: leave out what only a real one needs. Guests also boot with
#: Nova's own, when it rescues them.
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check lpj=1000000"
    " cryptomgr.notests noreplace-smp"
)

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
# Whatever the kernel takes for the console.
exec > /dev/ttyS0 2>&1
read -r boot < /proc/sys/kernel/random/boot_id
uuid=
if [ -e /sys/class/dmi/id/product_uuid ]; then
  read -r uuid < /sys/class/dmi/id/product_uuid
fi
n=0
while :; do
  n=$((n + 1))
  file=/sys/class/dmi/id/product_serial
  if [ -e $file ]; then
    echo "SERIAL n=$n boot=$boot uuid=$uuid [$(/bin/busybox cat $file)]"
  else
    echo "SERIAL n=$n boot=$boot uuid=$uuid none"
  fi
  /bin/busybox sleep 2
done
"""

_LINE = re.compile(
    r"^SERIAL n=(\d+) boot=([0-9a-f-]{36}) uuid=([0-9A-Fa-f-]*) (?:\[(.*)\]|none)\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Reading:
    """One line of a guest: its ``serial`` is None when the BIOS names none.

    :ivar uuid: of the machine, as the BIOS names it
    """

    number: int
    boot: str
    uuid: str
    serial: str | None


def initramfs() -> bytes:
    """The guest's file system, packed."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for folder in ("bin", "dev", "proc", "sys"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox", path=PATH) or "busybox", root / "bin" / "busybox")
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
            input=names.encode(),
            cwd=root,
            env={"PATH": PATH},
            stdout=subprocess.PIPE,
            check=True,
        )
    # Not compressed: it is small, and unpacking would take an emulated guest longer.
    return archive.stdout


def readings(console: str) -> list[Reading]:
    """What a guest said on its console."""
    return [
        Reading(int(number), boot, uuid, serial or None)
        for number, boot, uuid, serial in _LINE.findall(console.replace("\r", ""))
    ]
