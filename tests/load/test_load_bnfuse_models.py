"""What ``bnfuse train`` saves loads with no flag; the list of classes is complete and no longer."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from bnfuse.loading import load
from bnfuse.loading.consent.denied import Verdict, judge
from bnfuse.loading.consent.known import HARMLESS, is_storage_type
from bnfuse.models import SPELLINGS, build, names, swap_norms
from bnfuse.models.saved import MODULE_CLASSES


def _dotted(cls) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _one_step(net):
    """Statistics as after training; some norms have none before."""
    torch.manual_seed(0)
    net.train()
    x = torch.rand(64, 1, 8, 8)
    try:
        net(x)
    except RuntimeError:
        net(x.flatten(1))
    return net.eval()


@pytest.mark.parametrize("name", names())
def test_every_net_of_the_registry_loads_with_no_flag(tmp_path, name):
    net = _one_step(build(name))
    torch.save(net, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    (x,) = loaded.inputs.args
    assert tuple(x.shape) in {(2, 1, 8, 8), (2, 64)}
    assert loaded.inputs.dynamic == ({0: "N"},)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(x), net(x), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_norm_loads_with_no_flag(tmp_path, spelling):
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(3 * 36, 5)).append(nn.BatchNorm1d(5))
    swapped = swap_norms(_one_step(net), spelling).eval()
    torch.save(swapped, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    with torch.no_grad():
        assert torch.equal(loaded.module(*loaded.inputs.args), swapped(*loaded.inputs.args))


def test_the_list_names_every_class_of_ours_and_nothing_that_is_gone():
    listed = {name for name in HARMLESS if name.startswith("bnfuse.")}
    assert listed == {_dotted(cls) for cls in MODULE_CLASSES}


def test_every_listed_name_exists_and_is_a_class_or_a_function_of_that_name():
    import importlib
    import inspect

    for dotted in HARMLESS:
        module, _, name = dotted.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        assert inspect.isclass(found) or inspect.isroutine(found) or isinstance(found, torch.dtype)


# In a process of its own: torch.compile and the exporter patch nn.Module where they run.
MORE_THAN_ATTRIBUTES = """
import importlib
from torch import nn
from bnfuse.loading.consent.known import HARMLESS

for dotted in sorted(HARMLESS):
    module, _, name = dotted.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, type) and issubclass(found, nn.Module):
        setter = found.__setstate__
        harmless = (
            found.__reduce_ex__ is object.__reduce_ex__
            and found.__new__ is nn.Module.__new__
            and setter.__module__.startswith("torch.nn.")
        )
        print(dotted, harmless)
"""


def test_no_listed_class_runs_more_than_attribute_setting_on_unpickling():
    ran = subprocess.run(
        [sys.executable, "-c", MORE_THAN_ATTRIBUTES], capture_output=True, check=True, text=True
    )
    judged = dict(line.split() for line in ran.stdout.splitlines())
    assert len(judged) > 50
    assert [dotted for dotted, harmless in judged.items() if harmless != "True"] == []


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("torch.nn.modules.conv.Conv2d", Verdict.HARMLESS),
        ("torch.FloatStorage", Verdict.HARMLESS),
        ("torch.nn.modules.conv.Conv2dX", Verdict.ASK),
        ("torch.nn.modules.lazy.LazyModuleMixin", Verdict.ASK),
        ("torch.utils.data.DataLoader", Verdict.REFUSED),
        ("mynets.Net", Verdict.ASK),
        ("test.Net", Verdict.ASK),
        ("collections.deque", Verdict.ASK),
        ("collections.namedtuple", Verdict.REFUSED),
        ("builtins.getattr", Verdict.REFUSED),
        ("builtins.exec", Verdict.FORBIDDEN),
        ("os.system", Verdict.FORBIDDEN),
        ("torch.hub.load", Verdict.FORBIDDEN),
    ],
)
def test_verdicts(name, verdict):
    assert judge(name) is verdict


def test_storage_types_are_exact():
    assert not is_storage_type("os.FloatStorage")
    assert not is_storage_type("torch.EvilStorage")
