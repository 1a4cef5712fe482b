# SPDX-License-Identifier: Apache-2.0
"""Fill a cloud that is up with hosts, catalog and servers whose findings are known.

What has an API that can make it is made through the API. Hosts, servers and volumes are written
beside the running services, through their own objects (``devcloud.seed_nova`` and
``devcloud.seed_cinder``): booting thousands of servers takes too long, and hosts without a compute
cannot be had otherwise. They have no inventory in Placement, so the scheduler never takes them;
their servers can be looked at, not acted on.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from devcloud import databases, session, state
from devcloud.children import Children
from devcloud.config import PASSWORD, USERS
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.seed_plan import DISABLED, Host, Image, Plan, manifest
from devcloud.seed_scenarios import make_plan
from devcloud.terminal import Progress

Json = dict[str, Any]

#: The definition of the namespace that is installed privately.
NAMESPACE = SOURCE_ROOT / "metadefs" / "compute-unique-serial-aggregate.json"

#: Below the cloud's folder for one run: what must be found, and what the other processes write.
MANIFEST = "seed.json"
PLAN = "seed-plan.json"

#: Service -> the microversion to ask for. Before 2.86 Nova stores any extra spec.
_VERSIONS = {"nova": "compute 2.61", "placement": "placement 1.39"}


def run_seed(layout: Layout, progress: Progress, *, seed: int, servers: int, hosts: int) -> Json:
    """Seed the cloud, which must be up, and return the manifest."""
    current = session.running(layout)
    if current is None or current.phase != state.READY:
        raise DevcloudError("the cloud is not up: start it with 'devcloud up'")
    output = layout.run / MANIFEST
    marker = layout.run / PLAN
    if marker.exists():
        raise DevcloudError("this cloud was seeded before: start a fresh one with down and up")
    plan = make_plan(seed, servers, hosts, json.loads(NAMESPACE.read_text()))
    marker.touch()
    document = _Seed(layout, current, plan, progress).run()
    output.write_text(json.dumps(document, indent=1) + "\n")
    progress(f"{len(plan.servers)} servers; the manifest is in {output}")
    return document


class _Api:
    """The services' APIs, as the administrator."""

    def __init__(self, current: state.State) -> None:
        self._services = current.services
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        user, project = USERS["devcloud"]
        domain = {"id": "default"}
        self._token = ""
        identity = {"name": user, "password": PASSWORD, "domain": domain}
        headers, answer = self._send(
            "keystone",
            "POST",
            "/v3/auth/tokens",
            {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": identity}},
                    "scope": {"project": {"name": project, "domain": domain}},
                }
            },
        )
        self._token = headers["X-Subject-Token"]
        self.user_id = str(answer["token"]["user"]["id"])
        self.project_id = str(answer["token"]["project"]["id"])

    def __call__(self, service: str, method: str, path: str, body: object = None) -> Json:
        """Send one request and return the document of the answer."""
        return self._send(service, method, path, body)[1]

    def _send(
        self, service: str, method: str, path: str, body: object = None
    ) -> tuple[Mapping[str, str], Json]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        request = urllib.request.Request(  # noqa: S310 - a URL of ours
            self._services[service].url + path,
            data,
            {"X-Auth-Token": self._token, "Content-Type": "application/json"},
            method=method,
        )
        if isinstance(body, bytes):
            request.add_header("Content-Type", "application/octet-stream")
        if service in _VERSIONS:
            request.add_header("OpenStack-API-Version", _VERSIONS[service])
        try:
            with self._opener.open(request, timeout=120) as answer:
                text = answer.read()
                return answer.headers, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            raise DevcloudError(
                f"{service} answered {error.code} to {method} {path}",
                error.read().decode(errors="replace"),
            ) from error


