# SPDX-License-Identifier: Apache-2.0
"""Check that the running Nova still uses what the driver overrides.

A Nova that no longer has the method, or no longer calls it, would start with a driver that reports
traits and has no effect on serial numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType
from typing import Any

from nova import version
from nova.virt.libvirt import config

#: The method that is overridden.
METHOD = "_get_guest_config_sysinfo"
#: The attribute of its result that is set.
_SERIAL = "system_serial"


class UnsupportedNovaError(ImportError):
    """The driver does not fit this Nova.

    :ivar problems: what this Nova does not have
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "nova-uniqserial does not work with this Nova"
            f" ({version.version_string()}): {'; '.join(problems)}. nova-compute does"
            " not start, because guests would get a wrong serial number. Install a nova-uniqserial"
            " that supports this Nova, or set compute_driver = libvirt.LibvirtDriver and remove"
            " the CUSTOM_UNIQUE_SERIAL and CUSTOM_SYSINFO_SERIAL traits of this host from"
            " Placement."
        )


def check(stock: Sequence[type], override: Any, readers: Iterable[str]) -> None:
    """Check the stock driver.

    :param stock: the classes that the override replaces a method of, in their order
    :param override: the method that replaces the stock one
    :param readers: names of the methods that read a serial number of the host
    :raises UnsupportedNovaError: which keeps nova-compute from starting and is written to its log
    """
    problems = list(_problems(stock, override, readers))
    if problems:
        raise UnsupportedNovaError(problems)


def _problems(stock: Sequence[type], override: Any, readers: Iterable[str]) -> Iterator[str]:
    method = _method(stock, METHOD)
    if method is None:
        yield f"LibvirtDriver has no method {METHOD}"
    elif not _is_alike(method, override):
        yield f"LibvirtDriver.{METHOD} has other parameters: {inspect.signature(method)}"
    elif not any(map(_calls, stock)):
        yield f"LibvirtDriver no longer calls {METHOD}"
    for name in readers:
        reader = _method(stock, name)
        if reader is None:
            yield f"LibvirtDriver has no method {name}"
        elif not _binds(reader, None):
            yield f"LibvirtDriver.{name} has other parameters: {inspect.signature(reader)}"
    if not hasattr(config.LibvirtConfigGuestSysinfo(), _SERIAL):
        yield f"LibvirtConfigGuestSysinfo has no attribute {_SERIAL}"


def _method(classes: Sequence[type], name: str) -> Any:
    return next((vars(cls)[name] for cls in classes if name in vars(cls)), None)


def _is_alike(method: Any, override: Any) -> bool:
    """Return whether the override accepts the calls of the method, and can call it."""
    ours = list(inspect.signature(override).parameters)
    theirs = list(inspect.signature(method).parameters)
    # Without the instance itself, whose name does not matter.
    return ours[1:] == theirs[1:] and _binds(method, None, None)


def _binds(method: Any, *args: Any) -> bool:
    try:
        inspect.signature(method).bind(*args)
    except TypeError:
        return False
    return True


def _calls(cls: type) -> bool:
    """Return whether any method of a class uses the name of the overridden method."""
    functions = (inspect.unwrap(value) for value in vars(cls).values() if callable(value))
    codes = (getattr(function, "__code__", None) for function in functions)
    return any(METHOD in _names(code) for code in codes if code is not None)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code uses, with those of the functions inside."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
