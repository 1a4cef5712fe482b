# SPDX-License-Identifier: Apache-2.0
"""Does Nova's API know the extra spec? Asked without writing anything."""

from __future__ import annotations

import uuid

from osc_uniqserial.api.rest import CloudError, Rest, WriteFailed, version
from osc_uniqserial.model.cloud import Validator
from osc_uniqserial.policy import FLAVOR_KEY

#: The first microversion at which Nova validates extra specs (Ussuri).
COMPUTE_VALIDATES = "2.86"
#: What Nova says of an extra spec without a validator
#: (nova/api/validation/extra_specs/validators.py).
_NOT_KNOWN = "does not appear to be a valid extra spec"


def extra_spec_validator(rest: Rest) -> Validator:
    """Ask one API server of Nova whether it has a validator for the extra spec.

    It is asked to store the key on a flavor that does not exist, under a random UUID:
    there is nothing that it could write to. Nova checks the right to do so first, the
    extra spec then, and only then looks for the flavor, in every release from Ussuri on
    (nova/api/openstack/compute/flavors_extraspecs.py, create). An older one, which would
    store any text, is not asked.

    :raises CloudError: when the answer tells nothing
    """
    newest = rest.compute_microversion(COMPUTE_VALIDATES)
    if version(newest) < version(COMPUTE_VALIDATES):
        return Validator.NONE
    flavor = str(uuid.uuid4())
    path = f"/flavors/{flavor}/os-extra_specs"
    body = {"extra_specs": {FLAVOR_KEY: "true"}}
    try:
        rest.send("compute", "POST", path, body, COMPUTE_VALIDATES)
    except WriteFailed as error:
        if error.status == 400 and _NOT_KNOWN in str(error):
            return Validator.MISSING
        # A gateway's own 404 is no answer of Nova.
        if error.status == 404 and f"Flavor {flavor} could not be found" in str(error):
            return Validator.LOADED
        raise
    raise CloudError("Nova (compute) accepted an extra spec for a flavor that does not exist")
