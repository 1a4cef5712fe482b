# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions: our namespaces, their comparison, and plans to write them.

Other folders use the names here; only ``catalog`` sends requests to Glance.
"""

from osc_uniqserial.metadefs.comparison import (
    DIFFERENCES,
    EVERY_NAMESPACE,
    KEY,
    Comparison,
    Detail,
    Fault,
    NamespaceFault,
    Result,
    changes,
    compare,
    conflicts,
    faults,
    foreign,
    may_conflict,
)
from osc_uniqserial.metadefs.model import (
    Item,
    Kind,
    Malformed,
    Namespace,
    load,
    parse_file,
)
from osc_uniqserial.metadefs.plan import (
    COLLECTION,
    REPLACEMENT,
    Action,
    NotOurs,
    Plan,
    Step,
    names,
    path,
    plan_install,
    plan_remove,
)

__all__ = [
    "COLLECTION",
    "DIFFERENCES",
    "EVERY_NAMESPACE",
    "KEY",
    "REPLACEMENT",
    "Action",
    "Comparison",
    "Detail",
    "Fault",
    "Item",
    "Kind",
    "Malformed",
    "Namespace",
    "NamespaceFault",
    "NotOurs",
    "Plan",
    "Result",
    "Step",
    "changes",
    "compare",
    "conflicts",
    "faults",
    "foreign",
    "load",
    "may_conflict",
    "names",
    "parse_file",
    "path",
    "plan_install",
    "plan_remove",
]
