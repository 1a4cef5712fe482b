# SPDX-License-Identifier: Apache-2.0
"""The folders of Nova and of this distribution, also with an editable Nova (``pip install -e``).

Nova loads drivers from its own folder only, and pip writes the driver into site-packages. Nothing
of Nova is imported here: it may be hidden.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shlex
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import nova_uniqserial


def own() -> str:
    """Return the folder that this distribution is installed in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(nova_uniqserial.__file__)))


def package_files() -> Iterator[str]:
    """Yield the files that the services load."""
    places = (os.path.join(own(), name) for name in ("nova_uniqserial", "nova/virt/uniqserial"))
    for place in places:
        for parent, _, names in os.walk(place):
            yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))


def hidden_nova() -> str | None:
    """Return the source tree of an editable Nova that the driver's folder ``nova`` hides.

    The folder has no ``__init__.py``, so Python takes it for a namespace package. The finder that
    setuptools installs for an editable project is asked after the search of site-packages.
    """
    spec = importlib.util.find_spec("nova")
    if spec is None or spec.origin is not None:
        return None
    found = spec.submodule_search_locations or ()
    return _source() if os.path.join(own(), "nova") in found else None


def is_editable(place: str) -> bool:
    """Return whether Nova is installed editable.

    :param place: the folder that Python found the package nova in
    """
    # Installations with a .pth file by old versions of pip have no other record.
    return _source() is not None or os.path.exists(os.path.join(place, "setup.py"))


def _source() -> str | None:
    """Return the source tree of Nova that pip recorded for an editable installation (PEP 610)."""
    try:
        text = importlib.metadata.distribution("nova").read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return unquote(urlsplit(origin["url"]).path)


def how_to_move_the_driver(virt: str) -> str:
    """Return the remedy for a driver that is in site-packages, beside an editable Nova.

    :param virt: Nova's folder ``nova/virt``
    """
    folder = os.path.join(own(), "nova")
    driver = os.path.join("virt", "uniqserial")
    target = shlex.quote(os.path.join(virt, "uniqserial"))
    return (
        "Move the driver into the folder of Nova, now and after each installation of"
        f" nova-uniqserial: rm -rf {target} &&"
        f" mv {shlex.quote(os.path.join(folder, driver))} {target} && rm -r {shlex.quote(folder)}"
    )
