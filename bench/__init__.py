# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each prints ratios against a baseline measured in the same run."""
