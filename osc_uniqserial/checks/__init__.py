# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a cloud: checks, and the engine that runs them. Pure."""
