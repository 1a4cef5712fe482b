# SPDX-License-Identifier: Apache-2.0
"""The desired state of a cloud: a file, the changes that it needs, and their effects."""