class _Seed:
    """One run."""

    def __init__(
        self,
        layout: Layout,
        current: state.State,
        plan: Plan,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._plan = plan
        self._progress = progress
        self._api = _Api(current)
        self._projects: dict[str, str] = {}
        self._aggregates: dict[str, str] = {}

    def run(self) -> Json:
        """Write everything, in the order in which one needs the other."""
        plan = self._plan
        self._progress("projects, flavors, images, metadata definitions")
        self._make_projects()
        self._make_flavors()
        newest = max(self._make_image(image) for image in plan.images)
        for namespace in plan.namespaces:
            self._api("glance", "POST", "/v2/metadefs/namespaces", namespace)
        self._progress(f"{len(plan.hosts)} hosts")
        self._make_providers()
        self._write_plan()
        self._run_parts(("seed_nova", "nova", "hosts"))
        self._make_aggregates()
        self._disable_hosts()
        self._progress(f"{len(plan.servers)} servers")
        # They must not be older than their images: what an image said before a change is unknown.
        while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) <= newest:
            time.sleep(0.1)
        self._run_parts(("seed_nova", "nova", "servers"), ("seed_cinder", "cinder"))
        for flavor in plan.flavors:
            if flavor.temporary:
                self._api("nova", "DELETE", f"/v2.1/flavors/{flavor.id}")
        for image in plan.images:
            if image.temporary:
                self._api("glance", "DELETE", f"/v2/images/{image.id}")
        return manifest(plan, self._projects, self._aggregates)

    # --- through the APIs -------------------------------------------------

    def _make_projects(self) -> None:
        for name in self._plan.projects:
            body = {"project": {"name": name, "domain_id": "default"}}
            answer = self._api("keystone", "POST", "/v3/projects", body)
            self._projects[name] = str(answer["project"]["id"])

    def _make_flavors(self) -> None:
        for flavor in self._plan.flavors:
            body = {
                "id": flavor.id,
                "name": flavor.name,
                "ram": flavor.ram,
                "vcpus": flavor.vcpus,
                "disk": flavor.disk,
            }
            self._api("nova", "POST", "/v2.1/flavors", {"flavor": body})
            if flavor.specs:
                path = f"/v2.1/flavors/{flavor.id}/os-extra_specs"
                self._api("nova", "POST", path, {"extra_specs": flavor.specs})

    def _make_image(self, image: Image) -> str:
        """Make an image, and return when it was changed last."""
        body: Json = {
            "id": image.id,
            "name": image.name,
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": image.visibility,
            "os_hidden": image.hidden,
            **image.properties,
        }
        if image.owner:
            body["owner"] = self._projects[image.owner]
        self._api("glance", "POST", "/v2/images", body)
        self._api("glance", "PUT", f"/v2/images/{image.id}/file", b"x")
        return str(self._api("glance", "GET", f"/v2/images/{image.id}")["updated_at"])

    def _make_providers(self) -> None:
        traits = {trait for host in self._plan.hosts for trait in host.traits}
        for trait in sorted(traits):
            self._api("placement", "PUT", f"/traits/{trait}")
        for host in self._plan.hosts:
            self._make_provider(host)

    def _make_provider(self, host: Host) -> None:
        body = {"name": host.node, "uuid": host.uuid}
        made = self._api("placement", "POST", "/resource_providers", body)
        traits = [*host.traits, *([DISABLED] if host.disabled else [])]
        self._api(
            "placement",
            "PUT",
            f"/resource_providers/{host.uuid}/traits",
            {"traits": traits, "resource_provider_generation": made["generation"]},
        )

    def _make_aggregates(self) -> None:
        for aggregate in self._plan.aggregates:
            body: Json = {"name": aggregate.name}
            if aggregate.zone:
                body["availability_zone"] = aggregate.zone
            answer = self._api("nova", "POST", "/v2.1/os-aggregates", {"aggregate": body})
            number = str(answer["aggregate"]["id"])
            self._aggregates[aggregate.name] = number
            path = f"/v2.1/os-aggregates/{number}/action"
            if aggregate.metadata:
                metadata = {"metadata": aggregate.metadata}
                self._api("nova", "POST", path, {"set_metadata": metadata})
            for host in aggregate.hosts:
                self._api("nova", "POST", path, {"add_host": {"host": host}})

    def _disable_hosts(self) -> None:
        for host in self._plan.disabled:
            query = urllib.parse.urlencode({"binary": "nova-compute", "host": host})
            (service,) = self._api("nova", "GET", f"/v2.1/os-services?{query}")["services"]
            body = {"status": "disabled", "disabled_reason": "devcloud seed"}
            self._api("nova", "PUT", f"/v2.1/os-services/{service['id']}", body)

    # --- in the services' environment -------------------------------------

    def _write_plan(self) -> None:
        document = {
            "user_id": self._api.user_id,
            "project_id": self._api.project_id,
            "hosts": [{**asdict(host), "uuid": host.uuid} for host in self._plan.hosts],
            "images": {image.id: asdict(image) for image in self._plan.images},
            "servers": [
                {**asdict(server), "project_id": self._projects[server.project]}
                for server in self._plan.servers
            ],
        }
        (self._layout.run / PLAN).write_text(json.dumps(document))

    def _run_parts(self, *parts: tuple[str, ...]) -> None:
        """Run modules at the same time: (module, service, arguments before the common ones)."""
        layout = self._layout
        with Children() as children:
            for module, service, *arguments in parts:
                name = "-".join((module, *arguments))
                files = (layout.config_file(service), layout.run / PLAN)
                children.start(
                    name,
                    [layout.python, "-m", f"devcloud.{module}", *arguments, *files],
                    layout.log(name),
                    env=databases.service_environment(layout),
                    cwd=layout.run,
                )
            children.succeed("the cloud is seeded in part")
