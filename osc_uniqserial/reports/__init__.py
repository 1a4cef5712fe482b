# SPDX-License-Identifier: Apache-2.0
"""Report files of audit and verify.

Each format is a module with a function ``render(run) -> bytes``; the extra ``reports`` installs
the libraries that some of them need.
"""

#: The report formats; each is the name of a module here.
FORMATS = ("html", "junit", "prometheus", "json", "sarif")
