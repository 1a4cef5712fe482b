# SPDX-License-Identifier: Apache-2.0
"""The commands ``openstack unique serial ...``, one module a noun."""
