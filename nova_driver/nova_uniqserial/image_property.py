# SPDX-License-Identifier: Apache-2.0
"""Nova's ``nova-manage image_property``, for ``hw_unique_serial``.

Arguments, states, output and exit codes are Nova's (nova/cmd/manage.py, ImagePropertyCommands).
nova-manage itself loads no image properties of others, and refuses this one with exit code 5.
"""

from __future__ import annotations

import sys
from typing import Any

# First: it decides whether Nova runs with threads, and patches what it must.
from nova.cmd import manage

# isort: split
from nova_uniqserial import image_meta
from nova_uniqserial.policy import IMAGE_KEY, Setting, parse

_CATEGORY = "image_property"


class ImagePropertyCommands(manage.ImagePropertyCommands):  # type: ignore[misc]  # Nova: no types
    """Nova's commands, which accept no text for ``hw_unique_serial`` that is not a boolean."""

    def _validate_image_properties(self, image_properties: list[str]) -> Any:
        properties = super()._validate_image_properties(image_properties)
        value = parse(properties.get(IMAGE_KEY))
        if value.setting is Setting.INVALID:
            raise ValueError(f"{IMAGE_KEY} is {value.raw!r}, which is neither true nor false.")
        return properties


def main() -> int:
    """Run nova-manage with this one category.

    :returns: the exit code
    """
    manage.CATEGORIES.clear()
    manage.CATEGORIES[_CATEGORY] = ImagePropertyCommands
    image_meta.register()
    # Nova chooses its configuration files by the name of the program.
    sys.argv[0] = "nova-manage"
    try:
        code: int = manage.main()
    except SystemExit as end:
        if end.code == 2:
            print(
                f"python3 -m nova_uniqserial is nova-manage with {_CATEGORY} as its only category,"
                f" which accepts {IMAGE_KEY} here. Use nova-manage for the other categories.",
                file=sys.stderr,
            )
        raise
    return code
