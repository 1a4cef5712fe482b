# SPDX-License-Identifier: Apache-2.0
"""Live serial numbers of guests, by source."""
