"""Files that would run something: refused by name, and nothing of them ran."""

from __future__ import annotations

import collections
import datetime
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from load_samples import Payload, replace_entry, small_net, touch, write

from bnfuse.errors import BnfuseError, LoadError, UnsafeFileError
from bnfuse.loading import FileKind, detect, inspect_file, load


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "touched"


def refused(path, canary, **options):
    """Every way of asking for the file leaves the canary untouched; the last error comes back."""
    detect(path)
    inspect_file(path)
    with pytest.raises(BnfuseError) as caught:
        load(path, **options)
    assert not canary.exists()
    assert caught.value.exit_code == 2
    return caught.value


def test_the_payload_does_touch_the_file_when_it_is_unpickled(canary):
    pickle.loads(pickle.dumps(touch(canary)))
    assert canary.exists()


ATTACHED = {
    "alone": lambda payload: payload,
    "beside the weights": lambda payload: {"state_dict": small_net().state_dict(), "x": payload},
    "beside a module": lambda payload: {"model": small_net(), "x": payload},
    "inside the module": lambda payload: _with_attribute(payload),
    "as a key": lambda payload: {"state_dict": small_net().state_dict(), (payload, 1): 0},
    "deep inside": lambda payload: {"model": {"model": {"a": [({"b": payload},)]}}},
    "on a state_dict": lambda payload: _with_metadata(payload),
}


def _with_attribute(payload):
    net = small_net()
    net.extra = payload
    return net


def _with_metadata(payload):
    weights = collections.OrderedDict(small_net().state_dict())
    weights._metadata = payload
    return weights


@pytest.mark.parametrize("place", ATTACHED)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("trust", [True, False])
def test_os_system_is_refused_by_name_wherever_it_hides(tmp_path, canary, place, zipped, trust):
    path = tmp_path / "model.pt"
    content = ATTACHED[place](touch(canary))
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    error = refused(path, canary, trust=trust)
    if detect(path) is not FileKind.DATA:
        assert isinstance(error, UnsafeFileError)
        assert "system" in str(error)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("trust", [True, False])
def test_plain_pickles_of_every_protocol(tmp_path, canary, protocol, trust):
    path = tmp_path / "model.pkl"
    content = {"state_dict": small_net().state_dict(), "x": touch(canary)}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    refused(path, canary, trust=trust)


FUNCTIONS = {
    "builtins.exec": (exec, "open({!r}, 'w')"),
    "builtins.eval": (eval, "open({!r}, 'w')"),
    "builtins.open": (open, "{}", "w"),
    "subprocess": (__import__("subprocess").getoutput, "touch {}"),
    "pathlib": (__import__("pathlib").Path.touch, "{}"),
    "shutil": (__import__("shutil").copy, "/etc/hostname", "{}"),
    "runpy": (__import__("runpy").run_path, "{}"),
    "importlib": (__import__("importlib").import_module, "antigravity"),
    "torch.load": (torch.load, "{}"),
    "torch.hub": (torch.hub.load, "{}", "x"),
    "torch.jit": (torch.jit.load, "{}"),
    "legacy": (torch.serialization._legacy_load, "{}"),
    "bytes": (torch.storage._load_from_bytes, b"x"),
    "pickle": (pickle.loads, b"x"),
    "getattr": (getattr, "{}", "upper"),
    "attrgetter": (__import__("operator").attrgetter, "upper"),
    "code": (__import__("timeit").timeit, "open({!r}, 'w')"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_known_tricks_in_a_module_are_refused(tmp_path, canary, name):
    function, *args = FUNCTIONS[name]
    filled = [arg.format(str(canary)) if isinstance(arg, str) else arg for arg in args]
    path = tmp_path / "model.pt"
    torch.save(_with_attribute(Payload(function, *filled)), path)
    assert isinstance(refused(path, canary), UnsafeFileError)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "builtins.getattr",
        "operator.attrgetter",
        "subprocess.Popen",
        "torch.load",
        "torch.os.system",
        "torch.hub.load",
        "torch.jit.load",
        "torch.serialization._legacy_load",
        "torch.storage._load_from_bytes",
        "torch.nn.modules.module.os.system",
        "numpy.load",
        "mynets.sys.modules",
        "importlib.import_module",
        "pickle.loads",
        "ctypes.CDLL",
        "functools.reduce",
        "webbrowser.open",
        "cloudpickle.loads",
        "mynets.ScratchBN=os.system",
        "os.system=mynets.ScratchBN",
    ],
)
def test_allow_takes_none_of_the_ways_around_it(tmp_path, name):
    with pytest.raises(UnsafeFileError, match="does not take"):
        load(write("module", tmp_path / "model.pt"), allow=[name])


def _as_alias(data: bytes) -> bytes:
    return data.replace(b"cposix\nsystem", b"cmynets\ninnocent")


@pytest.mark.usefixtures("mynets")
def test_an_alias_of_os_system_in_a_users_module_is_not_taken(tmp_path, canary):
    path = tmp_path / "model.pt"
    torch.save(_with_attribute(touch(canary)), path)
    replace_entry(
        path, "data.pkl", lambda data: data.replace(b"cposix\nsystem", b"cmynets\ninnocent")
    )
    error = refused(path, canary, allow=["mynets.innocent"])
    assert isinstance(error, UnsafeFileError)


