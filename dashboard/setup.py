# SPDX-License-Identifier: Apache-2.0
"""For installers that run setup.py; setup.cfg has all data."""

import setuptools

setuptools.setup()
