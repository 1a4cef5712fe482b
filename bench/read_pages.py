# SPDX-License-Identifier: Apache-2.0
"""The least that reading a whole cloud takes: bare GETs, one after the other.

Usage: python -m bench.read_pages [--parse]

The cloud is the one of OS_CLOUD. Every server, in the order that Nova prefers, with what servers
rest on: flavors, images, aggregates, hypervisors and services. Of the answers only the marker of
the next page is looked for; --parse makes objects of all JSON. Prints how many servers there are.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator

import openstack.config
from keystoneauth1.adapter import Adapter

_PAGE = "1000"
#: Each server has it once, and no text that users give can hold it: quotes are escaped there.
_ONCE = b'"OS-EXT-STS:vm_state"'


def documents(
    service: Adapter, path: str, query: dict[str, str], microversion: str | None, next_key: bytes
) -> Iterator[bytes]:
    """Yield the pages of a list, unread but for the marker behind a key at their end."""
    query = {**query, "limit": _PAGE}
    while True:
        page = service.get(path, params=query, microversion=microversion, log=False).content
        yield page
        at = page.rfind(next_key)
        found = re.search(rb"marker=([^&\"]+)", page[at:]) if at >= 0 else None
        if not found:
            return
        query["marker"] = found[1].decode()


def cloud(compute: Adapter, image: Adapter) -> Iterator[bytes]:
    """Yield everything that is read."""
    everything = {"visibility": "all"}
    yield from documents(image, "/images", everything, None, b'"next"')
    everywhere = {"is_public": "None"}
    yield from documents(compute, "/flavors/detail", everywhere, "2.98", b'"flavors_links"')
    yield from documents(compute, "/os-hypervisors/detail", {}, "2.87", b'"hypervisors_links"')
    for path in ("/os-aggregates", "/os-services"):
        yield compute.get(path, microversion="2.98", log=False).content
    tenants = {"all_tenants": "true"}
    yield from documents(compute, "/servers/detail", tenants, "2.98", b'"servers_links"')


def main() -> int:
    """Read, and print how many servers there are."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.read_pages", description="Read a whole cloud with bare GETs."
    )
    parser.add_argument("--parse", action="store_true", help="make objects of all JSON")
    args = parser.parse_args()
    region = openstack.config.get_cloud_region()
    session = region.get_session()
    compute, image = (
        Adapter(
            session,
            service_type=service,
            interface=region.get_interface(service),
            region_name=region.get_region_name(service),
            version="2",
        )
        for service in ("compute", "image")
    )
    servers = 0
    for document in cloud(compute, image):
        servers += document.count(_ONCE)
        if args.parse:
            json.loads(document)
    print(servers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
