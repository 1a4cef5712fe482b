# SPDX-License-Identifier: Apache-2.0
"""Atomic writes of report files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


class Target:
    """A file that is replaced as a whole.

    :ivar goal: the path behind symbolic links
    """

    def __init__(self, path: str) -> None:
        """Check that the path is writable without leaving a file.

        :raises OSError: when it is not writable
        """
        self.path = path
        self.goal = Path(os.path.realpath(path))
        found = _stat(Path(path))
        if found and stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        # Devices and named pipes cannot be replaced. Opening a pipe for this check would send
        # its reader an end of file.
        self._special = found is not None and not stat.S_ISREG(found.st_mode)
        if not self._special:
            self._draft().unlink()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def write(self, content: bytes) -> None:
        """Write the file and keep the owner and permissions of the file that is replaced.

        :raises OSError: when writing failed; an existing file is unchanged
        """
        if self._special:
            with Path(self.path).open("wb") as stream:
                stream.write(content)
            return
        draft = self._draft()
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            self._copy_permissions(draft)
            draft.replace(self.goal)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def _draft(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self.goal.parent, prefix=".report-")
        os.close(handle)
        return Path(name)

    def _copy_permissions(self, draft: Path) -> None:
        before = _stat(self.goal)
        if before is None:
            # The mode that open() gives a new file. The mask can only be read by setting it.
            mask = os.umask(0)
            os.umask(mask)
            draft.chmod(0o666 & ~mask)
            return
        # Only root may change the owner.
        with contextlib.suppress(PermissionError):
            os.chown(draft, before.st_uid, before.st_gid)
        # A report is no program: setuid, setgid and sticky bits are dropped.
        draft.chmod(before.st_mode & 0o777)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
