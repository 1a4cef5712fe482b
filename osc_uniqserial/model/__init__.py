# SPDX-License-Identifier: Apache-2.0
"""The parts of a cloud, its guests and findings about them: typed values. Pure."""
