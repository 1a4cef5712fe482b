# SPDX-License-Identifier: Apache-2.0
"""The dependency rule: which rooms of the package may import which."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import osc_uniqserial

PACKAGE = Path(osc_uniqserial.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("**/*.py"))

#: The rooms that each room may import: a folder, or a module beside the folders.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "policy": set(),
    "keys": {"policy"},
    "text": set(),
    "masking": set(),
    "strict_yaml": set(),
    "model": {"policy", "text"},
    "api": {"masking", "model", "policy"},
    "guests": {"masking", "model"},
    "effective": {"model", "policy", "text"},
    "metadefs": {"policy"},
    "checks": {"effective", "metadefs", "model", "policy", "text"},
    "desired": {"effective", "keys", "metadefs", "model", "policy", "strict_yaml", "text"},
    "reports": {"checks", "effective", "model", "policy", "strict_yaml", "text"},
    "pipelines": {
        "api",
        "checks",
        "desired",
        "effective",
        "guests",
        "keys",
        "metadefs",
        "model",
        "policy",
    },
    "commands": {"masking", "policy", "reports", "text"},
    "hooks": {"keys", "policy", "text"},
}
#: What is imported inside of functions or for types alone: only when a cloud is asked.
LATER: dict[str, set[str]] = {
    "hooks": {"api", "pipelines"},
    "commands": {
        "api",
        "checks",
        "desired",
        "effective",
        "guests",
        "keys",
        "metadefs",
        "model",
        "pipelines",
        "strict_yaml",
    },
    "__init__": {"api", "guests", "model", "pipelines", "reports"},
}
#: Single files that may import more than their room.
EXCEPTIONS: dict[str, set[str]] = {
    "metadefs/catalog.py": {"api"},
    "desired/apply.py": {"api"},
}
#: Rooms that do no more than compute: the standard library, each other, and what is named.
PURE: dict[str, set[str]] = {
    "policy": set(),
    "keys": set(),
    "text": set(),
    "model": set(),
    "effective": set(),
    "checks": set(),
    "metadefs": {"jsonschema"},
    "desired": {"jsonschema"},
}
#: Files of other rooms that are pure too, and files of pure rooms that are not.
PURE_FILES: dict[str, set[str]] = {
    "api/evidence.py": set(),
    "api/records.py": {"msgspec"},
    "guests/domain_documents.py": {"defusedxml"},
    "guests/domain_xml.py": {"defusedxml"},
    "guests/encodings.py": set(),
    "guests/facts.py": set(),
    "guests/json_objects.py": set(),
}
NOT_PURE = {"metadefs/catalog.py", "desired/apply.py", "desired/journal.py"}


PAGE = PACKAGE.parent / "doc" / "source" / "contributor" / "layout.rst"


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def imports_of(file: str, *, only_at_import: bool = False) -> Iterator[str]:
    """Yield the modules that a file imports; of ``from x import y`` both x and x.y.

    :param only_at_import: leave out what is imported in functions or for types alone
    """
    pending: list[ast.AST] = [ast.parse((PACKAGE / file).read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if only_at_import and isinstance(node, ast.FunctionDef):
            continue
        if (
            only_at_import
            and isinstance(node, ast.If)
            and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            continue
        pending += ast.iter_child_nodes(node)


def rooms_imported_by(file: str, *, only_at_import: bool) -> set[str]:
    rooms = {path.stem if path.suffix else path.name for path in PACKAGE.iterdir()}
    parts = [name.split(".") for name in imports_of(file, only_at_import=only_at_import)]
    ours = {part[1] for part in parts if part[0] == "osc_uniqserial" and len(part) > 1}
    return (ours & rooms) - {room_of(file)}


def test_every_room_has_a_rule() -> None:
    assert {room_of(file) for file in FILES} == set(ALLOWED)


def rooms_of_the_page() -> dict[str, set[str]]:
    """Return the rooms that each room may import, as the documentation says."""
    table = PAGE.read_text().split("\n=============== ===")[2]
    rooms: dict[str, set[str]] = {}
    room = ""
    for line in table.splitlines()[1:]:
        room = line[:16].strip(" `") or room
        rooms.setdefault(room, set()).update(re.findall(r"[a-z_]+", line[62:].partition(";")[0]))
    return rooms


def test_the_documentation_draws_these_rooms() -> None:
    said = rooms_of_the_page()
    assert said.pop("commands") == {"everything", "but", "hooks"}
    expected = {room: ALLOWED[room] or {"nothing"} for room in ALLOWED.keys() - {"commands"}}
    del expected["__init__"]
    assert said == expected


@pytest.mark.parametrize("file", FILES)
def test_rooms_import_only_what_is_below_them(file: str) -> None:
    room = room_of(file)
    allowed = ALLOWED[room] | EXCEPTIONS.get(file, set())
    assert rooms_imported_by(file, only_at_import=True) <= allowed
    assert rooms_imported_by(file, only_at_import=False) <= allowed | LATER.get(room, set())


def test_no_room_imports_in_a_circle() -> None:
    """With what is imported later too: each room can be understood from below."""
    order = list(ALLOWED)
    below = {
        room: {
            found
            for file in FILES
            if room_of(file) == room and file not in EXCEPTIONS
            for found in rooms_imported_by(file, only_at_import=False)
        }
        for room in order
    }
    while below:
        free = {room for room, needs in below.items() if not needs}
        assert free, f"a circle of imports among {sorted(below)}"
        below = {room: needs - free for room, needs in below.items() if room not in free}


PURE_PATHS = {
    **{file: PURE[room_of(file)] for file in FILES if room_of(file) in PURE},
    **PURE_FILES,
}


@pytest.mark.parametrize("file", sorted(set(PURE_PATHS) - NOT_PURE))
def test_pure_files_need_the_standard_library_only(file: str) -> None:
    found = {name.split(".")[0] for name in imports_of(file)}
    assert found - {*sys.stdlib_module_names, "osc_uniqserial"} <= PURE_PATHS[file]
    # They read no clock, no environment and no network, and log nothing.
    assert not found & {"time", "datetime", "logging", "os", "socket", "subprocess", "threading"}


def test_only_rest_imports_the_sdk() -> None:
    importers = {
        file
        for file in FILES
        for name in imports_of(file, only_at_import=False)
        if name.split(".")[0] in ("keystoneauth1", "openstack")
        # For types alone, readers name the connection.
        and not name.startswith("openstack.connection")
    }
    assert importers == {"api/rest.py"}


def test_nobody_imports_commands_or_hooks() -> None:
    for file in FILES:
        found = rooms_imported_by(file, only_at_import=False)
        assert not found & {"commands", "hooks"}, file


def test_policy_is_valid_on_the_python_of_old_novas() -> None:
    """Nova 26 (Zed) still supports Python 3.8; the driver will run this text there."""
    ast.parse((PACKAGE / "policy.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("name", ["LICENSE", "VERSION", "nova_uniqserial/policy.py"])
def test_both_distributions_have_the_same_file(name: str) -> None:
    """A link in git; a source distribution has a copy."""
    root = PACKAGE.parent
    of_client = PACKAGE / "policy.py" if name.endswith("policy.py") else root / name
    assert (root / "nova_driver" / name).read_bytes() == of_client.read_bytes()


def test_every_namespace_file_is_packaged() -> None:
    """A new file in metadefs needs a link in the package."""
    metadefs = PACKAGE.parent / "metadefs"
    packaged = {path.name: path.read_bytes() for path in (PACKAGE / "metadefs").glob("*.json")}
    assert packaged == {path.name: path.read_bytes() for path in metadefs.iterdir()}
    assert packaged


def test_commands_import_little() -> None:
    """The shell imports the modules of all commands at every start, whatever it is to do."""
    commands = [file.removesuffix(".py") for file in FILES if file.startswith("commands/")]
    modules = [f"osc_uniqserial.{file.replace('/', '.')}" for file in commands]
    code = (
        "import sys, openstackclient.shell, openstackclient.command\n"
        f"import {', '.join(name.removesuffix('.__init__') for name in modules)}\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "jsonschema" not in loaded
    ours = {name.removeprefix("osc_uniqserial.") for name in loaded if "osc_uniqserial." in name}
    light = {name for name in ours if not name.startswith("commands")}
    assert light == {"masking", "policy", "reports", "text"}
