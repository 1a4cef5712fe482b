# SPDX-License-Identifier: Apache-2.0
"""Per-instance serial numbers for OpenStack: set, see and explain them."""
