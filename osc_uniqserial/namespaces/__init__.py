# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions as package data: links to the folder metadefs."""
