# SPDX-License-Identifier: Apache-2.0
"""Compare deploy/ with clones of installers that are in no package registry.

Usage: python -m tests.deploy.upstream FOLDER

FOLDER has a clone, or its git directory, of each repository of recorded.toml as OWNER+NAME/repo.
The charts are rendered with Helm (helm-python-sdk of PyPI).
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.deploy.environment import DRIVER
from tests.deploy.test_values import HELM, RECORDED, RHOSO, load

_MANIFESTS = {
    "rhoso-version": "openstackversion.yaml",
    "rhoso-service": "nova-uniqserial-service.yaml",
    "rhoso-nodeset": "nodeset-machine-id.yaml",
}


def git(clones: Path, repository: str, *arguments: str) -> bytes:
    """Run git in a clone and return what it printed."""
    folder = clones / repository.replace("/", "+") / "repo"
    return subprocess.run(("git", "-C", folder, *arguments), check=True, capture_output=True).stdout


def render(clones: Path, repository: str, path: str, values: dict[str, Any]) -> list[str]:
    """Render a chart and return what is wrong with it.

    :param path: the folder of the chart in its repository
    """
    from helm_python.chart import Chart

    with tempfile.TemporaryDirectory() as scratch:
        for source in (path, "helm-toolkit"):
            owner = repository if source == path else "openstack/openstack-helm"
            data = git(clones, owner, "archive", "HEAD", source)
            target = scratch if source == path else f"{scratch}/{path}/charts"
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                # Python 3.11.2, which Debian 12 has, knows no filters.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(target)  # noqa: S202 - filtered
        manifests = Chart.load(f"{scratch}/{path}").render(values, name="nova")
    problems, images = [], {}
    for document in (doc for text in manifests.values() for doc in yaml.safe_load_all(text) if doc):
        if document["kind"] == "Secret" and "nova-compute.conf" in document.get("data", {}):
            text = base64.b64decode(document["data"]["nova-compute.conf"]).decode()
            if f"compute_driver = {DRIVER}\n" not in text:
                problems.append(f"{document['metadata']['name']} has another driver")
        if document["kind"] in ("DaemonSet", "Deployment"):
            for container in document["spec"]["template"]["spec"]["containers"]:
                images[container["name"]] = container
    for name, tag in (("nova-compute", "nova_compute"), ("nova-osapi", "nova_api")):
        if images[name]["image"] != values["images"]["tags"][tag]:
            problems.append(f"{name} has another image")
    mounts = {mount["mountPath"] for mount in images["nova-compute"]["volumeMounts"]}
    if "/etc/machine-id" not in mounts:
        problems.append("nova-compute has no machine ID")
    return problems


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
        commit = git(clones, record["repository"], "rev-parse", "HEAD").decode().strip()
        text = git(clones, record["repository"], "show", f"HEAD:{record['file']}").decode()
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
    atmosphere = load(HELM / "atmosphere.yml")
    images = {"images": {"tags": atmosphere["atmosphere_image_overrides"]}}
    charts = (
        ("openstack/openstack-helm", "nova", load(HELM / "values.yaml")),
        ("vexxhost/atmosphere", "charts/nova", {**atmosphere["nova_helm_values"], **images}),
    )
    for repository, path, values in charts:
        problems = render(clones, repository, path, values)
        wrong += bool(problems)
        print(f"chart {path} of {repository}: {'; '.join(problems) or 'rendered'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
