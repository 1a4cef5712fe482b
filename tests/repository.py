# SPDX-License-Identifier: Apache-2.0
"""A copy of this repository for pip, which makes partial clones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcloud.layout import SOURCE_ROOT


def committed(folder: Path) -> Path:
    """Make a repository in a new folder: the files of HEAD, in one commit of the branch main.

    Pip waits without end for a partial clone of a shallow repository, which this one may be.
    """
    # Nothing of the user's: hooks, signatures, templates.
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str | Path, place: Path = folder) -> None:
        command = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", *words)
        subprocess.run(command, cwd=place, env=environ, check=True)

    git("clone", "--quiet", "--depth=1", SOURCE_ROOT.as_uri(), folder, place=folder.parent)
    shutil.rmtree(folder / ".git")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message=all files")
    return folder
