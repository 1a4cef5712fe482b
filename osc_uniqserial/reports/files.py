# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


class Target:
    """A file that will be written; until then what it was stays."""

    def __init__(self, path: str) -> None:
        """Find out whether it can be written, and leave nothing behind.

        :raises OSError: when it cannot
        """
        self.path = path
        # Where a link leads to is written, not the link.
        self.goal = Path(os.path.realpath(path))
        found = _stat(Path(path))
        if found and stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        # Such as /dev/stdout, or a pipe with a name: nothing can take its place, and who opens
        # it to see whether that is possible ends what waits for it.
        self._special = found is not None and not stat.S_ISREG(found.st_mode)
        if not self._special:
            self._draft().unlink()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def write(self, content: bytes) -> None:
        """Write it, for the same people as before.

        :raises OSError: when that failed; what it was is still there
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
            self._hand_over(draft)
            draft.replace(self.goal)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def _draft(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self.goal.parent, prefix=".report-")
        os.close(handle)
        return Path(name)

    def _hand_over(self, draft: Path) -> None:
        """Let the same people have it as before."""
        before = _stat(self.goal)
        if before is None:
            # What open() would have given; there is no way to ask for the mask alone.
            mask = os.umask(0)
            os.umask(mask)
            draft.chmod(0o666 & ~mask)
            return
        # Only root may give a file away.
        with contextlib.suppress(PermissionError):
            os.chown(draft, before.st_uid, before.st_gid)
        draft.chmod(stat.S_IMODE(before.st_mode))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
