# SPDX-License-Identifier: Apache-2.0
"""A running stack as tests use it: the real shell, the raw APIs, the hosts and the guests.

Tests say what they test with the real shell. Preparing and waiting goes through the raw APIs:
every start of the shell costs more than a second of processor time, of which there is little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from xml.etree import ElementTree

import requests

from devcloud.errors import log_tail
from tests.e2e.stack import guest
from tests.e2e.stack.hosts import BY_NAME
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.machine import kernels
from tests.e2e.stack.remote import RemoteHost
from tests.functional.cloud import Cloud, Json
from tests.functional.warm import WarmShell

#: Emulated guests on a busy machine are slow.
TIMEOUT = 180.0

#: Names of what every stack has.
KERNEL, RAMDISK, IMAGE, FLAVOR = "e2e-kernel", "e2e-ramdisk", "e2e-guest", "e2e-tiny"

RAM_MB = 96

Found = TypeVar("Found")


@dataclass(frozen=True)
class GuestImages:
    """What a bootable image refers to."""

    kernel_id: str
    ramdisk_id: str


class Stack(Cloud):
    """A running stack."""

    def __init__(self, layout: Layout, warm: WarmShell | None = None) -> None:
        super().__init__(layout.cloud.root, warm)
        self.layout = layout
        # Not a service of the embedded cloud here, but at the port that it reserved.
        port = self.state["ports"]["nova"]
        self.state["services"]["nova"] = {"url": f"http://127.0.0.1:{port}"}
        self._guest_images: GuestImages | None = None

    def host(self, name: str) -> RemoteHost:
        """One compute host."""
        return RemoteHost(self.layout, name)

    # --- images and flavors -----------------------------------------------

    def upload_guest(self) -> None:
        """Store what every stack has: the guest's kernel and file system, an image, a flavor."""
        kernel = self._upload(
            KERNEL, kernels()[-1].read_bytes(), disk_format="aki", container_format="aki"
        )
        ramdisk = self._upload(
            RAMDISK, guest.initramfs(), disk_format="ari", container_format="ari"
        )
        self._guest_images = GuestImages(kernel, ramdisk)
        self.new_image(IMAGE)
        self.new_flavor(FLAVOR)

    def _upload(self, name: str, content: bytes, **properties: str) -> str:
        body = {"name": name, "visibility": "public", **properties}
        answer = self.raw("glance", "POST", "/v2/images", body)
        answer.raise_for_status()
        image_id = str(answer.json()["id"])
        url = f"{self.state['services']['glance']['url']}/v2/images/{image_id}/file"
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/octet-stream"}
        requests.put(url, headers=headers, data=content, timeout=120).raise_for_status()
        return image_id

    def image_id(self, name: str) -> str:
        """The ID of an image."""
        (found,) = self.get("glance", f"/v2/images?name={name}")["images"]
        return str(found["id"])

    def flavor_id(self, name: str) -> str:
        """The ID of a flavor."""
        flavors = self.get("nova", "/v2.1/flavors?is_public=none")["flavors"]
        (found,) = [flavor for flavor in flavors if flavor["name"] == name]
        return str(found["id"])

    def new_image(self, name: str, **properties: str) -> str:
        """Create an image whose servers read their serial number aloud, and return its ID."""
        if self._guest_images is None:
            self._guest_images = GuestImages(self.image_id(KERNEL), self.image_id(RAMDISK))
        return self._upload(
            name,
            # The root disk. The guest does not use it.
            bytes(1 << 20),
            **{
                "disk_format": "raw",
                "container_format": "bare",
                "kernel_id": self._guest_images.kernel_id,
                "ramdisk_id": self._guest_images.ramdisk_id,
                "os_command_line": guest.COMMAND_LINE,
                **properties,
            },
        )

    def new_flavor(self, name: str, extra_specs: Json | None = None, ram: int = RAM_MB) -> str:
        """Create a flavor that a guest fits in and return its ID."""
        # Without a size of its own the root disk is as large as the image.
        body = {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 0}}
        answer = self.raw("nova", "POST", "/v2.1/flavors", body)
        answer.raise_for_status()
        flavor_id = str(answer.json()["flavor"]["id"])
        if extra_specs:
            self.set_extra_specs(flavor_id, extra_specs)
        return flavor_id

    # --- servers ----------------------------------------------------------

    def create(
        self,
        name: str,
        host: str | None = None,
        flavor: str | None = None,
        image: str | None = None,
        unique_serial: str | None = None,
    ) -> str:
        """Ask for a server and return its ID, without waiting.

        :param flavor: an ID, by default of a flavor that says nothing
        :param image: an ID, by default of an image that says nothing
        :param unique_serial: the request in its metadata
        """
        server: Json = {
            "name": name,
            "flavorRef": flavor or self.flavor_id(FLAVOR),
            "imageRef": image or self.image_id(IMAGE),
            "networks": "none",
        }
        if host:
            server["host"] = host
        if unique_serial is not None:
            server["metadata"] = {"hw_unique_serial": unique_serial}
        answer = self.raw("nova", "POST", "/v2.1/servers", {"server": server})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["server"]["id"])

    def boot(
        self,
        name: str,
        flavor_id: str | None = None,
        image_id: str | None = None,
        host: str | None = None,
    ) -> str:
        """Boot a server, wait until it is active, and return its ID."""
        server_id = self.create(name, host, flavor_id, image_id)
        self.wait(server_id, "ACTIVE")
        return server_id

    def server(self, server_id: str) -> Json:
        """A server as Nova returns it."""
        record: Json = self.get("nova", f"/v2.1/servers/{server_id}")["server"]
        return record

    def host_of(self, server_id: str) -> RemoteHost:
        """The host that a server is on."""
        name = self.server(server_id)["OS-EXT-SRV-ATTR:host"]
        assert name in BY_NAME, f"the server is on no host: {name}"
        return self.host(name)

    def wait(self, server_id: str, status: str, host: str | None = None) -> Json:
        """Wait until a server has a status and no task, on a host, and return its record."""

        def there() -> Json | None:
            record = self.server(server_id)
            if record["status"] == "ERROR" and status != "ERROR":
                raise AssertionError(self._why(record))
            good = record["status"] == status and record["OS-EXT-STS:task_state"] is None
            good = good and host in (None, record["OS-EXT-SRV-ATTR:host"])
            return record if good else None

        def late() -> str:
            wanted = f"not {status}" + (f" on {host}" if host else "")
            return f"{wanted}: {self._why(self.server(server_id))}"

        return self._until(there, late)

    def wait_gone(self, server_ids: Iterable[str]) -> None:
        """Wait until servers are deleted."""
        left = list(server_ids)

        def gone() -> bool | None:
            while left and self.raw("nova", "GET", f"/v2.1/servers/{left[0]}").status_code == 404:
                del left[0]
            return not left or None

        self._until(gone, lambda: f"not deleted: {self._why(self.server(left[0]))}")

    def delete(self, *server_ids: str) -> None:
        """Delete servers, all at once, and wait until they are gone."""
        for server_id in server_ids:
            answer = self.raw("nova", "DELETE", f"/v2.1/servers/{server_id}")
            assert answer.status_code in (204, 404), answer.text
        self.wait_gone(server_ids)

    def force_down(self, host: str, down: bool = True) -> None:
        """Tell Nova that a host is dead, or no longer: evacuation needs it."""
        services = self.get("nova", f"/v2.1/os-services?host={host}&binary=nova-compute")
        (service,) = services["services"]
        body = {"forced_down": down}
        answer = self.raw("nova", "PUT", f"/v2.1/os-services/{service['id']}", body)
        assert answer.ok, answer.text

    def fail(self, host: str) -> None:
        """Let the power of a host fail, and have Nova know it."""
        self.host(host).power_off()
        self.force_down(host)

    def recover(self, host: str) -> None:
        """Bring a failed host back, without the guests that were evacuated from it."""
        self.host(host).power_on()
        # Nova refuses this until nova-compute has cleaned up.
        self.force_down(host, False)

    # --- guests -----------------------------------------------------------

    def console(self, server_id: str) -> str:
        """What the guest said since it was last started, or came to its host."""
        # The file that Nova would return, without the seconds that asking Nova for it takes.
        log = self.host_of(server_id).paths.instances / server_id / "console.log"
        try:
            return log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def reading(self, server_id: str, after: str | None = None) -> guest.Reading:
        """What the guest itself reads in its BIOS.

        :param after: wait for another boot than this one, which an earlier reading named
        """

        def said() -> guest.Reading | None:
            readings = guest.readings(self.console(server_id))
            return readings[-1] if readings and readings[-1].boot != after else None

        def late() -> str:
            end = self.console(server_id)[-1000:]
            return f"the guest said nothing new; {self._why(self.server(server_id))}\n{end}"

        return self._until(said, late)

    def guest_serial(self, server_id: str, after: str | None = None) -> tuple[str, str | None]:
        """The boot, and the serial number that the guest reads: None if there is none."""
        reading = self.reading(server_id, after)
        return reading.boot, reading.serial

    def domain(self, server_id: str) -> ElementTree.Element:
        """The domain as libvirt has it on the server's host."""
        xml = self.host_of(server_id).virsh("dumpxml", server_id)
        # From libvirt, which made it.
        return ElementTree.fromstring(xml)  # noqa: S314

    def domain_serial(self, server_id: str) -> str | None:
        """The serial number in the domain's XML."""
        entry = self.domain(server_id).find("./sysinfo/system/entry[@name='serial']")
        return None if entry is None else entry.text

    # --- waiting ----------------------------------------------------------

    @staticmethod
    def _until(look: Callable[[], Found | None], late: Callable[[], str]) -> Found:
        deadline = time.monotonic() + TIMEOUT
        while True:
            found = look()
            if found is not None:
                return found
            assert time.monotonic() < deadline, late()
            time.sleep(0.2)

    def _why(self, record: Json) -> str:
        """Everything about a server that explains a failure."""
        host = record.get("OS-EXT-SRV-ATTR:host")
        text = (
            f"server {record['id']} ({record['name']}) on {host} is {record['status']},"
            f" task {record.get('OS-EXT-STS:task_state')}"
        )
        fault = record.get("fault")
        if fault:
            text += f"\nfault: {fault.get('message')}\n{fault.get('details', '')}"
        if host in BY_NAME:
            text += f"\n{log_tail(self.layout.host(host).compute_log, 30)}"
        return text
