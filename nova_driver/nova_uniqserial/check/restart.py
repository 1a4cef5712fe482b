# SPDX-License-Identifier: Apache-2.0
"""Whether nova-compute needs a restart, and could start again. Standard library only."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence

from nova_uniqserial.check.process import Process, User
from nova_uniqserial.check.rows import Result, Row, first_of

#: Seconds in which a start script may write files before it becomes nova-compute (Kolla's does).
_START = 5
_ACCESS = "file-access"


def due(process: Process, files: Mapping[str, str]) -> Row:
    """Return whether files or folders changed after the process started.

    :param files: path -> what the file is; a folder changes if a file is added or removed
    """
    changed: dict[str, float] = {}
    for path, what in files.items():
        try:
            # Packages set the time of modification; the time of change is that of the installation.
            at = os.stat(path).st_ctime
        except OSError:
            continue
        if at > process.started + _START:
            changed[what] = max(at, changed.get(what, at))
    if not changed:
        return Row(
            "restart",
            Result.OK,
            f"nova-compute started {_when(process.started)}, after the last"
            " change of its configuration files and of nova-uniqserial.",
        )
    texts = [f"{what} ({_when(at)})" for what, at in changed.items()]
    return Row(
        "restart",
        Result.WARNING,
        f"nova-compute started {_when(process.started)}, before the last change of"
        f" {first_of(texts)}:"
        " it runs with what was there then.",
        "Restart nova-compute. Running guests are not affected.",
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def access(process: Process, paths: Sequence[str]) -> Row:
    """Return whether nova-compute can read files, as an installation with umask 077 forbids.

    :param paths: files and folders that nova-compute reads when it starts
    """
    user = process.user
    try:
        if user is None or process.environ is None:
            raise PermissionError
        with _rights(user):
            closed = list(_closed(paths))
    except OSError:
        return Row(
            _ACCESS,
            Result.UNKNOWN,
            "This user cannot find out what the user of nova-compute can read.",
            "Run this check as root or as the user of nova-compute.",
        )
    if not closed:
        text = f"nova-compute (UID {user.uid}) can read its configuration and nova-uniqserial."
        return Row(_ACCESS, Result.OK, text)
    return Row(
        _ACCESS,
        Result.FAILED,
        f"nova-compute (UID {user.uid}) cannot read {first_of(closed)}: its next"
        " start fails, or ignores them.",
        "Give its user permission to read them; install with umask 022.",
    )


@contextlib.contextmanager
def _rights(user: User) -> Iterator[None]:
    """Have the rights of another user.

    :raises PermissionError: this process cannot take them
    """
    own, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    if own == user.uid:
        yield
        return
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(own)
        os.setegid(gid)
        with contextlib.suppress(PermissionError):
            os.setgroups(groups)


def _closed(paths: Sequence[str]) -> Iterator[str]:
    """Yield the paths that this process is not permitted to read."""
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except PermissionError:
            yield path
        except OSError:
            # Removed meanwhile.
            continue
