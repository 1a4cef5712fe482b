# SPDX-License-Identifier: Apache-2.0
"""The metadata definitions in the dialogs of Skyline."""
