# SPDX-License-Identifier: Apache-2.0
"""Settings of the plugin. Horizon executes this file after ``local_settings.py``."""

from pathlib import Path

import uniqserial_dashboard
from openstack_dashboard.settings import DEFAULT_POLICY_FILES, POLICY_FILES

# Who sees Admin > Compute > Serial Numbers. Changes of the rules belong in uniqserial_policy.yaml,
# in Horizon's folder of policy files.
POLICY_FILES["uniqserial"] = "uniqserial_policy.yaml"
DEFAULT_POLICY_FILES["uniqserial"] = str(
    Path(uniqserial_dashboard.__file__).parent / "conf" / "uniqserial.yaml"
)
