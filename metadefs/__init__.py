# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions of this project, as JSON files beside this one.

``glance-manage db_load_metadefs`` reads only the ``*.json`` files of a directory.
"""
