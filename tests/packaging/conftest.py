from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builds import build, copy_of_the_tree, unpack
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Dist:
    """The distributions of the tree: an sdist, and a wheel that was built from the sdist."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def unpacked(self) -> Path:
        (tree,) = (self.folder / "unpacked").iterdir()
        return tree

    @property
    def wheel(self) -> Path:
        (wheel,) = (self.folder / "wheel").glob("*.whl")
        return wheel


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one test process makes and all of this run share."""
    base = factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / "packaging" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / ".made").touch()
    return folder


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    def make(folder: Path) -> None:
        tree = copy_of_the_tree(folder / "tree")
        sdist = build(tree, "sdist", folder / "sdist")
        build(unpack(sdist, folder / "unpacked"), "wheel", folder / "wheel")

    return Dist(once(tmp_path_factory, "dist", make))
