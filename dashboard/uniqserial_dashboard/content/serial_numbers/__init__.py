# SPDX-License-Identifier: Apache-2.0
"""Admin > Compute > Serial Numbers: the nightly report and the hosts."""
