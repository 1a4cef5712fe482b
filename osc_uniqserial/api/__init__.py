# SPDX-License-Identifier: Apache-2.0
"""The OpenStack APIs: what they return, as the objects of the model."""
