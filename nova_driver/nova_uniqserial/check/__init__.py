# SPDX-License-Identifier: Apache-2.0
"""``python3 -m nova_uniqserial check``: what this installation does on a compute host."""
