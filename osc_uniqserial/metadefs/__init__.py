# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions: what they should be, what differs, what to do.

The names here are all that other rooms use; ``catalog`` alone talks to Glance.
"""

from osc_uniqserial.metadefs.comparison import (
    DIFFERENCES,
    KEY,
    Comparison,
    Detail,
    Result,
    changes,
    compare,
    conflicts,
    foreign,
    leftover,
    may_conflict,
    without_namespaces,
)
from osc_uniqserial.metadefs.model import (
    Association,
    Item,
    Kind,
    Malformed,
    Namespace,
    load,
    parse_file,
    parse_page,
)
from osc_uniqserial.metadefs.plan import (
    COLLECTION,
    REPLACEMENT,
    Action,
    NotOurs,
    Plan,
    Row,
    Step,
    names,
    path,
    plan_install,
    plan_remove,
)

__all__ = [
    "COLLECTION",
    "DIFFERENCES",
    "KEY",
    "REPLACEMENT",
    "Action",
    "Association",
    "Comparison",
    "Detail",
    "Item",
    "Kind",
    "Malformed",
    "Namespace",
    "NotOurs",
    "Plan",
    "Result",
    "Row",
    "Step",
    "changes",
    "compare",
    "conflicts",
    "foreign",
    "leftover",
    "load",
    "may_conflict",
    "names",
    "parse_file",
    "parse_page",
    "path",
    "plan_install",
    "plan_remove",
    "without_namespaces",
]
