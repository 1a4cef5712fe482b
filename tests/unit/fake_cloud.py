# SPDX-License-Identifier: Apache-2.0
"""The real shell in this process, against HTTP answers that a test writes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import requests_mock
from keystoneauth1 import fixture as ksa_fixture
from openstackclient import shell

from tests.unit.builders import Json

SERVER_ID = "11111111-1111-4111-8111-111111111111"
IMAGE_ID = "22222222-2222-4222-8222-222222222222"
FLAVOR_ID = "33333333-3333-4333-8333-333333333333"
PROVIDER_ID = "44444444-4444-4444-8444-444444444444"
VOLUME_ID = "66666666-6666-4666-8666-666666666666"
PROJECT_ID = "77777777777747778777777777777777"

KEYSTONE = "http://keystone.test/v3"
NOVA = "http://nova.test/v2.1"
GLANCE = "http://glance.test"
PLACEMENT = "http://placement.test"
CINDER = f"http://cinder.test/v3/{PROJECT_ID}"
ENDPOINTS = {
    "compute": NOVA,
    "image": GLANCE,
    "placement": PLACEMENT,
    "block-storage": CINDER,
    "identity": KEYSTONE,
}


def other_provider(number: int) -> str:
    """Return the resource provider of another host."""
    return f"55555555-5555-4555-8555-{number:012d}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run of the shell left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


#: What stores extra specs of any flavor, and what a stock Nova says to an unknown one.
ANY_EXTRA_SPECS = re.compile(re.escape(f"{NOVA}/flavors/") + r"[0-9a-f-]{36}/os-extra_specs$")
STOCK_VALIDATION = "extra spec 'hw:unique_serial' does not appear to be a valid extra spec."


@contextlib.contextmanager
def _own_log_handlers() -> Iterator[None]:
    """Take the handlers away that a shell adds: the next one would log to all of them."""
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        yield
    finally:
        root.handlers[:] = before


class FakeCloud:
    """Answers HTTP and runs ``openstack``."""

    def __init__(
        self, mocker: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, nova_newest: str
    ) -> None:
        self.http = mocker
        self._monkeypatch = monkeypatch
        self.notes = ""
        monkeypatch.setattr("time.sleep", lambda _seconds: None)
        self.catalog(*ENDPOINTS)
        self._discovery(nova_newest)

    def catalog(self, *service_types: str, scope: str = "project") -> None:
        """Set the services of the catalog.

        :param scope: of the token: project, domain or system
        """
        token = ksa_fixture.V3Token(project_id=PROJECT_ID if scope == "project" else None)
        if scope == "system":
            token.set_system_scope()
        if scope == "domain":
            token.set_domain_scope()
        for service_type in service_types:
            service = token.add_service(service_type, name=service_type)
            service.add_standard_endpoints(public=ENDPOINTS[service_type])
        self.token = token
        self.http.post(f"{KEYSTONE}/auth/tokens", json=token, headers={"X-Subject-Token": "t"})

    def _discovery(self, nova_newest: str) -> None:
        root = ksa_fixture.DiscoveryList(href="http://keystone.test", v2=False)
        self.http.get("http://keystone.test/", json=root)
        self.http.get(KEYSTONE, json={"version": root["versions"]["values"][0]})
        versions = {"id": "v2.1", "status": "CURRENT", "min_version": "2.1"}
        nova = {**versions, "version": nova_newest, "links": [{"rel": "self", "href": NOVA}]}
        self.http.get("http://nova.test/", json={"versions": [nova]})
        self.http.get(NOVA, json={"version": nova})
        self.http.get(f"{NOVA}/", json={"version": nova})
        glance = {
            "id": "v2.17",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": f"{GLANCE}/v2/"}],
        }
        # The stock Nova has no validator for the extra spec; the flavor is not one of ours.
        unknown = {"badRequest": {"code": 400, "message": STOCK_VALIDATION}}
        self.http.post(ANY_EXTRA_SPECS, json=unknown, status_code=400)
        self.http.get(GLANCE, json={"versions": [glance]})
        self.http.get(f"{GLANCE}/", json={"versions": [glance]})
        self.placement_newest("1.39")
        cinder = {
            "id": "v3.0",
            "status": "CURRENT",
            "min_version": "3.0",
            "version": "3.71",
            "links": [{"rel": "self", "href": "http://cinder.test/v3/"}],
        }
        for url in ("http://cinder.test/", "http://cinder.test/v3/", f"{CINDER}/", CINDER):
            self.http.get(url, json={"versions": [cinder]})

    def placement_newest(self, newest: str) -> None:
        """Set the newest microversion that Placement offers."""
        placement = {
            "id": "v1.0",
            "status": "CURRENT",
            "min_version": "1.0",
            "max_version": newest,
            "links": [{"rel": "self", "href": ""}],
        }
        for url in (PLACEMENT, f"{PLACEMENT}/"):
            self.http.get(url, json={"versions": [placement]})

    # --- resources that commands find -------------------------------------

    def flavor(self, extra_specs: Mapping[str, str] | None = None) -> None:
        """Answer for one flavor, "gold"; what is written to it is accepted."""
        flavor = {
            "id": FLAVOR_ID,
            "name": "gold",
            "ram": 1,
            "vcpus": 1,
            "disk": 1,
            "extra_specs": extra_specs or {},
            "os-flavor-access:is_public": True,
        }
        specs = f"{NOVA}/flavors/{FLAVOR_ID}/os-extra_specs"
        self.http.post(f"{NOVA}/flavors", json={"flavor": flavor})
        self.http.get(f"{NOVA}/flavors/gold", status_code=404)
        self.http.get(f"{NOVA}/flavors/detail", json={"flavors": [flavor]})
        self.http.get(specs, json={"extra_specs": extra_specs or {}})
        self.http.post(specs, json=lambda request, _context: request.json())
        for key in extra_specs or {}:
            self.http.delete(f"{specs}/{key}", status_code=200)

    def aggregate(self) -> None:
        """Answer for one host aggregate, "rack1", with ID 7."""
        aggregate = {"id": 7, "name": "rack1", "hosts": [], "metadata": {}, "uuid": FLAVOR_ID}
        self.http.post(f"{NOVA}/os-aggregates", json={"aggregate": aggregate})
        self.http.get(f"{NOVA}/os-aggregates/rack1", status_code=404)
        self.http.get(f"{NOVA}/os-aggregates", json={"aggregates": [aggregate]})
        self.http.post(f"{NOVA}/os-aggregates/7/action", json={"aggregate": aggregate})

    def image(self, properties: Mapping[str, str] | None = None) -> None:
        """Answer for one image, "debian"."""
        image = {"id": IMAGE_ID, "name": "debian", "status": "active", **(properties or {})}
        self.http.post(f"{GLANCE}/v2/images", json=image)
        self.http.put(f"{GLANCE}/v2/images/{IMAGE_ID}/file", status_code=204)
        self.http.get(f"{GLANCE}/v2/images/debian", status_code=404)
        self.http.get(f"{GLANCE}/v2/images", json={"images": [image]})
        self.http.get(f"{GLANCE}/v2/images/{IMAGE_ID}", json=image)
        self.http.patch(f"{GLANCE}/v2/images/{IMAGE_ID}", json=image)

    def volume(self) -> None:
        """Answer for one volume, "root"."""
        volume = {"id": VOLUME_ID, "name": "root", "size": 1, "metadata": {}}
        self.http.post(f"{CINDER}/volumes", json={"volume": volume})
        self.http.get(f"{CINDER}/volumes/root", status_code=404)
        self.http.get(f"{CINDER}/volumes", json={"volumes": [volume]})
        self.http.get(f"{CINDER}/volumes/detail", json={"volumes": [volume]})
        self.http.get(f"{CINDER}/volumes/{VOLUME_ID}", json={"volume": volume})
        self.http.post(f"{CINDER}/volumes/{VOLUME_ID}/action", json={})

    # --- a server and its host --------------------------------------------

    def server(
        self,
        *,
        flavor: Mapping[str, str] | None = None,
        frozen: Mapping[str, str] | None = None,
        image: Mapping[str, str] | None = None,
        flavor_now: Mapping[str, str] | None = None,
        changes: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Json:
        """Answer for one server, "web", on host "compute-1".

        ``flavor`` are its embedded extra specs, ``frozen`` the image properties
        at boot, ``image`` and ``flavor_now`` what both say now; ``changes``
        and ``fields`` replace fields of its record (None removes one).
        """
        changes = {**(changes or {}), **fields}
        record: Json = {
            "id": SERVER_ID,
            "name": "web",
            "tenant_id": PROJECT_ID,
            "status": "ACTIVE",
            "created": "2026-01-02T00:00:00Z",
            "metadata": {},
            "hostId": "a1",
            "pinned_availability_zone": None,
            "OS-EXT-SRV-ATTR:host": "compute-1",
            "OS-EXT-SRV-ATTR:hypervisor_hostname": "compute-1.example.org",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "os-extended-volumes:volumes_attached": [],
            "flavor": {"original_name": "gold", "extra_specs": flavor or {}},
            "image": {"id": IMAGE_ID, "properties": frozen or {}},
            **changes,
        }
        for key in [key for key, value in changes.items() if value is None]:
            del record[key]
        self.http.get(f"{NOVA}/servers/{SERVER_ID}", json={"server": record})
        self.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
        self.flavor(flavor if flavor_now is None else flavor_now)
        self.image({"updated_at": "2026-01-01T00:00:00Z", **(image or {})})
        return record

    def hosts(
        self,
        *traits: str,
        others: Sequence[Sequence[str]] = (),
        changes: Mapping[str, Any] | None = None,
        other_changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Answer for the server's host with these traits, and for other hosts.

        The others are "other-1" and so on, each with its own traits; Placement
        matches them as the real one does.
        """
        mine = {
            "id": PROVIDER_ID,
            "hypervisor_hostname": "compute-1.example.org",
            "hypervisor_type": "QEMU",
            "status": "enabled",
            "service": {"host": "compute-1"},
            "cpu_info": {"arch": "x86_64"},
        }
        rest = [
            {
                **mine,
                "id": other_provider(number),
                "hypervisor_hostname": f"other-{number}",
                "service": {"host": f"other-{number}"},
                **(other_changes or {}),
            }
            for number, _ in enumerate(others, 1)
        ]
        mine.update(changes or {})
        self.http.get(f"{NOVA}/os-hypervisors/detail", json={"hypervisors": [mine, *rest]})
        self.aggregates()
        by_provider = {PROVIDER_ID: set(traits)}
        by_provider |= {other_provider(n): set(has) for n, has in enumerate(others, 1)}
        names = {each["id"]: each["hypervisor_hostname"] for each in (mine, *rest)}
        self.placement(by_provider, names)

    def aggregates(self, *aggregates: Json) -> None:
        """Answer with host aggregates of these hosts and this metadata."""
        found = [
            {"id": number, "name": f"rack-{number}", "availability_zone": None, **each}
            for number, each in enumerate(aggregates, 1)
        ]
        self.http.get(f"{NOVA}/os-aggregates", json={"aggregates": found})

    def placement(
        self, by_provider: Mapping[str, set[str]], names: Mapping[str, str] | None = None
    ) -> None:
        """Answer for resource providers with these traits, as the real Placement does.

        :param names: of those that are no nested ones
        """
        names = names or {}
        known = set().union(*by_provider.values())

        def known_traits(request: Any, _context: Any) -> Json:
            (name,) = parse_qs(urlparse(request.url).query)["name"]
            return {"traits": sorted(known & set(name.removeprefix("in:").split(",")))}

        def providers(request: Any, context: Any) -> Json:
            found = set(by_provider)
            for wanted in parse_qs(urlparse(request.url).query).get("required", []):
                any_of = wanted.startswith("in:")
                terms = wanted.removeprefix("in:").split(",")
                if not {term.lstrip("!") for term in terms} <= known:
                    context.status_code = 400
                    return {"errors": [{"detail": "No such trait(s)"}]}
                found &= {
                    provider
                    for provider, has in by_provider.items()
                    if (any if any_of else all)(
                        (term[1:] not in has) if term[0] == "!" else term in has for term in terms
                    )
                }
            return {
                "resource_providers": [
                    {
                        "uuid": provider,
                        "name": names.get(provider, f"{provider}_nested"),
                        "parent_provider_uuid": None if provider in names else "a-root",
                    }
                    for provider in sorted(found)
                ]
            }

        self.http.get(f"{PLACEMENT}/traits", json=known_traits)
        self.http.get(f"{PLACEMENT}/resource_providers", json=providers)

    def show(self, *options: str) -> Json:
        """Run ``unique serial show`` on the server by name and return its JSON."""
        result = self.openstack("unique", "serial", "show", "web", "-f", "json", *options)
        assert result.code == 0, result.err
        self.notes = result.err
        document: Json = result.json
        return document

    # --- the shell --------------------------------------------------------

    def openstack(self, *args: str) -> Result:
        """Run the shell with the plugin, as the console script does."""
        environment = {
            "OS_AUTH_URL": KEYSTONE,
            "OS_USERNAME": "u",
            "OS_PASSWORD": "p",
            "OS_PROJECT_NAME": "p",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "COLUMNS": "200",
        }
        for name in [name for name in os.environ if name.startswith("OS_")]:
            # Whoever runs the tests may have a cloud.
            self._monkeypatch.delenv(name)
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            _own_log_handlers(),
        ):
            try:
                code = shell.main(list(args))
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Result(code, out.getvalue(), err.getvalue())

    def sent(self, method: str) -> list[requests_mock.request._RequestObjectProxy]:
        """Return the requests of one method, without authentication."""
        return [
            request
            for request in self.http.request_history
            if request.method == method and "/auth/tokens" not in request.url
        ]

    def writes(self) -> list[str]:
        """Return every request that could have changed something."""
        return [
            f"{request.method} {request.path}"
            for request in self.http.request_history
            if request.method not in ("GET", "HEAD") and "/auth/tokens" not in request.url
        ]

    def reads(self) -> list[str]:
        """Return the API reads after authentication and discovery."""
        return [
            request.path + (f"?{request.query}" if request.query else "")
            for request in self.sent("GET")
            if not re.fullmatch(r"/?|/v[0-9.]+/?|/v3/[0-9a-f]{32}/?", request.path)
        ]
