# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "osc-uniqserial"
copyright = "osc-uniqserial developers"
release = (Path(__file__).parents[2] / "VERSION").read_text().strip()
extensions = ["cliff.sphinxext", "reno.sphinxext", "finding_pages"]
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
exclude_patterns = ["exit-codes.rst"]
