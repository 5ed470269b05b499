"""What a user's own file would run when it is imported is known, told and agreed to first."""

from __future__ import annotations

import ast
import logging
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

from bnfuse.cli.main import main
from bnfuse.errors import UnsafeFileError, UsageError
from bnfuse.loading import load
from bnfuse.loading.consent.effects import effects_of

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(self.conv(x))

"""
TRAINING = """
torch.manual_seed(0)
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    loss = net(torch.randn(4, 1, 8, 8)).square().mean()
    loss.backward()
    optimizer.step()
torch.save(net.eval().state_dict(), "net_sd.pt")
torch.save(net, "net.pt")
"""


def effects(code: str) -> list[tuple[int, str]]:
    tree = ast.parse(textwrap.dedent(code).strip())
    return [(effect.line, effect.call) for effect in effects_of(tree)]


HARMLESS = {
    "definitions": NET,
    "constants": 'A = 1\nB: int = 2 + A\nC = {"a": [A, (B,)]}\nC["b"] = A\nD = f"{A}" if B else A',
    "a guard": NET + 'if __name__ == "__main__":\n    train()\n',
    "a guard the other way round": 'if "__main__" == __name__:\n    train()',
    "a guard with more": 'import sys\nif __name__ == "__main__" and len(sys.argv) > 1:\n    go()',
    "seeds and settings": """
        import random
        import numpy as np
        import torch
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        torch.set_num_threads(1)
        torch.backends.cudnn.benchmark = True
        DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        """,
    "helpers of the library": """
        import functools, logging, re, sys, typing
        from collections import namedtuple
        from functools import partial
        from pathlib import Path
        from torch import nn
        log = logging.getLogger(__name__)
        ROOT = Path(__file__).resolve().parent / "data"
        sys.path.insert(0, str(ROOT))
        Point = namedtuple("Point", "x y")
        T = typing.TypeVar("T")
        norm = partial(nn.BatchNorm2d, eps=1e-3)
        WORD = re.compile("a+")
        NAMES = [name.strip().lower() for name in "a,b".split(",")]
        """,
    "decorators": """
        import torch
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class A:
            x: int = 1
        @torch.no_grad()
        def f(x=len("ab")): train()
        """,
    "configurations made by a function": """
        def _cfg(url="", **kwargs):
            return {"url": url, **kwargs}
        CONFIGS = {"a": _cfg("x", size=(3, 4)), "b": _cfg()}
        """,
    "a net in eval mode": NET + 'net = Net(4).eval().to("cpu")\n',
    "a file that is read": 'import json\nwith open("names.json") as f:\n    N = json.load(f)',
    "an import that may fail": "try:\n    import apex\nexcept ImportError:\n    apex = None",
    "a lambda": "act = lambda x: train(x)",
    "a method that is called elsewhere": "class A:\n    def f(self):\n        train()",
    "a recursion": "def f(n):\n    return n and f(n - 1)\nF = f(3)",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_definitions_and_settings_have_no_effect(what):
    assert effects(HARMLESS[what]) == []


ACTING = {
    "a call of its own": ("def train():\n    import os\n    os.remove('x')\ntrain()", 4, "train()"),
    "a call two functions down": (
        "import torch\ndef a():\n    torch.save(1, 'x')\ndef b():\n    a()\nb()",
        6,
        "b()",
    ),
    "a save": ("import torch\ntorch.save(1, 'x')", 2, "torch.save(1, 'x')"),
    "a save by another name": ("from torch import save as s\ns(1, 'x')", 2, "s(1, 'x')"),
    "a step": ("opt = 1\nfor x in range(3):\n    opt.step()", 3, "opt.step()"),
    "a default": ("def f(x=train()): pass", 1, "train()"),
    "a class body": ("class A:\n    x = train()", 2, "train()"),
    "a base": ("class A(make()): pass", 1, "make()"),
    "an else of a guard": (
        'if __name__ == "__main__":\n    pass\nelse:\n    train()',
        4,
        "train()",
    ),
    "not a guard": ('if __name__ != "__main__":\n    train()', 2, "train()"),
    "arguments of a process": (
        "import argparse\np = argparse.ArgumentParser()\na = p.parse_args()",
        2,
        "argparse.ArgumentParser()",
    ),
    "a shell": ("import os\nos.system('ls')", 2, "os.system('ls')"),
    "a file that is written": ("open('x', 'w')", 1, "open('x', 'w')"),
    "code in a string": ("exec('x = 1')", 1, "exec('x = 1')"),
    "what an argument does": ("print(train())", 1, "train()"),
    "a decorated call": ("x = [train() for _ in range(3)]", 1, "train()"),
    "what is called is computed": ("(lambda: train())()", 1, "(lambda: train())()"),
    "a context": ("with tracking():\n    pass", 1, "tracking()"),
}


@pytest.mark.parametrize("what", ACTING)
def test_what_acts_is_named_with_its_line(what):
    code, line, call = ACTING[what]
    assert (line, call) in effects(code)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with train.py, which has no guard, and what it has saved."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.py").write_text(NET + TRAINING)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True)
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, trained):
    """Such a folder, and beside the script a file with the net alone."""
    for file in ("train.py", "net_sd.pt", "net.pt"):
        shutil.copy(trained / file, tmp_path)
    (tmp_path / "nets.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("train", "nets", "blocks", "pack", "pack.inner", "pack.train"):
        sys.modules.pop(name, None)


def run(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code


def test_a_script_without_a_guard_is_not_run(workplace, capsys):
    before = (workplace / "net_sd.pt").read_bytes()
    stamp = (workplace / "net_sd.pt").stat().st_mtime_ns
    assert run("fold", "net_sd.pt", "--model", "train:Net") == 2
    told = capsys.readouterr().err
    assert "--model train:Net would run more than definitions" in told
    assert f"train.py:{len(NET.splitlines()) + 4} calls torch.optim.SGD" in told
    assert '__name__ == "__main__"' in told
    assert "--trust" in told
    assert (workplace / "net_sd.pt").read_bytes() == before
    assert (workplace / "net_sd.pt").stat().st_mtime_ns == stamp
    assert not list(workplace.glob("*.onnx"))


def test_a_file_in_the_place_of_a_module_is_corrected_before_it_runs(workplace):
    for typed, meant in (
        ("train.py:Net", "train:Net"),
        ("pack/train.py:Net(channels=3)", "pack.train:Net"),
        ("./train.py:Net", "train:Net"),
        ("/elsewhere/train.py:Net", "train:Net"),
    ):
        stamp = (workplace / "net_sd.pt").stat().st_mtime_ns
        with pytest.raises(UsageError, match="names a file") as error:
            load(workplace / "net_sd.pt", model=typed, trust=True)
        assert meant in error.value.remedy
        assert (workplace / "net_sd.pt").stat().st_mtime_ns == stamp
    for typed in ("__main__.Net=train.py.Net", "__main__.Net=train:Net", "train.py:Net"):
        with pytest.raises(UsageError) as error:
            load(workplace / "net.pt", allow=typed, trust=True)
        assert "train.Net" in error.value.remedy


def test_a_class_to_allow_is_not_imported_from_a_script_that_acts(workplace):
    stamp = (workplace / "net.pt").stat().st_mtime_ns
    torch.save(1, workplace / "other.pt")
    with pytest.raises(UnsafeFileError, match=r"--allow train.Net would run more .*train\.py"):
        load(workplace / "net.pt", allow="__main__.Net=train.Net")
    assert (workplace / "net.pt").stat().st_mtime_ns == stamp
    assert "train" not in sys.modules


def test_trust_runs_it_and_says_so_first(workplace, caplog):
    with caplog.at_level(logging.INFO, "bnfuse"):
        loaded = load(workplace / "net_sd.pt", model="train:Net", trust=True)
    assert loaded.module is not None
    (record,) = caplog.records
    assert "--model train:Net imports train.py, which runs it: train.py:" in record.getMessage()
    assert "torch.optim.SGD" in record.getMessage()


def test_what_is_imported_is_said_before_on_stderr(workplace, capsys):
    out = workplace / "out.onnx"
    asked = ("fold", "net_sd.pt", "--model", "nets:Net", "-o", out, "--provider", "cpu")
    assert run(*asked) == 0
    captured = capsys.readouterr()
    assert "--model nets:Net imports nets.py\n" in captured.err
    assert captured.err.index("imports nets.py") < captured.err.index("fold  ")
    assert "imports nets.py" not in captured.out
    sys.modules.pop("nets")
    assert run(*asked, "-q") == 0
    assert "imports" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["import train", "from train import Net", "def f(): pass\nfrom . import train"]
)
def test_what_the_file_imports_is_looked_at_too(workplace, line):
    package = workplace / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text(NET + TRAINING)
    (package / "inner.py").write_text(f"{line}\n{NET}")
    with pytest.raises(UnsafeFileError, match=r"train\.py:\d+ calls"):
        load(workplace / "net_sd.pt", model="pack.inner:Net")
    assert "pack" not in sys.modules


def test_what_a_function_imports_is_not_run(workplace):
    (workplace / "blocks.py").write_text(NET + "def fit():\n    import train\n")
    assert load(workplace / "net_sd.pt", model="blocks:Net").module is not None


def test_the_package_above_is_looked_at(workplace):
    package = workplace / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.mkdir('made')\n")
    (package / "inner.py").write_text(NET)
    with pytest.raises(UnsafeFileError, match=r"__init__\.py:2 calls os\.mkdir"):
        load(workplace / "net_sd.pt", model="pack.inner:Net")
    assert not (workplace / "made").exists()


def test_installed_packages_are_not_looked_at(workplace):
    weights = torch.nn.Linear(3, 4).state_dict()
    torch.save(weights, workplace / "linear.pt")
    spec = "torch.nn:Linear(in_features=3, out_features=4)"
    assert load(workplace / "linear.pt", model=spec).module is not None


def test_a_file_that_does_not_parse_says_so_itself(workplace):
    (workplace / "blocks.py").write_text("def f(:\n")
    with pytest.raises(Exception, match="SyntaxError"):
        load(workplace / "net_sd.pt", model="blocks:Net")
