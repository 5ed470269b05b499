"""Where a module would come from, and what importing it would run, found without importing it."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnfuse.loading.consent.effects import effects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.loading.consent.effects import Effect

__all__ = ["Origin", "origins_of"]

_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Origin:
    """A file of the user's that an import runs.

    Attributes:
        path: The file.
        effects: What it does beyond defining things.
    """

    path: Path
    effects: tuple[Effect, ...]


def origins_of(module: str) -> list[Origin]:
    """The files that importing ``module`` runs, in the order in which they are met.

    Files of installed packages and of Python itself are left out, and so is what is imported
    already; what the files import is followed.
    """
    found: dict[Path, Origin] = {}
    pending = [module]
    seen: set[str] = set()
    while pending:
        name = pending.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for part, path in _files(name):
            if path in found or part in sys.modules:
                continue
            tree = _parsed(path)
            found[path] = Origin(path, effects_of(tree) if tree is not None else ())
            if tree is not None:
                package = part if path.name == "__init__.py" else part.rpartition(".")[0]
                pending.extend(_imports(tree, package))
    return list(found.values())


def _files(module: str) -> Iterator[tuple[str, Path]]:
    """The file of each package on the way to a module, and its own."""
    search: list[str] | None = None
    parts = module.split(".")
    if parts[0] == "bnfuse":
        # A checkout of it lies outside the installed packages.
        return
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = _spec(name, search)
        if spec is None:
            return
        if spec.origin is not None and spec.origin.endswith(".py"):
            path = Path(spec.origin)
            if _is_installed(path):
                return
            yield name, path
        if spec.submodule_search_locations is None:
            return
        search = list(spec.submodule_search_locations)


def _spec(name: str, search: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    # importlib.util.find_spec would import the packages above.
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec: importlib.machinery.ModuleSpec | None = find(name, search) if find else None
        except Exception:
            continue
        if spec is not None:
            return spec
    return None


def _is_installed(path: Path) -> bool:
    if not set(_INSTALLED).isdisjoint(path.parts):
        return True
    return path.resolve().is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # The import says what is wrong with it.
        return None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """The modules that running a file imports; those that only its functions import are not."""
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from _executed(child)
