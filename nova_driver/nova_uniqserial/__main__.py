# SPDX-License-Identifier: Apache-2.0
"""The commands of this distribution.

Usage: python3 -m nova_uniqserial check [OPTIONS]
       python3 -m nova_uniqserial image_property show|set ARGUMENTS
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command that the first argument names.

    :returns: the exit code
    """
    # Each imports what it needs: check reports a Nova that cannot be imported.
    if sys.argv[1:2] == ["check"]:
        from nova_uniqserial.check import command

        return command.main(sys.argv[2:])
    from nova_uniqserial import image_property

    return image_property.main()


if __name__ == "__main__":
    sys.exit(main())
