# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "osc-uniqserial"
copyright = "osc-uniqserial developers"
extensions = ["cliff.sphinxext", "reno.sphinxext", "finding_pages"]
html_theme = "alabaster"
html_theme_options = {"description": "Per-instance serial numbers for OpenStack"}
html_show_sourcelink = False
nitpicky = True
autoprogram_cliff_application = "openstack"