@pytest.mark.usefixtures("mynets")
def test_an_unknown_function_outside_the_model_is_not_called(tmp_path, canary):
    path = tmp_path / "model.pt"
    torch.save({"model": small_net(), "x": touch(canary)}, path)
    replace_entry(
        path, "data.pkl", lambda data: data.replace(b"cposix\nsystem", b"cmynets\ninnocent")
    )
    assert load(path).module is not None
    assert not canary.exists()


@pytest.mark.parametrize("trust", [True, False])
def test_a_pt2_archive_with_a_payload_in_a_nested_pickle(tmp_path, canary, trust):
    path = write("exported_program", tmp_path / "model.pt2")
    hostile = io.BytesIO()
    torch.save(touch(canary), hostile)
    replace_entry(path, "sample_inputs/model.pt", lambda _: hostile.getvalue())
    assert detect(path) is FileKind.EXPORTED_PROGRAM
    error = refused(path, canary, trust=trust)
    assert isinstance(error, UnsafeFileError)


@pytest.mark.parametrize("kind", ["torchscript", "exported_program", "legacy_module", "pickle"])
def test_what_cannot_be_limited_asks_for_trust_in_one_sentence(tmp_path, kind):
    with pytest.raises(UnsafeFileError) as caught:
        load(write(kind, tmp_path / "model.pt"))
    assert caught.value.remedy.endswith("--trust")
    assert "\n" not in str(caught.value)


def _raw(path, pickled: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
        archive.writestr("model/version", "3\n")
        archive.writestr("model/byteorder", "little")
    return path


def _global(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def test_a_layer_is_never_constructed_by_the_file(tmp_path):
    # nn.Linear(10**6, 10**6) would ask for four terabytes, and a little less for all the memory.
    size = b"J" + struct.pack("<i", 10**6)
    linear = _global("torch.nn.modules.linear", "Linear") + size + size + b"\x86R"
    module = _global("torch.nn.modules.container", "Sequential") + b")\x81}("
    module += b"X\x08\0\0\0_modules}X\x01\0\0\0a" + linear + b"sX\x0b\0\0\0_parameters}ub."
    path = _raw(tmp_path / "model.pt", b"\x80\x02" + module)
    assert detect(path) is FileKind.MODULE
    with pytest.raises(UnsafeFileError, match=r"calls torch\.nn\.modules\.linear\.Linear"):
        load(path)


def test_tuples_that_share_their_parts_do_not_hang(tmp_path):
    doubled = b"\x80\x02)" + b"2\x86" * 60 + b"."
    with pytest.raises(LoadError, match="exhaust"):
        load(_raw(tmp_path / "model.pt", doubled))


def test_names_of_python_2_are_translated_before_they_are_judged(tmp_path, canary):
    command = f"open({str(canary)!r}, 'w')".encode()
    call = _global("__builtin__", "eval") + b"U" + bytes([len(command)]) + command + b"\x85R."
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x02" + call)
    assert "builtins.eval" in str(refused(path, canary))


def test_a_computed_callable_is_refused(tmp_path):
    state = small_net().state_dict()
    path = tmp_path / "model.pt"
    torch.save({"state_dict": state}, path)

    def call_a_string(data: bytes) -> bytes:
        assert data.endswith(b".")
        return data[:-1] + b"X\x01\0\0\0a)R0."

    replace_entry(path, "data.pkl", call_a_string)
    with pytest.raises(UnsafeFileError, match="computed"):
        load(path, model="load_samples:small_net")


def test_the_memory_of_a_tensor_is_not_replaced(tmp_path):
    body = _global("torch", "Tensor") + b")\x81)b"
    module = _global("torch.nn.modules.container", "Sequential") + b")\x81}("
    module += b"X\x08\0\0\0_modules}X\x0b\0\0\0_parameters}X\x01\0\0\0a" + body + b"ub."
    with pytest.raises(UnsafeFileError, match="memory"):
        load(_raw(tmp_path / "model.pt", b"\x80\x02" + module))


@pytest.mark.parametrize("where", ["alone", "beside the weights", "inside the module", "in data"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_what_the_file_would_run_is_told_and_that_nothing_ran(tmp_path, canary, where, form):
    attached = {**ATTACHED, "in data": lambda payload: {"epoch": 3, "x": [(payload,)]}}
    path, value = tmp_path / "model.pt", attached[where](touch(canary))
    if form == "pickle":
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
    error = refused(path, canary)
    assert isinstance(error, UnsafeFileError)
    assert "would call posix.system('touch " in str(error)
    assert "Nothing of it was run" in str(error)
    refused(path, canary, trust=True)


def launch(*args):
    """Something that nobody knows."""


def test_an_unfamiliar_call_in_data_is_told(tmp_path, canary):
    path = tmp_path / "model.pt"
    torch.save({"epoch": 1, "x": Payload(launch, "now", [1])}, path)
    error = refused(path, canary)
    assert "no model and no weights" in str(error)
    assert "would call test_hostile_files.launch('now', …)" in str(error)
    assert "nothing of it was run" in str(error)


def test_dates_and_numbers_in_data_are_no_alarm(tmp_path, canary):
    path = tmp_path / "model.pt"
    torch.save({"day": datetime.date(2026, 1, 2), "loss": np.float64(1), "l": [1]}, path)
    assert "would call" not in str(refused(path, canary))
