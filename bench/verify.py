# SPDX-License-Identifier: Apache-2.0
"""What ``openstack unique serial verify`` spends on reading live guests, as ratios.

Usage, with the Python of an environment that has the plugin and libvirt-python:
python -m bench.verify hosts [--rounds N] [--hosts N] [--domains N] [--latency MS]
python -m bench.verify parse [--rounds N] [--documents N]

``hosts``: wall time of reading many hosts at the same time, against that of the slowest of them
read alone. Each host is a libvirtd of its own with libvirt's test driver, in a temporary folder,
without the rights of root; nothing of the machine's own libvirt is touched. All share this
machine, so a host must be slow as a remote one is, without work: a proxy holds back each reply of
a host, up to the latency that is asked for. All the CPU time of client, daemons and proxy is on
one machine, at the expense of the many; the less the latency, the more of the ratio it is.

``parse``: CPU time of reading domain XML like Nova's, against the standard library's ElementTree,
which builds whole documents and refuses none.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import os
import pwd
import signal
import statistics
import sys
import tempfile
import time
import uuid
import xml.etree.ElementTree
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import defusedxml.ElementTree
import libvirt

from bench.timing import Run, against, in_turns, median
from devcloud.children import Children, listens, wait_until
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT
from osc_uniqserial.guests import domain_xml
from osc_uniqserial.guests.libvirt import TIMEOUT, Libvirt
from osc_uniqserial.model.guest import HostSeen, Reading

#: Wall time of all hosts against that of the slowest one alone.
LIMIT_HOSTS = 1.2
#: Documents that one core parses in a second.
LIMIT_PARSED = 2_000
#: How late the fastest host's replies are, as a part of the slowest one's.
_FASTEST = 1 / 6
#: Seconds within which a child must be there, and gone.
_CHILD_TIMEOUT = 20
#: Seconds without a client after which a daemon ends by itself, should this process be killed.
_IDLE = 30
_LIBVIRTD = "/usr/sbin/libvirtd"
#: The test driver's host that lives as long as somebody is connected, by a socket.
_URI = "test+unix:///default?socket={}"


# --- domains ----------------------------------------------------------------

#: What libvirt prints of a running guest of Nova 34 with one disk and one port.
_DOMAIN = """\
<domain type='{kind}'>
  <name>instance-{number:08x}</name>
  <uuid>{id}</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:package version="34.0.0"/>
      <nova:name>web-{number}</nova:name>
      <nova:creationTime>2026-06-{day:02} 10:11:12</nova:creationTime>
      <nova:flavor name="m1.small" id="2d754ea5-0ad3-492e-a0fb-3c07dde500fb">
        <nova:memory>2048</nova:memory>
        <nova:disk>20</nova:disk>
        <nova:swap>0</nova:swap>
        <nova:ephemeral>0</nova:ephemeral>
        <nova:vcpus>1</nova:vcpus>
        <nova:extraSpecs>
          <nova:extraSpec name="hw:unique_serial">true</nova:extraSpec>
        </nova:extraSpecs>
      </nova:flavor>
      <nova:image uuid="51a3f2dd-b681-48b2-a85a-908ab93cb11c">
        <nova:containerFormat>bare</nova:containerFormat>
        <nova:diskFormat>qcow2</nova:diskFormat>
        <nova:minDisk>20</nova:minDisk>
        <nova:minRam>0</nova:minRam>
        <nova:properties>
          <nova:property name="hw_rng_model">virtio</nova:property>
          <nova:property name="os_distro">ubuntu</nova:property>
        </nova:properties>
      </nova:image>
      <nova:owner>
        <nova:user uuid="e8de07c9b3974d698b9fc851e2069eef">admin</nova:user>
        <nova:project uuid="fa234b17e9af4035a76d626ceec3979f">shop</nova:project>
      </nova:owner>
      <nova:root type="image" uuid="51a3f2dd-b681-48b2-a85a-908ab93cb11c"/>
      <nova:ports>
        <nova:port uuid="567a4527-b0e4-4d0a-bcc2-71fda37897f7">
          <nova:ip type="fixed" address="192.0.2.{address}" ipVersion="4"/>
        </nova:port>
      </nova:ports>
    </nova:instance>
  </metadata>
  <memory unit='KiB'>2097152</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <cputune>
    <shares>1024</shares>
  </cputune>
  <sysinfo type='smbios'>
    <system>
      <entry name='manufacturer'>OpenStack Foundation</entry>
      <entry name='product'>OpenStack Nova</entry>
      <entry name='version'>34.0.0</entry>
      <entry name='serial'>{id}</entry>
      <entry name='uuid'>{id}</entry>
      <entry name='family'>Virtual Machine</entry>
    </system>
  </sysinfo>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <boot dev='hd'/>
    <smbios mode='sysinfo'/>
  </os>
  <features>
    <acpi/>
    <apic/>
    <vmcoreinfo state='on'/>
  </features>
  <cpu mode='host-model' check='partial'>
    <topology sockets='1' dies='1' cores='1' threads='1'/>
  </cpu>
  <clock offset='utc'>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/var/lib/nova/instances/{id}/disk'/>
      <backingStore/>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>
    </disk>
    <controller type='usb' index='0' model='piix3-uhci'>
      <alias name='usb'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x2'/>
    </controller>
    <controller type='pci' index='0' model='pci-root'>
      <alias name='pci.0'/>
    </controller>
    <interface type='bridge'>
      <mac address='fa:16:3e:{mac}'/>
      <source bridge='br-int'/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='567a4527-b0e4-4d0a-bcc2-71fda37897f7'/>
      </virtualport>
      <target dev='tap567a4527-b0'/>
      <model type='virtio'/>
      <mtu size='1450'/>
      <alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </interface>
    <serial type='pty'>
      <log file='/var/lib/nova/instances/{id}/console.log' append='off'/>
      <target type='isa-serial' port='0'/>
    </serial>
    <console type='pty'>
      <log file='/var/lib/nova/instances/{id}/console.log' append='off'/>
      <target type='serial' port='0'/>
    </console>
    <input type='tablet' bus='usb'/>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='5900' autoport='yes' listen='0.0.0.0'>
      <listen type='address' address='0.0.0.0'/>
    </graphics>
    <video>
      <model type='virtio' heads='1' primary='yes'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </video>
    <memballoon model='virtio'>
      <stats period='10'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>
    </memballoon>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x06' function='0x0'/>
    </rng>
  </devices>
