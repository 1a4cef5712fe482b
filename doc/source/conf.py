# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "osc-uniqserial"
copyright = "osc-uniqserial developers"
release = version = (ROOT / "VERSION").read_text().strip()
extensions = ["cliff.sphinxext", "finding_pages"]
exclude_patterns = ["reference/exit-codes.rst"]
if (ROOT / ".git").exists():
    extensions.append("reno.sphinxext")
else:
    # reno reads the notes of each release from the history.
    exclude_patterns.append("release-notes.rst")
    suppress_warnings = ["toc.excluded"]
html_theme = "alabaster"
html_theme_options = {"description": "Per-instance serial numbers for OpenStack"}
html_show_sourcelink = False
nitpicky = True
autoprogram_cliff_application = "openstack"
man_pages = [
    (
        "man/openstack-unique-serial",
        "openstack-unique-serial",
        "Per-instance serial numbers of OpenStack",
        ["osc-uniqserial developers"],
        1,
    ),
]
