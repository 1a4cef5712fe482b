# SPDX-License-Identifier: Apache-2.0
"""Whether Nova and the parts of this distribution load with this Python.

Nothing of Nova is imported at the top: a Nova that is missing or broken is a result.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator

from nova_uniqserial.check import folders
from nova_uniqserial.check.rows import Result, Row, reason, safe

_GROUP = "nova.api.extra_spec_validators"
_MODULE = "nova_uniqserial.extra_specs"
_SHIM = "nova.virt.uniqserial"
_INSTALL = (
    "Install nova-uniqserial again, into the folder that has Nova ('Install nova-uniqserial' in its"
    " manual)."
)
_OTHER_VERSION = (
    "Install a nova-uniqserial that supports this Nova, or remove it ('Roll back the driver' in its"
    " manual)."
)


def nova_compute() -> Row:
    """Import what nova-compute imports when it starts."""
    hidden = folders.hidden_nova()
    if hidden is not None:
        return Row(
            "nova",
            Result.FAILED,
            f"Nova is installed editable from {safe(hidden)}, and no Python process finds it:"
            f" {safe(os.path.join(folders.own(), 'nova'))}, which has only the driver of"
            " nova-uniqserial, comes first. No service of Nova starts.",
            folders.how_to_move_the_driver(os.path.join(hidden, "nova", "virt")),
        )
    argv = sys.argv
    try:
        # Nova 34 reads the configuration files that the arguments name when this is imported, and
        # its errors have lines of these files: read() reports these files without the lines.
        sys.argv = ["nova-compute"]
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
    finally:
        sys.argv = argv
    return Row("nova", Result.OK, f"Nova {safe(text)} in {safe(place)}.")


def assess() -> Iterator[Row]:
    """Yield a row for the driver, for the validator and for the image property."""
    for check, load, without in (
        ("driver", _driver, "nova-compute does not start with it"),
        ("validator", _validator, "nova-api refuses hw:unique_serial"),
        ("image-property", _image_property, "nova-api does not show hw_unique_serial"),
    ):
        yield _loaded(check, load, without)


class _PartError(Exception):
    """A part does not load.

    :ivar remedy: what to do
    """

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


def _loaded(check: str, load: Callable[[], str], without: str) -> Row:
    try:
        return Row(check, Result.OK, load())
    except _PartError as error:
        why, remedy = str(error), error.remedy
    except (Exception, SystemExit) as error:
        # The module in Nova's folder wraps the error in a long text for the log of nova-compute.
        cause = error.__cause__ or error
        why, remedy = reason(cause), _remedy(cause)
    return Row(check, Result.FAILED, f"It does not load ({without}): {why}.", remedy)


def _remedy(error: BaseException) -> str:
    """Return how to repair a part that does not load."""
    name = (error.name or "") if isinstance(error, ImportError) else ""
    is_novas = name.split(".")[0] == "nova" and name != _SHIM
    return _OTHER_VERSION if is_novas else _INSTALL


def _driver() -> str:
    import nova.virt

    virt = nova.virt.__path__[0]
    place = os.path.dirname(os.path.dirname(virt))
    try:
        from nova.virt.uniqserial import UniqueSerialLibvirtDriver
    except ModuleNotFoundError as error:
        if error.name != _SHIM:
            raise
        raise _PartError(
            f"Nova is in {safe(place)} and loads drivers from there only, and nova-uniqserial is in"
            f" {safe(folders.own())}",
            folders.how_to_move_the_driver(virt) if folders.is_editable(place) else _INSTALL,
        ) from None
    from nova_uniqserial import compatibility
    from nova_uniqserial.driver import check_nova

    try:
        check_nova(UniqueSerialLibvirtDriver)
    except compatibility.UnsupportedNovaError as error:
        why = f"it does not support this Nova: {'; '.join(map(safe, error.problems))}"
        raise _PartError(why, _OTHER_VERSION) from error
    version = importlib.metadata.version("nova-uniqserial")
    return f"nova-uniqserial {safe(version)} in {safe(folders.own())}."


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
