from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import Path as ZipPath

import pytest
from builds import build, copy_of_the_tree, unpack
from environments import Environment, bare, wanted
from filelock import FileLock
from packaging.requirements import Requirement
from pages import typed

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

    def requirements(self, extra: str = "") -> list[str]:
        """What the wheel's metadata asks for."""
        name = "-".join(self.wheel.name.split("-")[:2])
        metadata = PathDistribution(ZipPath(self.wheel, f"{name}.dist-info/"))
        return [_plain(one) for one in wanted(metadata.requires or [], extra)]


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    def make(folder: Path) -> None:
        tree = copy_of_the_tree(folder / "tree")
        sdist = build(tree, "sdist", folder / "sdist")
        build(unpack(sdist, folder / "unpacked"), "wheel", folder / "wheel")

    return Dist(_once(tmp_path_factory, "dist", make))


@pytest.fixture(scope="session")
def full(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What the README's first installation gives."""
    return _installed(tmp_path_factory, dist, "full", "Quick start")


@pytest.fixture(scope="session")
def served(full: Environment) -> Environment:
    """The same, for what is about the commands: that they start is the quick start's to show."""
    return full.served()


@pytest.fixture(scope="session")
def light(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What the README's installation without torch gives."""
    return _installed(tmp_path_factory, dist, "light", "Without PyTorch")


@pytest.fixture(scope="session")
def tested(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The installation without torch where pytest is at home."""
    return _installed(tmp_path_factory, dist, "tested", "Without PyTorch", "pytest")


def _installed(
    factory: pytest.TempPathFactory, dist: Dist, name: str, heading: str, *beside: str
) -> Environment:
    """An environment made by the lines that the README types under ``heading``.

    What they would download is there before, linked, as is what ``beside`` names, and nothing else
    is: pip needs an index for the build's setuptools alone. They run in an unpacked sdist, as they
    would in a checkout.
    """
    lines = [one.command for one in typed("README.md") if one.heading == heading]
    installs = [line for line in lines if line.startswith("pip install ")]
    assert installs

    def make(folder: Path) -> None:
        checkout = shutil.copytree(dist.unpacked, folder / "checkout")
        named = [one for line in installs for one in _requirements(dist, line)]
        made = bare(folder / "env", [*named, *beside])
        before = made.distributions()
        for line in installs:
            made.run(line, checkout)
        assert {name for name, _ in made.distributions().items() - before.items()} == {"bnfuse"}
        shutil.rmtree(checkout)

    return Environment(_once(factory, name, make) / "env")


def _requirements(dist: Dist, line: str) -> list[str]:
    """What one ``pip install`` would install besides bnfuse."""
    named = [one for one in shlex.split(line, comments=True)[2:] if not one.startswith("-")]
    here = [one for one in named if one.startswith(".")]
    extras = [one[2:-1] for one in here if one != "."]
    needed = [] if "--no-deps" in line or not here else dist.requirements(*extras)
    return [one for one in named if one not in here] + needed


def _plain(requirement: Requirement) -> str:
    requirement.marker = None
    return str(requirement)


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one test process makes and all of this run share."""
    base = factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / "packaging" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / ".made").touch()
    return folder
