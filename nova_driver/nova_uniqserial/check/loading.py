# SPDX-License-Identifier: Apache-2.0
"""Whether Nova and the parts of this distribution load with this Python.

Nothing of Nova is imported at the top: a Nova that is missing or broken is a result.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator

import nova_uniqserial
from nova_uniqserial.check.rows import Result, Row, reason, safe

_GROUP = "nova.api.extra_spec_validators"
_MODULE = "nova_uniqserial.extra_specs"
_INSTALL = "Install nova-uniqserial again, into the folder that has Nova (its guide: Install)."


def folder() -> str:
    """Return the folder that this distribution is installed in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(nova_uniqserial.__file__)))


def package_files() -> Iterator[str]:
    """Yield the files that the services load."""
    places = (os.path.join(folder(), name) for name in ("nova_uniqserial", "nova/virt/uniqserial"))
    for place in places:
        for parent, _, names in os.walk(place):
            yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))


def nova_compute() -> Row:
    """Import what nova-compute imports when it starts."""
    try:
        # It decides whether Nova runs with threads, and patches what it must: before all others.
        import nova.cmd.compute
        from nova import version

        text = version.version_string()
        place = os.path.dirname(nova.__path__[0])
    except (Exception, SystemExit) as error:
        return Row(
            "nova",
            Result.FAILED,
            f"nova-compute cannot be imported with this Python: {reason(error)}.",
            "Run this check with the Python of nova-compute, or repair that Nova.",
        )
    return Row("nova", Result.OK, f"Nova {safe(text)} in {safe(place)}.")


def assess() -> Iterator[Row]:
    """Yield a row for the driver, for the validator and for the image property."""
    for check, load, without in (
        ("driver", _driver, "nova-compute does not start with it"),
        ("validator", _validator, "nova-api refuses hw:unique_serial"),
        ("image-property", _image_property, "nova-api does not show hw_unique_serial"),
    ):
        yield _loaded(check, load, without)


def _loaded(check: str, load: Callable[[], str], without: str) -> Row:
    try:
        return Row(check, Result.OK, load())
    except (Exception, SystemExit) as error:
        return Row(
            check, Result.FAILED, f"It does not load ({without}): {reason(error)}.", _INSTALL
        )


def _driver() -> str:
    import nova.virt

    expected = os.path.dirname(os.path.dirname(nova.virt.__path__[0]))
    try:
        from nova.virt.uniqserial import UniqueSerialLibvirtDriver
    except ModuleNotFoundError as error:
        if error.name != "nova.virt.uniqserial":
            raise
        raise ImportError(
            f"Nova is in {expected} and loads drivers from there only, and nova-uniqserial is in"
            f" {folder()}"
        ) from None
    UniqueSerialLibvirtDriver.check_nova()
    version = importlib.metadata.version("nova-uniqserial")
    return f"nova-uniqserial {safe(version)} in {safe(folder())}."


def _validator() -> str:
    points = importlib.metadata.entry_points()
    # Before Python 3.10 a dictionary.
    group = points.select(group=_GROUP) if hasattr(points, "select") else points.get(_GROUP, ())
    modules = [point.load() for point in group if point.value == _MODULE]
    if not modules:
        raise ImportError(f"no entry point of {_GROUP} names {_MODULE}")
    names = ", ".join(validator.name for validator in modules[0].validators())
    return f"nova-api accepts {names} with this Python (after a restart)."


def _image_property() -> str:
    from nova import objects

    from nova_uniqserial import image_meta
    from nova_uniqserial.policy import IMAGE_KEY

    image_meta.register()
    if IMAGE_KEY not in objects.ImageMetaProps.fields:
        raise ImportError(f"{IMAGE_KEY} is not among Nova's image properties")
    return f"{IMAGE_KEY} is among Nova's image properties."
