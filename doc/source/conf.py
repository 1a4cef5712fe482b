# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "osc-uniqserial"
copyright = "osc-uniqserial developers"
release = version = (ROOT / "VERSION").read_text().strip()
extensions = [
    "cliff.sphinxext",
    "finding_pages",
    "openstackdocstheme",
    "sphinx.ext.autodoc",
]
exclude_patterns = []
# The theme names another licence.
templates_path = ["_templates"]
if (ROOT / ".git").exists():
    extensions.append("reno.sphinxext")
else:
    # reno reads the notes of each release from the history.
    exclude_patterns.append("release-notes.rst")
    suppress_warnings = ["toc.excluded"]
    # The theme warns that there is no commit to name.
    logging.getLogger("sphinx.openstackdocstheme.ext").setLevel(logging.ERROR)
html_theme = "openstackdocs"
html_theme_options = {
    # Neither a tracker nor pages of docs.openstack.org.
    "analytics_tracking_code": "",
    "display_badge": False,
    "root_title": "osc-uniqserial",
}
html_static_path = ["_static"]
html_css_files = ["manual.css"]
# Dashes of options are kept.
smartquotes_action = "qe"
highlight_language = "text"
html_show_sourcelink = False
openstackdocs_auto_name = False
openstackdocs_auto_version = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
nitpicky = True
# Types that the page of the Python API does not describe.
nitpick_ignore_regex = [("py:class", r".*")]
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
