"""A wheel holds what the tree holds: no package, no data file and no byte more or less."""

from __future__ import annotations

import subprocess
import sys
from email.parser import Parser
from zipfile import ZipFile

import pytest
from builds import build, copy_of_the_tree, held_by, installed_by, unpack

import bnfuse

ADDED = {
    "bnfuse/added/deeper/module.py": "FOUND = 1\n",
    "bnfuse/added/deeper/__init__.py": "",
    "bnfuse/without_init/module.py": "FOUND = 2\n",
    "bnfuse/tables/deep/one.json": "{}\n",
    "cli/added/__init__.py": "FOUND = 3\n",
    "models/added/data.csv": "1\n",
    "models/added/__init__.py": "FOUND = 4\n",
}


@pytest.fixture
def grown_tree(tmp_path):
    """The tree with packages and data in it that nobody listed anywhere."""
    tree = copy_of_the_tree(tmp_path / "tree")
    for name, text in ADDED.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tree


def test_the_wheel_of_the_sdist_is_the_tree(dist):
    held, tree = held_by(dist.wheel), installed_by(dist.tree)
    assert sorted(held) == sorted(tree)
    assert held == tree
    assert "bnfuse/py.typed" in held
    assert {"bnfuse/onnxfiles/__init__.py", "bnfuse/cli/main.py", "bnfuse/models/digits.py"} < {
        *held
    }


def test_a_package_or_data_file_that_nobody_listed_is_in_the_wheel_and_the_sdist(
    grown_tree, tmp_path
):
    sdist = build(grown_tree, "sdist", tmp_path / "sdist")
    from_sdist = build(unpack(sdist, tmp_path / "unpacked"), "wheel", tmp_path / "from_sdist")
    assert held_by(from_sdist) == installed_by(grown_tree)
    assert held_by(build(grown_tree, "wheel", tmp_path / "out")) == installed_by(grown_tree)


def test_nothing_of_an_earlier_build_is_in_the_wheel(grown_tree, tmp_path):
    build(grown_tree, "wheel", tmp_path / "earlier")
    (grown_tree / "cli/added/__init__.py").unlink()
    (grown_tree / "bnfuse/tables/deep/one.json").unlink()
    assert held_by(build(grown_tree, "wheel", tmp_path / "out")) == installed_by(grown_tree)


def test_an_editable_install_finds_packages_added_after_it(tmp_path):
    tree = copy_of_the_tree(tmp_path / "tree")
    with ZipFile(build(tree, "editable", tmp_path / "out")) as archive:
        archive.extractall(tmp_path / "site")
    for name, text in ADDED.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    code = (
        f"import site; site.addsitedir({str(tmp_path / 'site')!r})\n"
        "import bnfuse.added.deeper.module as a, bnfuse.without_init.module as b\n"
        "import bnfuse.cli.added as c, bnfuse.models.added as d\n"
        "print(a.FOUND, b.FOUND, c.FOUND, d.FOUND)"
    )
    ran = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert ran.stdout == "1 2 3 4\n", ran.stderr


def test_the_metadata_says_what_the_package_says_of_itself(dist):
    with ZipFile(dist.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == bnfuse.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-File"] == "LICENSE"