</domain>
"""


def _id(number: int) -> str:
    return str(uuid.UUID(int=number + 1, version=4))


def document(number: int, kind: str = "kvm") -> str:
    """Return the XML of one of many domains, whose serial number is its UUID.

    :param kind: the type of hypervisor
    """
    return _DOMAIN.format(
        kind=kind,
        number=number,
        id=_id(number),
        day=number % 30 + 1,
        address=number % 254 + 1,
        mac=":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big")),
    )


# --- hosts ------------------------------------------------------------------


class Host(NamedTuple):
    """A libvirtd, and the proxy before it.

    :ivar delay: seconds that each reply comes late
    :ivar numbers: of its domains
    """

    name: str
    folder: Path
    delay: float
    numbers: range

    @property
    def daemon(self) -> Path:
        """Where the daemon listens."""
        return self.folder / "libvirt-sock"

    @property
    def proxy(self) -> Path:
        """Where the proxy listens."""
        return self.folder / "proxy"

    @property
    def output(self) -> Path:
        """What the daemon prints."""
        return self.folder / "output"

    @property
    def uri(self) -> str:
        """Where the plugin reads it."""
        return _URI.format(self.proxy)

    def start_guests(self) -> Any:
        """Start its domains, and return the connection that keeps libvirt from dropping them."""
        connection = libvirt.open(_URI.format(self.daemon))
        for each in connection.listAllDomains():
            each.destroy()
            each.undefine()
        for number in self.numbers:
            connection.defineXML(document(number, "test")).create()
        return connection


@contextmanager
def running(count: int, guests: int, latency: float) -> Iterator[Sequence[Host]]:
    """Run hosts that share a number of domains.

    :param latency: seconds that each reply of the slowest host comes late
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-")))
        hosts = [_host(number, count, guests, latency, folder) for number in range(count)]
        owner = _owner()
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        children = stack.enter_context(Children(_CHILD_TIMEOUT))
        for host in hosts:
            _start_daemon(children, host, owner)
        routes = [(str(host.proxy), str(host.daemon), host.delay) for host in hosts]
        (folder / "routes").write_text(json.dumps(routes))
        log = folder / "proxy.log"
        children.start(
            "proxy",
            [sys.executable, "-m", "bench.verify", "proxy", folder / "routes"],
            log,
            cwd=SOURCE_ROOT,
        )
        for host in hosts:
            _await_listener(children, host.daemon, host.output)
            stack.callback(host.start_guests().close)
            _await_listener(children, host.proxy, log)
        yield hosts


