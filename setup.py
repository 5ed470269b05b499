"""What pyproject.toml has no words for: where the packages lie, and that every folder is one."""

from pathlib import Path
from shutil import rmtree

from setuptools import setup

HOMES = {"bnfuse": "bnfuse", "bnfuse.cli": "cli", "bnfuse.models": "models"}


def packages(name: str, home: str) -> set[str]:
    """The name of each folder below ``home`` that holds Python code."""
    folders = (file.parent.relative_to(home) for file in Path(home).rglob("*.py"))
    return {".".join((name, *folder.parts)) for folder in folders}


# setuptools would put what an earlier build left there into this one.
rmtree("build/lib", ignore_errors=True)

setup(
    packages=sorted(set().union(*(packages(*home) for home in HOMES.items()))),
    package_dir=HOMES,
)
