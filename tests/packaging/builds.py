"""Builds of a tree, by the hooks that pip calls, and what a wheel of the tree has to hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
HOMES = {"bnfuse": "bnfuse", "cli": "bnfuse/cli", "models": "bnfuse/models"}

_NOT_SOURCE = shutil.ignore_patterns(
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "demo*",
)


def copy_of_the_tree(to: Path) -> Path:
    """What is under version control or could be: the checkout itself is left alone by builds."""
    return Path(shutil.copytree(ROOT, to, ignore=_NOT_SOURCE))


def build(tree: Path, kind: str, to: Path) -> Path:
    """Call the build backend's hook ``build_KIND`` in ``tree``."""
    to.mkdir(parents=True, exist_ok=True)
    code = f"import setuptools.build_meta as b, sys; print(b.build_{kind}(sys.argv[1]))"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(to)],
        cwd=tree,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return to / ran.stdout.split()[-1]


def unpack(sdist: Path, to: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(to, filter="data")
    (tree,) = to.iterdir()
    return tree


def installed_by(tree: Path) -> dict[str, bytes]:
    """The package's files by the path they install to, read from the tree."""
    return {
        f"{place}/{file.relative_to(tree / home).as_posix()}": file.read_bytes()
        for home, place in HOMES.items()
        for file in (tree / home).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def held_by(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without its metadata."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name) for name in names}
