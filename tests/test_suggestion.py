"""What was meant by a name that is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bnfuse.errors import LoadError
from bnfuse.suggestion import meant, meant_file, meant_module


@pytest.mark.parametrize(
    ("name", "known", "asked"),
    [
        ("cpuu", ["cpu", "cuda"], "Did you mean cpu?"),
        ("CUDAExecutionProvidr", ["CUDAExecutionProvider"], "Did you mean CUDAExecutionProvider?"),
        ("resnet", ["ResNet", "Net"], "Did you mean ResNet?"),
        ("frob", ["cpu"], ""),
        ("frob", [], ""),
    ],
)
def test_the_nearest_name(name: str, known: list[str], asked: str) -> None:
    assert meant(name, known) == asked


def test_a_file_beside_it_is_quoted_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / "my model.pt").touch()
    assert meant_file(tmp_path / "my modell.pt") == f"Did you mean '{tmp_path}/my model.pt'?"
    assert meant_file(tmp_path / "none" / "x.pt") == ""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with a module of the user's, which is forgotten afterwards."""
    (tmp_path / "mynets.py").write_text("class ResNet:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mynets", None)


@pytest.mark.usefixtures("here")
def test_a_module_of_the_working_directory() -> None:
    assert meant_module("mynet") == "Did you mean mynets?"
    assert meant_module("torchvision") == ""


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ("mynet:ResNet", "Did you mean mynets?"),
        ("mynets:Resnet", "Did you mean ResNet?"),
        ("mynets:Xyzzy", "It has ResNet."),
        ("xyzzy:Net", "Run bnfuse in the folder that holds it"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_factory_that_is_not_there(spec: str, asked: str) -> None:
    pytest.importorskip("torch")
    from bnfuse.loading.consent.imports import build_module

    with pytest.raises(LoadError) as refused:
        build_module(spec)
    assert refused.value.remedy.startswith(asked)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("mynets.Resnet", "Did you mean mynets.ResNet?"),
        ("mynet.ResNet", "Did you mean mynets?"),
        ("mynets.Xyzzy", "Give the name under which it can be imported today"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_class_to_allow_that_is_not_there(name: str, asked: str) -> None:
    from bnfuse.loading.consent.imports import import_allowed, working_directory_on_path

    with pytest.raises(LoadError) as refused, working_directory_on_path():
        import_allowed(name)
    assert refused.value.remedy.startswith(asked)
