# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of the cloud: the one table that everything else reads."""

from dataclasses import dataclass

UNIQUE_SERIAL = "CUSTOM_UNIQUE_SERIAL"
MODE_UNIQUE = "CUSTOM_SYSINFO_SERIAL_UNIQUE"
MODE_AUTO = "CUSTOM_SYSINFO_SERIAL_AUTO"
MODE_OS = "CUSTOM_SYSINFO_SERIAL_OS"
MODE_HARDWARE = "CUSTOM_SYSINFO_SERIAL_HARDWARE"
MODE_NONE = "CUSTOM_SYSINFO_SERIAL_NONE"

QEMU = "QEMU"
FAKE = "fake"


@dataclass(frozen=True)
class Host:
    """One compute host.

    ``name`` is the service host, ``node`` its hypervisor hostname: clouds let them differ, so
    one host here does. ``traits`` are declared in a provider.yaml, as an operator would; a host
    without traits has no such file. A host with an ``obeying_mode`` has the code of nova-uniqserial
    that reports traits, and this ``[libvirt]sysinfo_serial``.
    """

    name: str
    traits: tuple[str, ...] = ()
    cell: str = "cell1"
    hypervisor_type: str = QEMU
    hypervisor_hostname: str | None = None
    obeying_mode: str | None = None

    @property
    def node(self) -> str:
        """The hypervisor hostname, which is also the name of the resource provider."""
        return self.hypervisor_hostname or self.name


CELLS = ("cell1", "cell2")

HOSTS: tuple[Host, ...] = (
    Host("unique-1", (UNIQUE_SERIAL, MODE_UNIQUE)),
    Host("unique-2", (UNIQUE_SERIAL, MODE_UNIQUE)),
    Host("auto-1", (MODE_AUTO,), hypervisor_hostname="auto-1.example.org"),
    Host("os-1", (MODE_OS,)),
    Host("hardware-1", (MODE_HARDWARE,)),
    Host("none-1", (MODE_NONE,)),
    Host("undeclared-1"),
    Host("keys-1", obeying_mode="auto"),
    # Contradicts itself: two modes.
    Host("mixed-1", (MODE_AUTO, MODE_UNIQUE)),
    # Its hypervisor has no SMBIOS.
    Host("plain-fake-1", hypervisor_type=FAKE),
    # Alone in a cell of its own, so that the cell can be taken down.
    Host("cell2-1", (UNIQUE_SERIAL, MODE_UNIQUE), cell="cell2"),
)

BY_NAME = {host.name: host for host in HOSTS}


def provider_yaml(host: Host) -> str | None:
    """The provider.yaml that declares the host's traits; None when it has none."""
    if not host.traits:
        return None
    traits = "".join(f"        - {trait}\n" for trait in host.traits)
    return (
        "meta:\n"
        "  schema_version: '1.0'\n"
        "providers:\n"
        "  - identification:\n"
        "      uuid: $COMPUTE_NODE\n"
        "    traits:\n"
        "      additional:\n" + traits
    )
