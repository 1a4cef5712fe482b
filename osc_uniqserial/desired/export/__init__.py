# SPDX-License-Identifier: Apache-2.0
"""The settings of a cloud today, as text for other tools. Pure.

Each format is a module with a :class:`Format`; the command line needs no change for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping

from osc_uniqserial.desired.export import ansible, flavor_manager, plan_file, terraform
from osc_uniqserial.desired.export.format import Format

#: The formats, by their names on the command line.
FORMATS: Mapping[str, Format] = {
    "plan": plan_file.FORMAT,
    "terraform": terraform.FORMAT,
    "ansible": ansible.FORMAT,
    "flavor-manager": flavor_manager.FORMAT,
}
