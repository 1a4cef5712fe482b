# SPDX-License-Identifier: Apache-2.0
"""The effective policy of servers, and where it comes from. Pure."""
