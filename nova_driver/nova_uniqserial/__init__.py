# SPDX-License-Identifier: Apache-2.0
"""What makes Nova honour ``hw:unique_serial`` and ``hw_unique_serial``."""
