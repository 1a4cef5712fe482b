# SPDX-License-Identifier: Apache-2.0
"""Hold the source of a Nova against what the driver was written for, without importing it.

Usage: python -m tests.nova.contract NOVA...

NOVA is the folder that holds the package ``nova`` (site-packages), or a wheel of Nova. The parts
of Nova that matter, and why they do, are in contract.toml. A part has one accepted text or
several: Novas may differ in harmless ways, and a new one without changes passes untouched.
"""

from __future__ import annotations

import ast
import copy
import difflib
import re
import sys
import textwrap
import tomllib
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).with_name("contract.toml")

#: Where a Nova can be read: a folder, or a path inside a wheel.
Source = Path | zipfile.Path


@dataclass(frozen=True)
class Part:
    """A piece of Nova that the driver builds on.

    :ivar file: the module's path below ``nova/``
    :ivar name: the class, function or method; empty for the whole module; in quotes: the option
    :ivar keep: a regular expression: only statements that match it count, with what they
        are inside of. Without one, everything counts
    :ivar look: what to look at when it has changed
    :ivar accepted: the texts that the driver was written for
    """

    file: str
    name: str
    look: str
    accepted: tuple[str, ...]
    keep: str | None = None

    def __str__(self) -> str:
        what = f"{self.file}:{self.name}" if self.name else self.file
        return f"{what} /{self.keep}/" if self.keep is not None else what


def parts() -> list[Part]:
    """Return all parts, from the data file."""
    data = tomllib.loads(DATA.read_text())
    return [Part(**{**row, "accepted": tuple(row["accepted"])}) for row in data["part"]]


def problem(nova: Source, part: Part) -> str | None:
    """Return what is wrong with a part in a Nova; None when it is as expected."""
    found = extract(nova, part)
    accepted = [normal(text) for text in part.accepted]
    if found in accepted:
        return None
    closest = max(
        accepted, key=lambda text: difflib.SequenceMatcher(None, text, found or "").ratio()
    )
    diff = "\n".join(
        difflib.unified_diff(
            closest.splitlines(), (found or "").splitlines(), "expected", "found", lineterm=""
        )
    )
    change = "has changed" if found is not None else "is gone"
    return (
        f"{part} {change} in the Nova at {nova}.\n{diff}\n"
        f"Look at: {part.look}\n"
        f"If that still holds, add the new text to the accepted ones in {DATA.name}."
    )


def extract(nova: Source, part: Part) -> str | None:
    """Return the text of a part, without comments, docstrings and layout; None: it is not there."""
    tree = parsed(nova / "nova" / part.file)
    if part.name.startswith("'"):
        return option(tree, part.name)
    node: ast.AST | None = tree
    for name in filter(None, part.name.split(".")):
        body = getattr(node, "body", ())
        node = next((child for child in body if getattr(child, "name", None) == name), None)
    if node is None:
        return None
    node = copy.deepcopy(node)
    drop_docstrings(node)
    if part.keep is not None:
        prune(node, re.compile(part.keep))
    return ast.unparse(node)


def option(tree: ast.AST, name: str) -> str | None:
    """Return the definition of a configuration option, without its help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == name:
            keywords = [keyword for keyword in node.keywords if keyword.arg != "help"]
            return ast.unparse(ast.Call(node.func, node.args, keywords))
    return None


def normal(text: str) -> str:
    """Return an accepted text as :func:`extract` would."""
    tree = ast.parse(textwrap.dedent(text))
    drop_docstrings(tree)
    return ast.unparse(tree)


@cache
def parsed(path: Source) -> ast.Module:
    """Parse a file once; one that is not there is empty."""
    return ast.parse(path.read_text(encoding="utf-8") if path.is_file() else "")


def drop_docstrings(tree: ast.AST) -> None:
    """Remove the docstrings of everything inside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]


def prune(node: ast.AST, keep: re.Pattern[str]) -> bool:
    """Keep the statements that match, with all that they are inside of; tell whether any did."""
    found = False
    for field, children in ast.iter_fields(node):
        if not isinstance(children, list) or not is_block(children):
            continue
        kept = []
        for child in children:
            # What a compound statement says in its head counts for all of it.
            if keep.search(head(child)) or prune(child, keep):
                kept.append(child)
        found = found or bool(kept)
        setattr(node, field, kept or ([ast.Pass()] if field == "body" else []))
    return found


def is_block(children: list[ast.AST]) -> bool:
    """Whether a list holds statements or what holds statements itself."""
    return bool(children) and isinstance(children[0], ast.stmt | ast.ExceptHandler | ast.match_case)


def head(node: ast.AST) -> str:
    """Return the text of a statement without the statements inside."""
    shallow = copy.copy(node)
    for field, children in ast.iter_fields(node):
        if isinstance(children, list) and is_block(children):
            setattr(shallow, field, [ast.Pass()] if field == "body" else [])
    return ast.unparse(shallow)


def source(path: Path) -> Source:
    """Return where to read a Nova."""
    return zipfile.Path(path) if path.suffix == ".whl" else path


def main() -> int:
    """Check every Nova that is named; 1 when one of them differs."""
    worst = 0
    for name in sys.argv[1:]:
        nova = source(Path(name))
        if not (nova / "nova" / "virt" / "libvirt" / "driver.py").is_file():
            sys.exit(f"{name} does not hold a Nova")
        problems = [text for part in parts() if (text := problem(nova, part)) is not None]
        print(f"{Path(name).name}: {len(parts())} parts, {len(problems)} changed")
        for text in problems:
            print(textwrap.indent(text, "    "))
        worst = max(worst, bool(problems))
    return worst


if __name__ == "__main__":
    sys.exit(main())