def _host(number: int, count: int, guests: int, latency: float, folder: Path) -> Host:
    share = _FASTEST + (1 - _FASTEST) * number / max(count - 1, 1)
    numbers = range(guests * number // count, guests * (number + 1) // count)
    host = Host(f"compute-{number + 1:03}", folder / str(number), latency * share, numbers)
    host.folder.mkdir()
    (host.folder / "conf").write_text(
        f'unix_sock_dir = "{host.folder}"\n'
        'auth_unix_ro = "none"\n'
        'auth_unix_rw = "none"\n'
        f'host_uuid = "{uuid.UUID(int=number + 1, version=5)}"\n'
        f'log_outputs = "3:file:{host.folder}/log"\n'
    )
    # Where the daemon looks for all drivers but the test driver, which is built in.
    (host.folder / "none").mkdir()
    return host


def _owner() -> pwd.struct_passwd | None:
    """Return who runs the daemons instead of root: root's would use the machine's folders."""
    return None if os.geteuid() else pwd.getpwnam("nobody")


def _start_daemon(children: Children, host: Host, owner: pwd.struct_passwd | None) -> None:
    identity: dict[str, Any] = {}
    if owner:
        for path in (host.folder, *host.folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    folder = str(host.folder)
    children.start(
        host.name,
        [_LIBVIRTD, "-f", f"{folder}/conf", "-p", f"{folder}/pid", "--timeout", str(_IDLE)],
        host.output,
        # The owner may have no access to this project, which has the program that binds.
        bound=False,
        cwd=SOURCE_ROOT,
        env={
            "PATH": os.environ["PATH"],
            "LIBVIRT_DRIVER_DIR": f"{folder}/none",
            **dict.fromkeys(
                ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), folder
            ),
            **dict.fromkeys(
                ("DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"),
                f"unix:path={folder}/none/bus",
            ),
        },
        **identity,
    )


def _await_listener(children: Children, address: Path, log: Path) -> None:
    failure = f"nobody listens at {address}"
    wait_until(lambda: listens(address), failure, log, timeout=_CHILD_TIMEOUT, check=children.check)


async def _proxy(routes: Sequence[tuple[str, str, float]]) -> None:
    """Serve sockets, each for another one, and hold back what comes from there."""
    for here, there, delay in routes:
        await asyncio.start_unix_server(functools.partial(_relay, there, delay), here)
    await asyncio.Event().wait()


async def _relay(
    there: str, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    back, forth = await asyncio.open_unix_connection(there)
    await asyncio.gather(_pass_on(reader, forth, 0), _pass_on(back, writer, delay))


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    later = asyncio.get_running_loop().call_later
    try:
        while data := await reader.read(1 << 16):
            if delay:
                later(delay, writer.write, data)
            else:
                writer.write(data)
    finally:
        later(delay, writer.close)


def _read(hosts: Sequence[Host]) -> Run:
    """Read all domains of hosts, and return what that cost; peak is not measured."""
    uris = {host.uri: host.name for host in hosts}
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    seen = list(Libvirt(uris, TIMEOUT))
    run = Run(time.perf_counter() - wall, time.process_time() - cpu, 0)
    expected = {(host.name, _id(each)) for host in hosts for each in host.numbers}
    found = [each for each in seen if isinstance(each, Reading)]
    whole = [each for each in found if each.serial == each.id and each.generated and each.nova]
    # Each host is told as read once, and nothing as not read.
    if (
        {(each.host, each.id) for each in whole} != expected
        or len(found) != len(expected)
        or sum(isinstance(each, HostSeen) for each in seen) != len(hosts)
        or len(seen) != len(expected) + len(hosts)
    ):
        odd = [each for each in seen if not isinstance(each, Reading | HostSeen)]
        sys.exit(f"{len(whole):,} of {len(expected):,} domains were read: {odd[:3]}")
    return run


def _of_hosts(args: argparse.Namespace) -> bool:
    alone: dict[str, list[Run]] = {}
    together: list[Run] = []
    with running(args.hosts, args.domains, args.latency / 1000) as hosts:
        _read(hosts)  # warms the caches
        for number in range(args.rounds):
            if number % 2:
                together.append(_read(hosts))
            for host in hosts:
                alone.setdefault(host.name, []).append(_read([host]))
            if not number % 2:
                together.append(_read(hosts))
    walls = {name: median(runs).wall for name, runs in alone.items()}
    slowest = max(walls, key=walls.__getitem__)
    every, one = median(together), median(alone[slowest])
    size = len(document(0, "test"))
    print(
        f"{args.domains:,} domains of about {size / 1024:.1f} KiB on {args.hosts} hosts whose"
        f" replies are {hosts[0].delay * 1000:.0f} to {hosts[-1].delay * 1000:.0f} ms late,"
        f" medians of {args.rounds} rounds in turns"
    )
    print(f"all at the same time: wall {every.wall:.2f} s, CPU of the client {every.cpu:.2f} s")
    print(f"the slowest alone ({slowest}): wall {one.wall:.2f} s, CPU {one.cpu:.2f} s")
    print(f"one after the other: wall {sum(walls.values()):.1f} s")
    print("all against the slowest alone: ", end="")
    return against(together, alone[slowest], LIMIT_HOSTS)


# --- documents --------------------------------------------------------------


def _parsed_by(parse: Callable[[bytes], object], documents: Sequence[bytes]) -> float:
    """Return the CPU seconds that documents take."""
    gc.collect()
    began = time.process_time()
    for each in documents:
        parse(each)
    return time.process_time() - began


def _of_parser(args: argparse.Namespace) -> bool:
    documents = [document(number).encode() for number in range(args.documents)]
    for number, each in enumerate(documents):
        if domain_xml.parse(each).serial != _id(number):
            sys.exit(f"the serial number of document {number:,} was not read")
    ours, standard, defused = "domain_xml.parse", "ElementTree", "defusedxml.ElementTree"
    parsers: dict[str, Callable[[bytes], Any]] = {
        ours: domain_xml.parse,
        standard: xml.etree.ElementTree.fromstring,
        defused: defusedxml.ElementTree.fromstring,
    }
    costs = in_turns(
        {name: functools.partial(_parsed_by, parse, documents) for name, parse in parsers.items()},
        args.rounds,
    )
    print(
        f"{len(documents):,} documents of about {len(documents[0]) / 1024:.1f} KiB,"
        f" medians of {args.rounds} rounds in turns"
    )
    medians = {name: statistics.median(costs[name]) for name in parsers}
    for name, cost in medians.items():
        print(
            f"{name}: CPU {cost:.2f} s, {cost / len(documents) * 1e6:.0f} us a document,"
            f" {cost / medians[standard]:.2f} of {standard}"
        )
    rate = len(documents) / medians[ours]
    slowest, fastest = (len(documents) / end(costs[ours]) for end in (max, min))
    print(
        f"{rate:,.0f} documents a second (limit {LIMIT_PARSED:,};"
        f" by round {slowest:,.0f} to {fastest:,.0f})"
    )
    return rate >= LIMIT_PARSED


def main() -> int:
    """Measure, and exit 1 when a limit is missed."""
    if sys.argv[1:2] == ["proxy"]:
        # The child of ``hosts``, until it is terminated.
        asyncio.run(_proxy(json.loads(Path(sys.argv[2]).read_text())))
    parser = argparse.ArgumentParser(
        prog="python -m bench.verify", description="What reading live guests costs, as ratios."
    )
    modes = parser.add_subparsers(metavar="MODE", required=True)
    hosts = modes.add_parser("hosts", help="wall time of many hosts at the same time")
    hosts.add_argument("--hosts", type=int, default=50, metavar="N", help="default: 50")
    hosts.add_argument("--domains", type=int, default=1000, metavar="N", help="default: 1000")
    hosts.add_argument(
        "--latency", type=float, default=30, metavar="MS", help="of the slowest host; default: 30"
    )
    hosts.set_defaults(measure=_of_hosts)
    parse = modes.add_parser("parse", help="CPU time of reading domain XML")
    parse.add_argument("--documents", type=int, default=10_000, metavar="N", help="default: 10000")
    parse.set_defaults(measure=_of_parser)
    for mode in modes.choices.values():
        mode.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    # Children and the temporary folder go in any case.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    try:
        return 0 if args.measure(args) else 1
    except DevcloudError as error:
        sys.exit(f"{error}\n{error.detail}")


if __name__ == "__main__":
    sys.exit(main())
