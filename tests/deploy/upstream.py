# SPDX-License-Identifier: Apache-2.0
"""Compare deploy/ with clones of installers that are in no package registry.

Usage: python -m tests.deploy.upstream FOLDER

FOLDER has a clone, or its git directory, of each repository of recorded.toml as OWNER+NAME/repo.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.deploy.test_values import RECORDED, RHOSO, load

_MANIFESTS = {
    "rhoso-version": "openstackversion.yaml",
    "rhoso-service": "nova-uniqserial-service.yaml",
    "rhoso-nodeset": "nodeset-machine-id.yaml",
}


def show(clones: Path, record: dict[str, Any]) -> tuple[str, str]:
    """Return the newest commit of a clone and the recorded file."""
    git = ("git", "-C", str(clones / record["repository"].replace("/", "+") / "repo"))

    def run(*arguments: str) -> str:
        done = subprocess.run((*git, *arguments), check=True, capture_output=True, text=True)
        return done.stdout

    return run("rev-parse", "HEAD").strip(), run("show", f"HEAD:{record['file']}")


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of Kubernetes that refuses unknown fields and, for patches, requires none."""
    made = {
        key: closed(value) if isinstance(value, dict) else value
        for key, value in schema.items()
        if not (key == "required" and isinstance(value, list))
    }
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if made.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = True
    return made


def is_read(text: str, name: str) -> bool:
    """Return whether a file of values or variables has a name."""
    value = yaml.safe_load(text)
    if isinstance(value, dict):
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
        else:
            return True
    # A variable that has no default.
    return "." not in name and name in text


def main() -> int:
    """Print a line for each record; return 1 if one does not match."""
    clones = Path(sys.argv[1]).resolve()
    wrong = 0
    for name, record in RECORDED.items():
        commit, text = show(clones, record)
        if name in _MANIFESTS:
            (version,) = yaml.safe_load(text)["spec"]["versions"]
            schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
            validator = jsonschema.Draft7Validator(schema)
            spec = load(RHOSO / _MANIFESTS[name])["spec"]
            problems = [error.message for error in validator.iter_errors(spec)]
        else:
            problems = [f"no {path}" for path in record["names"] if not is_read(text, path)]
        wrong += bool(problems)
        print(f"{name} {commit[:12]} {record['file']}: {'; '.join(problems) or 'matches'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
