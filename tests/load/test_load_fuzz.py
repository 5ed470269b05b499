"""Damaged files of every kind: a typed error or a model, never anything else.

``BNFUSE_FUZZ=N`` makes N damaged files of each kind and way; the default is a quick sample. Zip
entries are damaged twice: as bytes of the file, where checksums find it, and with the checksums
made right again, so that the pickle readers behind them are reached.
"""

from __future__ import annotations

import io
import os
import random
import zipfile

import pytest
from load_samples import KINDS, write

from bnfuse.errors import BnfuseError
from bnfuse.loading import LoadedModel, detect, load

COUNT = int(os.environ.get("BNFUSE_FUZZ", "25"))
ZIPPED = ("module", "state_dict", "checkpoint")
OPTIONS = {"model": "load_samples:small_net"}


def damage(content: bytes, random_: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 1, 2, 5))):
        at = random_.randrange(max(len(data), 1))
        length = random_.choice((1, 2, 4, 8, 64))
        way = random_.randrange(8)
        if way == 0:
            del data[at:]
        elif way == 1:
            data[at : at + 1] = bytes([data[at] ^ (1 << random_.randrange(8))]) if data else b""
        elif way == 2:
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif way == 3:
            data[at : at + length] = random_.randbytes(length)
        elif way == 4:
            del data[at : at + length]
        elif way == 5:
            data[at:at] = random_.randbytes(length)
        elif way == 6:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + length] = b"\xff" * length
    return bytes(data)


def outcome(path, **options):
    """A model, or an error with an exit code and no line break; anything else fails the test."""
    kind = detect(path)
    try:
        result = load(path, **options)
    except BnfuseError as error:
        result = error
    if isinstance(result, BnfuseError):
        assert result.exit_code == 2
        assert "\n" not in str(result)
    else:
        assert isinstance(result, LoadedModel)
        assert kind.is_model
    return result


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return {kind: write(kind, folder / f"{kind}.pt").read_bytes() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trust", [False, True])
def test_damaged_bytes(tmp_path, originals, kind, trust):
    random_ = random.Random(f"{kind} {trust}")
    path = tmp_path / "model.pt"
    for _ in range(COUNT if not trust else max(COUNT // 3, 1)):
        content = damage(originals[kind], random_)
        path.write_bytes(content)
        outcome(path, trust=trust, **OPTIONS)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_short_truncation(tmp_path, originals, kind):
    path = tmp_path / "model.pt"
    content = originals[kind]
    step = max(len(content) // max(COUNT, 1), 1)
    for length in (*range(0, len(content), step), *range(12), len(content) - 1):
        path.write_bytes(content[:length])
        result = outcome(path, **OPTIONS)
        assert isinstance(result, BnfuseError), length


@pytest.mark.parametrize("kind", [*ZIPPED, "torchscript", "exported_program"])
def test_damaged_entries_with_right_checksums(tmp_path, originals, kind):
    random_ = random.Random(kind)
    path = tmp_path / "model.pt"
    for _ in range(COUNT):
        path.write_bytes(_with_damaged_entry(originals[kind], random_))
        outcome(path, **OPTIONS)


def _with_damaged_entry(content: bytes, random_: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        pickles = [name for name in names if name.endswith(".pkl")]
        chosen = random_.choice(pickles if pickles and random_.random() < 0.8 else names)
        for name in names:
            data = old.read(name)
            new.writestr(name, damage(data, random_) if name == chosen else data)
    return out.getvalue()


def test_random_bytes_behind_each_magic(tmp_path):
    random_ = random.Random(0)
    path = tmp_path / "model.pt"
    magics = [
        b"",
        b"PK\x03\x04",
        b"\x80\x02",
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        b"\x08\x0a",
    ]
    magics += [(64).to_bytes(8, "little") + b"{", b"c", b"(", b"\x08\x0a", b"\x08\x0a:"]
    for _ in range(COUNT):
        for magic in magics:
            path.write_bytes(magic + random_.randbytes(random_.randrange(200)))
            result = outcome(path, trust=True, **OPTIONS)
            assert isinstance(result, BnfuseError)
