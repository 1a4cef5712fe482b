# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

project = "osc-uniqserial"
copyright = "osc-uniqserial developers"
extensions = ["openstackdocstheme", "cliff.sphinxext", "reno.sphinxext"]
html_theme = "openstackdocs"
html_show_sourcelink = False
pygments_style = "native"
nitpicky = True
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_bug_project = ""
openstackdocs_use_storyboard = False
version = release = ""
autoprogram_cliff_application = "openstack"
