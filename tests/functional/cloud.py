# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud as tests use it: the real shell, and the raw APIs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import requests
import yaml

from tests.functional.warm import WarmShell

Json = dict[str, Any]
Service = Literal["keystone", "glance", "placement", "cinder", "nova"]

ROOT = Path(__file__).resolve().parents[2]
#: Where the console scripts of this environment are.
OPENSTACK = Path(sys.executable).parent / "openstack"


class Cloud:
    """A running cloud.

    :ivar state: what devcloud says about it: ports, configuration files, databases
    """

    #: The newest microversion of each service that has them.
    MICROVERSIONS: Mapping[str, str] = {"nova": "compute 2.98", "placement": "placement 1.39"}

    def __init__(self, folder: Path, warm: WarmShell | None = None) -> None:
        self.folder = folder
        self._warm = warm
        self.state: Json = json.loads((folder / "state.json").read_text())
        self.clouds: Json = yaml.safe_load(Path(self.state["clouds_yaml"]).read_text())
        self._token: str | None = None
        self._project_id = ""

    def openstack(
        self,
        *args: str,
        check: bool = True,
        cloud: str = "devcloud",
        clouds_yaml: Path | None = None,
        cold: bool = False,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run the ``openstack`` shell of this environment.

        :param check: fail the test unless it exits 0
        :param cold: start the console script, even where a warm shell is at hand. It takes a
            second more, and sets of strings come in another order than in the warm shell.
        :param timeout: seconds after which the shell is ended and ``TimeoutExpired`` raised
        """
        environment = {
            **os.environ,
            "OS_CLIENT_CONFIG_FILE": str(clouds_yaml or self.state["clouds_yaml"]),
            "OS_CLOUD": cloud,
            "COLUMNS": "200",
        }
        if self._warm and not cold:
            run = self._warm.run(args, environment, timeout)
        else:
            run = subprocess.run(
                [OPENSTACK, *args],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        if check:
            assert run.returncode == 0, f"openstack {' '.join(args)}:\n{run.stdout}{run.stderr}"
        return run

    def show(self, *args: str, **kwargs: Any) -> Json:
        """Run ``openstack unique serial show`` and return its JSON."""
        run = self.openstack("unique", "serial", "show", "-f", "json", *args, **kwargs)
        shown: Json = json.loads(run.stdout)
        return shown

    @property
    def token(self) -> str:
        """A token of the administrator."""
        if self._token is None:
            auth = self.clouds["clouds"]["devcloud"]["auth"]
            domain = {"id": "default"}
            user: Json = {"name": auth["username"], "password": auth["password"], "domain": domain}
            body: Json = {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": {"name": auth["project_name"], "domain": domain}},
                }
            }
            answer = requests.post(f"{auth['auth_url']}/auth/tokens", json=body, timeout=60)
            answer.raise_for_status()
            self._token = answer.headers["X-Subject-Token"]
            self._project_id = str(answer.json()["token"]["project"]["id"])
        return self._token

    @property
    def project_id(self) -> str:
        """The project of the administrator."""
        assert self.token
        return self._project_id

    def raw(self, service: Service, method: str, path: str, body: Any = None) -> requests.Response:
        """Send one request as the administrator, past every client library."""
        url = f"{self.state['services'][service]['url']}{path}"
        headers = {"X-Auth-Token": self.token}
        if service in self.MICROVERSIONS:
            headers["OpenStack-API-Version"] = self.MICROVERSIONS[service]
        return requests.request(method, url, headers=headers, json=body, timeout=60)

    def get(self, service: Service, path: str) -> Json:
        """GET a document as the administrator."""
        answer = self.raw(service, "GET", path)
        answer.raise_for_status()
        document: Json = answer.json()
        return document

    # --- what is stored ---------------------------------------------------

    def extra_specs(self, flavor_id: str) -> Json:
        """Return the extra specs that Nova stores."""
        specs: Json = self.get("nova", f"/v2.1/flavors/{flavor_id}/os-extra_specs")["extra_specs"]
        return specs

    def aggregate(self, name: str) -> Json:
        """Return a host aggregate as Nova stores it."""
        aggregates = self.get("nova", "/v2.1/os-aggregates")["aggregates"]
        (found,) = [item for item in aggregates if item["name"] == name]
        aggregate: Json = found
        return aggregate

    def image(self, image_id: str) -> Json:
        """Return an image as Glance stores it."""
        return self.get("glance", f"/v2/images/{image_id}")

    # --- resources for tests, made without the code under test ------------

    def new_flavor(self, name: str, extra_specs: Json | None = None) -> str:
        """Create a small flavor and return its ID."""
        body = {"flavor": {"name": name, "ram": 64, "vcpus": 1, "disk": 1}}
        answer = self.raw("nova", "POST", "/v2.1/flavors", body)
        answer.raise_for_status()
        flavor_id = str(answer.json()["flavor"]["id"])
        if extra_specs:
            self.set_extra_specs(flavor_id, extra_specs)
        return flavor_id

    def set_extra_specs(self, flavor_id: str, extra_specs: Json) -> None:
        """Store extra specs, odd ones too: before 2.86 Nova does not look at them."""
        url = f"{self.state['services']['nova']['url']}/v2.1/flavors/{flavor_id}/os-extra_specs"
        headers = {"X-Auth-Token": self.token, "OpenStack-API-Version": "compute 2.61"}
        requests.post(
            url, headers=headers, json={"extra_specs": extra_specs}, timeout=60
        ).raise_for_status()

    def new_image(self, name: str, **properties: str) -> str:
        """Create an image that anyone can boot and return its ID."""
        body = {
            "name": name,
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "public",
            **properties,
        }
        answer = self.raw("glance", "POST", "/v2/images", body)
        answer.raise_for_status()
        image_id = str(answer.json()["id"])
        requests.put(
            f"{self.state['services']['glance']['url']}/v2/images/{image_id}/file",
            headers={"X-Auth-Token": self.token, "Content-Type": "application/octet-stream"},
            data=b"x",
            timeout=60,
        ).raise_for_status()
        return image_id

    def patch_image(self, image_id: str, **properties: str) -> None:
        """Set properties of an image."""
        requests.patch(
            f"{self.state['services']['glance']['url']}/v2/images/{image_id}",
            headers={
                "X-Auth-Token": self.token,
                "Content-Type": "application/openstack-images-v2.1-json-patch",
            },
            json=[{"op": "add", "path": f"/{k}", "value": v} for k, v in properties.items()],
            timeout=60,
        ).raise_for_status()

    def new_volume(self, name: str, image_id: str) -> str:
        """Create a bootable volume from an image, wait for it, and return its ID."""
        path = f"/v3/{self.project_id}/volumes"
        body = {"volume": {"name": name, "size": 1, "imageRef": image_id}}
        answer = self.raw("cinder", "POST", path, body)
        assert answer.status_code == 202, answer.text
        volume_id = str(answer.json()["volume"]["id"])
        self.wait_for_volume(volume_id)
        return volume_id

    def volume(self, volume_id: str) -> Json:
        """Return a volume as Cinder returns it."""
        record: Json = self.get("cinder", f"/v3/{self.project_id}/volumes/{volume_id}")["volume"]
        return record

    def wait_for_volume(self, volume_id: str) -> None:
        """Wait until a volume is available."""
        deadline = time.monotonic() + 60
        while self.volume(volume_id)["status"] != "available":
            assert time.monotonic() < deadline, "the volume did not become available"
            time.sleep(0.2)

    def boot(self, name: str, flavor_id: str, image_id: str, host: str | None = None) -> str:
        """Boot a server, wait until it is active, and return its ID."""
        return self._boot(name, flavor_id, host, imageRef=image_id)

    def boot_from_volumes(self, name: str, flavor_id: str, root: str, *data: str, host: str) -> str:
        """Boot a server from a volume, with more volumes attached, and return its ID."""
        disks = [
            {
                "uuid": volume,
                "source_type": "volume",
                "destination_type": "volume",
                "boot_index": 0 if volume == root else -1,
            }
            for volume in (root, *data)
        ]
        return self._boot(name, flavor_id, host, block_device_mapping_v2=disks)

    def boot_from_new_volume(self, name: str, flavor_id: str, image_id: str, host: str) -> str:
        """Boot a server from a volume that Nova makes from an image, and return its ID."""
        disk = {
            "uuid": image_id,
            "source_type": "image",
            "destination_type": "volume",
            "boot_index": 0,
            "volume_size": 1,
            "delete_on_termination": True,
        }
        while True:
            server = self._boot(name, flavor_id, host, block_device_mapping_v2=[disk])
            record = self.get("nova", f"/v2.1/servers/{server}")["server"]
            (root,) = record["os-extended-volumes:volumes_attached"]
            # Within one second nothing shows which was first.
            if self.volume(root["id"])["created_at"][:19] != record["created"][:19]:
                return server
            self.raw("nova", "DELETE", f"/v2.1/servers/{server}")

    def _boot(self, name: str, flavor_id: str, host: str | None, **source: Any) -> str:
        server = {"name": name, "flavorRef": flavor_id, "networks": "none", **source}
        if host:
            server["host"] = host
        answer = self.raw("nova", "POST", "/v2.1/servers", {"server": server})
        assert answer.status_code == 202, answer.text
        server_id = str(answer.json()["server"]["id"])
        self.wait(server_id, "ACTIVE")
        return server_id

    def wait(self, server_id: str, status: str) -> Json:
        """Wait until a server has a status and no task, and return its record."""
        deadline = time.monotonic() + 120
        while True:
            record: Json = self.get("nova", f"/v2.1/servers/{server_id}")["server"]
            if record["status"] == status and record.get("OS-EXT-STS:task_state") is None:
                return record
            assert record["status"] != "ERROR" or status == "ERROR", record.get("fault")
            assert time.monotonic() < deadline, f"server is {record['status']}, not {status}"
            time.sleep(0.2)

    def set_metadata(self, server_id: str, **metadata: str) -> None:
        """Add metadata to a server."""
        path = f"/v2.1/servers/{server_id}/metadata"
        answer = self.raw("nova", "POST", path, {"metadata": metadata})
        assert answer.status_code == 200, answer.text

    def action(self, server_id: str, **action: Any) -> None:
        """Send a server action."""
        answer = self.raw("nova", "POST", f"/v2.1/servers/{server_id}/action", action)
        assert answer.ok, answer.text


class SeededCloud(Cloud):
    """A running cloud that was seeded.

    :ivar manifest: what was written, and what must be found about it
    """

    def __init__(self, folder: Path, warm: WarmShell | None = None) -> None:
        super().__init__(folder, warm)
        self.manifest: Json = json.loads((folder / "run" / "seed.json").read_text())
