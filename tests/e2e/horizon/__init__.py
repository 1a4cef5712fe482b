# SPDX-License-Identifier: Apache-2.0
"""What people get to see in Horizon, in a real browser."""
