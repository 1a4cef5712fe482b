# SPDX-License-Identifier: Apache-2.0
"""Build a release twice, check its files, and use the client in a clean environment.

Usage: python -m tests.package
"""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.repository import committed
from tools import release
from tools.release import ROOT

METADATA = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "top_level.txt",
}
COMMANDS = (
    "unique serial show",
    "unique serial list",
    "unique serial host list",
    "unique serial audit",
    "unique serial plan",
    "unique serial apply",
    "unique serial verify",
    "unique serial status",
    "unique serial export",
    "unique serial metadef install",
    "unique serial metadef check",
    "unique serial metadef remove",
)
VERSION = (ROOT / "VERSION").read_text().strip()
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command that must succeed and return what it printed."""
    return release.run(*command, folder=folder)


def tracked(*paths: str, folder: Path = ROOT) -> set[str]:
    """Return the files in git."""
    return set(run("git", "ls-files", *paths, folder=folder).split())


def compare(name: str, what: str, found: set[str], expected: set[str]) -> None:
    """Exit with a message if files differ from the expected ones."""
    if found != expected:
        sys.exit(
            f"{what} in {name}: unexpected {sorted(found - expected)},"
            f" missing {sorted(expected - found)}"
        )
    print(f"{name}: {len(found)} {what}, as expected")


def check_wheel(wheel: Path, expected: set[str], setup: configparser.ConfigParser) -> None:
    """A wheel has these files, its metadata and nothing else.

    :param setup: the setup.cfg of the distribution
    """
    metadata = METADATA if "options.entry_points" in setup else METADATA - {"entry_points.txt"}
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
    about = {name.removeprefix(info) for name in names if name.startswith(info)}
    files = {name for name in names if not name.startswith(info)}
    compare(wheel.name, "files", files, expected)
    compare(wheel.name, "metadata", about, metadata)
    headers = {
        "Name": setup["metadata"]["name"],
        "Version": VERSION,
        "Requires-Python": setup["options"]["python_requires"],
        "License": setup["metadata"]["license"],
    }
    for header, value in headers.items():
        if release.metadata(wheel)[header] != value:
            sys.exit(f"{header} of {wheel.name} is {release.metadata(wheel)[header]}, not {value}")


def read_setup(folder: Path) -> configparser.ConfigParser:
    """Return the setup.cfg of a distribution."""
    setup = configparser.ConfigParser()
    setup.read(folder / "setup.cfg")
    return setup


def read_requirements(setup: configparser.ConfigParser) -> set[str]:
    """Return the names of the distributions that a distribution requires."""
    return set(re.findall(r"^[\w.-]+", setup["options"]["install_requires"], re.M))


def check_sdist(sdist: Path, expected: set[str]) -> None:
    """A source distribution has the files of git, and no links to files outside."""
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    links = [member.name for member in members if not member.isfile()]
    if links:
        sys.exit(f"{sdist.name} has links: {links}")
    names = {member.name.partition("/")[2] for member in members}
    made = {name for name in names if name == "PKG-INFO" or ".egg-info/" in name}
    compare(sdist.name, "files", names - made, expected)


def check_driver(wheel: Path) -> None:
    """The part inside Nova has the client's own rules, nothing of Nova's, and no requirements."""
    if release.metadata(wheel)["Requires-Dist"]:
        sys.exit(f"{wheel.name} requires something: pip could bring another Nova")
    with zipfile.ZipFile(wheel) as archive:
        rules = (ROOT / "osc_uniqserial" / "policy.py").read_bytes()
        if archive.read("nova_uniqserial/policy.py") != rules:
            sys.exit(f"{wheel.name} has other rules than the client")


def check_same(first: Path, second: Path) -> None:
    """Two builds are equal."""
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    again = {path.name: path.read_bytes() for path in second.iterdir()}
    differing = sorted(name for name in files | again if files.get(name) != again.get(name))
    if differing:
        sys.exit(f"two builds of one commit differ: {', '.join(differing)}")
    print(f"{len(files)} files are equal in two builds")


def check_sbom(sbom: Path, name: str, expected: set[str], scratch: Path) -> None:
    """An SBOM is about a distribution, has its dependencies, and nothing of the build."""
    text = sbom.read_text()
    bom = json.loads(text)
    about = bom["metadata"]["component"]
    if (about["name"], about["version"]) != (name, VERSION):
        sys.exit(f"{sbom.name} is about {about['name']} {about['version']}")
    graph = {entry["ref"]: entry.get("dependsOn", []) for entry in bom["dependencies"]}
    found = {ref.partition("==")[0] for ref in graph[about["bom-ref"]]}
    compare(sbom.name, "direct dependencies", found, expected)
    if not found and bom.get("components"):
        sys.exit(f"{sbom.name} has components that nothing requires")
    if str(scratch) in text or "timestamp" in bom["metadata"] or "serialNumber" in bom:
        sys.exit(f"{sbom.name} depends on the time or the folder of the build")


def check_client(wheel: Path, python: Path) -> None:
    """The client works where only its requirements are installed, and requires no more."""
    pip = (*PIP, "--python", python)
    home = python.parents[1]
    installed = {line.split("==")[0] for line in run(*pip, "freeze").lower().splitlines()}
    extras = {"jinja2", "junitparser", "prometheus-client", "prometheus_client", "markupsafe"}
    unwanted = {"nova", "glance", "pytest", "hypothesis", "requests-mock", *extras}
    if installed & unwanted:
        sys.exit(f"the client pulls in {sorted(installed & unwanted)}")
    openstack = python.with_name("openstack")
    for command in COMMANDS:
        run(openstack, *command.split(), "--help")
    for stock in ("flavor set", "image set", "aggregate set"):
        if "--unique-serial" not in run(openstack, *stock.split(), "--help"):
            sys.exit(f"'openstack {stock}' does not offer --unique-serial")
    run(
        *(python, "-c"),
        "from osc_uniqserial import metadefs; assert len(list(metadefs.load())) == 3",
        folder=home,
    )
    run(*pip, "install", "--quiet", f"{wheel}[reports]")
    run(
        *(python, "-c"),
        "from osc_uniqserial.reports import html, junit, plan, prometheus; import jinja2;"
        " loader = jinja2.PackageLoader('osc_uniqserial', 'reports');"
        " loader.get_source(jinja2.Environment(autoescape=True), 'skeleton.html.j2')",
        folder=home,
    )
    print("the client works in a clean environment")


def check_git_url(scratch: Path) -> None:
    """Pip builds the driver from the URL of a repository."""
    folder = scratch / "wheel from git"
    repository = committed(scratch / "repository")
    url = f"nova-uniqserial @ git+{repository.as_uri()}#subdirectory=nova_driver"
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, url)
    (wheel,) = folder.iterdir()
    if release.metadata(wheel)["Version"] != VERSION:
        sys.exit(f"a build from a git URL is {wheel.name}, not version {VERSION}")
    print(f"{wheel.name}: built from a git URL")


def build_again(scratch: Path) -> Path:
    """Build in a clone without history and tags, with another umask and time zone."""
    clone, again = scratch / "a shallow clone", scratch / "again"
    again.mkdir()
    umask = os.umask(0o077)
    os.environ["TZ"] = "Asia/Tokyo"
    run("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", clone)
    release.build(clone, again)
    os.umask(umask)
    del os.environ["TZ"]
    return again


def main() -> None:
    """Check everything; exit with a message at the first thing that is wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        dist = scratch / "dist"
        dist.mkdir()
        driver, client, dashboard = release.build(ROOT, dist)
        check_same(dist, build_again(scratch))
        driver_sdist, client_sdist, dashboard_sdist = sorted(dist.glob("*.tar.gz"))
        check_sdist(driver_sdist, tracked(folder=ROOT / "nova_driver"))
        inside = tracked("nova_uniqserial", "nova", folder=ROOT / "nova_driver")
        check_wheel(driver, inside, read_setup(ROOT / "nova_driver"))
        check_driver(driver)
        check_sdist(client_sdist, tracked())
        setup = read_setup(ROOT)
        check_wheel(client, tracked("osc_uniqserial"), setup)
        check_sdist(dashboard_sdist, tracked(folder=ROOT / "dashboard"))
        inside = tracked("uniqserial_dashboard", folder=ROOT / "dashboard")
        plugin = read_setup(ROOT / "dashboard")
        check_wheel(dashboard, inside, plugin)
        check_git_url(scratch)
        python = release.install(driver, scratch / "driver")
        run(python, "-c", "import nova_uniqserial.policy", folder=scratch)
        check_sbom(release.write_sbom(driver, python, dist), "nova-uniqserial", set(), scratch)
        python = release.install(client, scratch / "client")
        required = read_requirements(setup)
        check_sbom(release.write_sbom(client, python, dist), "osc-uniqserial", required, scratch)
        check_client(client, python)
        python = release.install(dashboard, scratch / "dashboard")
        sbom = release.write_sbom(dashboard, python, dist)
        check_sbom(sbom, "uniqserial-dashboard", read_requirements(plugin), scratch)


if __name__ == "__main__":
    main()
