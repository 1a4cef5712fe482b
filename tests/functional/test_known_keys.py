# SPDX-License-Identifier: Apache-2.0
"""No key of Nova or Glance is reported as another spelling of ours."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from osc_uniqserial import policy
from tests.functional.cloud import Cloud

#: Prints the extra specs and image properties that the services of the cloud know.
_LIST = """
import json
from nova.api.validation.extra_specs import validators
from nova.objects.image_meta import ImageMetaProps
validators.load_validators()
print(json.dumps([*validators.VALIDATORS, *ImageMetaProps.fields]))
"""


def keys_of_definitions(folder: Path) -> set[str]:
    """Return the keys of the metadata definitions that come with Glance, with each prefix."""
    found = set()
    for file in folder.glob("*.json"):
        document = json.loads(file.read_text())
        properties = {*document.get("properties", ())}
        for each in document.get("objects", ()):
            properties |= {*each.get("properties", ())}
        for each in document.get("resource_type_associations", ()):
            found |= {each.get("prefix", "") + name for name in properties}
    return found


def test_no_false_alarm(cloud: Cloud) -> None:
    home = Path(cloud.state["venv"])
    run = subprocess.run(
        [home / "bin" / "python", "-W", "ignore", "-c", _LIST],
        capture_output=True,
        text=True,
        check=True,
    )
    nova = set(json.loads(run.stdout.splitlines()[-1]))
    glance = keys_of_definitions(home / "etc" / "glance" / "metadefs")
    assert len(nova) > 500
    assert len(glance) > 200
    wrong = {key for key in nova | glance if policy.is_misspelt(key) or policy.is_near_miss(key)}
    assert wrong == set()
