"""Bombs and absurd sizes are refused by what the file says of itself, before memory is taken."""

from __future__ import annotations

import io
import resource
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from load_samples import replace_entry, small_net, write

from bnfuse.errors import DamagedFileError, LoadError
from bnfuse.loading import FileKind, detect, load
from bnfuse.loading.archive import open_archive

_BIG = 2**40


@pytest.fixture(autouse=True)
def little_memory():
    """Two gigabytes above what is in use: whoever believes a size of terabytes fails here."""
    status = Path("/proc/self/statm")
    pages = int(status.read_text().split()[0]) if status.exists() else 0
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if pages:
        room = pages * resource.getpagesize() + (2 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def _archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_a_deflated_bomb(tmp_path):
    path = tmp_path / "model.pt"
    _archive(path, {"m/data.pkl": b"\x80\x02}.", "m/data/0": bytes(1 << 28)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(LoadError, match="zip bomb"):
        load(path)


def test_entries_that_overlap(tmp_path):
    path = _archive(tmp_path / "model.pt", {"m/data.pkl": b"\x80\x02}.", "m/data/0": bytes(5000)})
    content = bytearray(path.read_bytes())
    # Every entry of the central directory claims the bytes of the largest one.
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        content[at + 20 : at + 28] = struct.pack("<II", 5000, 5000)
        at += 4
    path.write_bytes(content)
    assert detect(path) is FileKind.DAMAGED


def test_one_name_twice(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02}.")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("m/data.pkl", b"\x80\x02}.")
    with pytest.raises(LoadError, match="twice"):
        load(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_torch_does_not_use(tmp_path, method):
    path = _archive(tmp_path / "model.pt", {"m/data.pkl": b"\x80\x02}." * 99}, method)
    with pytest.raises(LoadError, match="compression"):
        load(path)


def test_a_flipped_byte_of_a_weight_is_found_by_its_checksum(tmp_path):
    path = write("module", tmp_path / "model.pt")
    archive = open_archive(path)
    entry = archive.entries["data/0"]
    content = bytearray(path.read_bytes())
    weight = small_net()[0].weight.detach().numpy().tobytes()
    content[content.index(weight, entry.header_offset)] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="checksum of data/0"):
        load(path)


def _int(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _tensor(numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    def numbers(values):
        return b"(" + b"".join(map(_int, values)) + b"t"

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
    storage += _int(numel) + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _int(offset)
    return call + numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR"


def _state_dict(path, tensor: bytes, record: bytes):
    pickled = b"\x80\x02}X\x01\0\0\0w" + tensor + b"s."
    entries = {"m/data.pkl": pickled, "m/data/0": record, "m/version": "3", "m/byteorder": "little"}
    return _archive(path, entries)


def test_the_hand_made_file_is_honest_when_its_sizes_are(tmp_path):
    path = _state_dict(tmp_path / "model.pt", _tensor(6, (2, 3), (3, 1)), bytes(24))
    assert detect(path) is FileKind.STATE_DICT
    assert torch.load(path)["w"].shape == (2, 3)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (_tensor(_BIG, (_BIG,), (1,)), "claims"),
        (_tensor(7, (7,), (1,)), "claims 28 bytes and has 24"),
        (_tensor(6, (_BIG, 1), (1, 1)), "lies in"),
        (_tensor(6, (2, 3), (3, 1), offset=1), "lies in"),
        (_tensor(6, (2, 3), (4, 1)), "lies in"),
        (_tensor(6, (2**20, 2**20), (0, 0)), "fill the memory"),
        (_tensor(-6, (2, 3), (3, 1)), "not described"),
        (_tensor(6, (2, -3), (3, 1)), "not a number"),
        (_tensor(6, (2, 3), (3, -1)), "not a number"),
        (_tensor(6, (2, 3), (1,)), "not a number"),
    ],
)
def test_absurd_sizes_in_a_zip_file(tmp_path, tensor, words):
    path = _state_dict(tmp_path / "model.pt", tensor, bytes(24))
    assert detect(path) is FileKind.DAMAGED
    with pytest.raises(DamagedFileError, match=words):
        load(path, model="load_samples:small_net")


def test_a_missing_record(tmp_path):
    path = tmp_path / "model.pt"
    _archive(
        path, {"m/data.pkl": b"\x80\x02}X\x01\0\0\0w" + _tensor(1, (1,), (1,)) + b"s.", "m/v": ""}
    )
    with pytest.raises(DamagedFileError, match="missing"):
        load(path)


def test_absurd_sizes_in_a_legacy_file(tmp_path):
    path = write("legacy_state_dict", tmp_path / "model.pt")
    content = path.read_bytes()
    numel = b"K\x12"  # the first weight: 2 x 1 x 3 x 3 elements
    assert numel in content
    path.write_bytes(content.replace(numel, b"J\xff\xff\xff\x7f", 1))
    with pytest.raises(DamagedFileError):
        load(path, model="load_samples:small_net")


def test_many_storages_that_each_claim_the_whole_legacy_file(tmp_path):
    path = tmp_path / "model.pt"
    tensors = {f"w{i}": torch.zeros(1000) for i in range(50)}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFileError):
        load(path, model="load_samples:small_net")


def test_safetensors_with_absurd_sizes(tmp_path):
    header = b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(LoadError):
        load(path, model="load_samples:small_net")


def test_a_pickle_of_deep_json_and_long_headers(tmp_path):
    header = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert detect(path) is FileKind.DAMAGED
    path.write_bytes((2**62).to_bytes(8, "little") + b"{" + bytes(64))
    with pytest.raises(LoadError):
        load(path)


def test_a_pickle_larger_than_any_model(tmp_path):
    path = _archive(tmp_path / "model.pt", {"m/data.pkl": b"\x80\x02]" + b"N0" * (17 << 20) + b"."})
    with pytest.raises(LoadError, match="at most"):
        load(path)


def test_an_archive_inside_another_file_is_read_at_its_own_offsets(tmp_path):
    inner = io.BytesIO()
    torch.save(small_net(), inner)
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK\x03\x04 not really" + inner.getvalue())
    with pytest.raises(LoadError):
        load(path)


def test_rewriting_an_entry_keeps_an_honest_file_honest(tmp_path):
    path = write("module", tmp_path / "model.pt")
    replace_entry(path, "data.pkl", lambda data: data)
    assert load(path).module is not None
