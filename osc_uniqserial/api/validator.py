# SPDX-License-Identifier: Apache-2.0
"""Whether Nova's API validates the extra spec: a request that cannot write anything."""

from __future__ import annotations

import uuid

from osc_uniqserial.api.rest import CloudError, Rest, WriteFailed, version
from osc_uniqserial.model.cloud import Validator
from osc_uniqserial.policy import FLAVOR_KEY

#: The first microversion with validation of extra specs (Ussuri).
COMPUTE_VALIDATES = "2.86"
#: Nova's error for an extra spec without a validator
#: (nova/api/validation/extra_specs/validators.py).
_NOT_KNOWN = "does not appear to be a valid extra spec"


def extra_spec_validator(rest: Rest) -> Validator:
    """Return whether one API server of Nova has a validator for the extra spec.

    The request stores the key on a flavor with a random UUID, which does not exist. From Ussuri
    on Nova checks the permission first, then the extra spec, and the flavor last
    (nova/api/openstack/compute/flavors_extraspecs.py, create). Older releases, which store any
    text, get no request.

    :raises CloudError: for any other answer
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
        # A gateway may answer 404 too.
        if error.status == 404 and f"Flavor {flavor} could not be found" in str(error):
            return Validator.LOADED
        raise
    raise CloudError("Nova (compute) accepted an extra spec for a flavor that does not exist")
