# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions: our namespaces, their comparison, and plans to write them.

Only ``catalog`` sends requests to Glance.
"""

from osc_uniqserial.metadefs.comparison import EVERY_NAMESPACE as EVERY_NAMESPACE
from osc_uniqserial.metadefs.comparison import Comparison as Comparison
from osc_uniqserial.metadefs.comparison import Fault as Fault
from osc_uniqserial.metadefs.comparison import NamespaceFault as NamespaceFault
from osc_uniqserial.metadefs.comparison import faults as faults
from osc_uniqserial.metadefs.model import Malformed as Malformed
from osc_uniqserial.metadefs.model import Namespace as Namespace
from osc_uniqserial.metadefs.model import load as load
