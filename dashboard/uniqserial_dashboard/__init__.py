# SPDX-License-Identifier: Apache-2.0
"""Serial numbers of servers in Horizon."""
