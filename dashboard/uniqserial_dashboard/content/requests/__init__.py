# SPDX-License-Identifier: Apache-2.0
"""The URL of the button that asks for a unique serial number; a panel without a menu entry."""
