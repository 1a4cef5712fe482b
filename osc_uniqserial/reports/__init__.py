# SPDX-License-Identifier: Apache-2.0
"""Reports in files: what audit and verify found, for people and for machines.

Each format is a module with a function ``render(run) -> bytes``; libraries of some come with
the extra ``reports``.
"""

#: The formats, by the name of their module.
FORMATS = ("html", "junit", "prometheus", "json")
