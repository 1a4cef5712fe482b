# SPDX-License-Identifier: Apache-2.0
"""Where Horizon looks for the settings of a site: a package ``local`` on Python's path."""
