# SPDX-License-Identifier: Apache-2.0
"""Lets pbr take part in the build; everything else is in setup.cfg."""

import setuptools

setuptools.setup(pbr=True)
