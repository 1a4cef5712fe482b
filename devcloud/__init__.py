# SPDX-License-Identifier: Apache-2.0
"""An embedded OpenStack cloud: real services from PyPI on SQLite and loopback.

Everything that runs before the services' virtual environment exists uses the standard
library only. See ``python3 -m devcloud --help``.
"""
