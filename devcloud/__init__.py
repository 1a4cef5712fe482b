# SPDX-License-Identifier: Apache-2.0
"""An embedded OpenStack cloud: real services from PyPI on SQLite and loopback.

Everything that runs before the services' virtual environment exists uses the standard
library only. See ``python3 -m devcloud --help``.
"""

import sys

# Said here, in words that every Python 3 understands, before newer syntax is met.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("devcloud needs Python 3.11 or newer; this is Python " + sys.version.split()[0])
