import hashlib
import io
import json
import os
import socket
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import hash_file, hash_tree, seal_file, seal_tree
from autoresearch_rl.errors import SealError

LIMIT = 1_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "sealed").mkdir()
    return tmp_path / "sealed"


def refused(source: Path, sealed: Path, name: str, form: str = "binary", limit: int = LIMIT) -> SealError:
    with pytest.raises(SealError) as caught:
        seal_file(str(source), name, str(sealed), form, limit)
    assert caught.value.name == name
    assert name in str(caught.value)
    assert not (sealed / name).exists()
    return caught.value


def npy(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("size", [0, 1, 262_144, 700_001])
def test_a_file_is_copied_and_hashed(source: Path, sealed: Path, size: int) -> None:
    content = os.urandom(size)
    (source / "model.bin").write_bytes(content)
    item = seal_file(str(source), "model.bin", str(sealed), "binary", LIMIT)
    assert (item.name, item.bytes, item.sha256) == ("model.bin", size, hashlib.sha256(content).hexdigest())
    assert (sealed / "model.bin").read_bytes() == content
    assert stat.S_IMODE((sealed / "model.bin").stat().st_mode) == 0o444
    assert hash_file(str(sealed / "model.bin")) == item.sha256


def test_a_file_in_a_folder(source: Path, sealed: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "text").write_text("ä")
    assert seal_file(str(source), "a/b/text", str(sealed), "text", LIMIT).name == "a/b/text"
    assert (sealed / "a" / "b" / "text").read_text() == "ä"


def test_missing(source: Path, sealed: Path) -> None:
    assert refused(source, sealed, "nothing").code == "missing"
    assert refused(source, sealed, "no/thing").code == "missing"


def test_too_large(source: Path, sealed: Path) -> None:
    (source / "f").write_bytes(b"x" * 11)
    error = refused(source, sealed, "f", limit=10)
    assert error.code == "too_large"
    assert "declare a larger max_bytes" in str(error)
    assert seal_file(str(source), "f", str(sealed), "binary", 11).bytes == 11


def test_links_are_refused(source: Path, sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "labels").write_text("secret")
    (source / "symbolic").symlink_to(tmp_path / "labels")
    (source / "dangling").symlink_to("nowhere")
    (source / "up").symlink_to(tmp_path / "folder")
    os.link(tmp_path / "labels", source / "hard")
    for name in ("symbolic", "dangling", "up/labels", "hard"):
        assert refused(source, sealed, name).code == "linked"


def test_a_link_in_place_of_the_whole_folder_is_refused(source: Path, sealed: Path, tmp_path: Path) -> None:
    (source / "f").write_text("x")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(SealError) as caught:
        seal_file(str(tmp_path / "link"), "f", str(sealed), "binary", LIMIT)
    assert caught.value.code == "linked"
    with pytest.raises(SealError):
        seal_tree(str(tmp_path / "link"), str(sealed), LIMIT, 10)


def test_only_regular_files(source: Path, sealed: Path) -> None:
    os.mkfifo(source / "pipe")
    (source / "folder").mkdir()
    (source / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(source, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket")  # the path of a socket must be short
        os.close(here)
        for name, kind in (
            ("pipe", "a named pipe"),
            ("folder", "a folder"),
            ("socket", "a socket"),
            ("file/below", "below a file"),
        ):
            error = refused(source, sealed, name)
            assert error.code == "not_regular"
            assert kind in str(error)


@pytest.mark.parametrize("name", ["../labels", "/etc/hostname", "a//b", "./a", "a/..", "", "a\0b"])
def test_a_name_stays_below_its_folder(source: Path, sealed: Path, name: str) -> None:
    with pytest.raises(SealError) as caught:
        seal_file(str(source), name, str(sealed), "binary", LIMIT)
    assert caught.value.code == "bad_format"


def test_nothing_is_sealed_twice(source: Path, sealed: Path) -> None:
    (source / "f").write_text("new")
    (sealed / "f").write_text("old")
    with pytest.raises(SealError) as caught:
        seal_file(str(source), "f", str(sealed), "binary", LIMIT)
    assert caught.value.code == "io"
    assert (sealed / "f").read_text() == "old"


def test_unknown_format(source: Path, sealed: Path) -> None:
    (source / "f").write_text("x")
    assert "declare npy" in str(refused(source, sealed, "f", "pickle"))


# ---------------------------------------------------------------- formats

GOOD_ARRAYS = [
    np.zeros((3, 4)),
    np.asfortranarray(np.ones((5, 2), dtype="f4")),
    np.array(7),
    np.zeros((0, 9), dtype="i2"),
    np.array(["ä", "bcd"]),
    np.array([b"ab"]),
    np.array([True]),
    np.array(["2026-01-01"], dtype="M8[D]"),
    np.zeros(2, dtype=[("x", "<f8"), ("y", "<i4", (2, 2)), ("z", [("w", "u1")])]),
    np.array([1 + 2j]),
    np.zeros(3, dtype=">f2"),
]
RECORD = np.zeros(2, dtype=[("a", "i4"), ("b", "O")])


@pytest.mark.parametrize("array", GOOD_ARRAYS, ids=lambda array: str(array.dtype))
def test_arrays_that_numpy_writes_are_taken(source: Path, sealed: Path, array: np.ndarray) -> None:
    (source / "a.npy").write_bytes(npy(array))
    seal_file(str(source), "a.npy", str(sealed), "npy", LIMIT)
    np.savez(source / "a.npz", one=array, two=array)
    np.savez_compressed(source / "b.npz", array)
    for name in ("a.npz", "b.npz"):
        seal_file(str(source), name, str(sealed), "npz", LIMIT)
    assert np.array_equal(np.load(sealed / "a.npz")["two"], array)


@given(st.binary(max_size=300))
def test_no_bytes_crash_a_check(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("seal")
    (folder / "f").write_bytes(content)
    for form in ("npy", "npz", "json", "jsonl", "safetensors", "text"):
        code = ""
        try:
            seal_file(str(folder), "f", str(folder / form), form, LIMIT)
        except SealError as error:
            code = error.code
        assert code == "bad_format" or form in ("json", "jsonl", "text")


OBJECTS = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
BAD_ARRAYS = {
    "objects": (OBJECTS, "objects"),
    "objects in a record": (npy(RECORD, allow_pickle=True), "objects"),
    "cut": (npy(np.zeros(10))[:-1], "has 207 bytes"),
    "too long": (npy(np.zeros(10)) + b"x", "has 209 bytes"),
    "no array": (b"\x80\x04pickle", "no npy file"),
    "empty": (b"", "cannot be read"),
    "version": (b"\x93NUMPY\x09\x00" + npy(np.zeros(3))[8:], "version 9"),
    "long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "longer than"),
    "no dictionary": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 8) + b"__import", "no dictionary"),
}


@pytest.mark.parametrize(("content", "said"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_arrays_that_are_none(source: Path, sealed: Path, content: bytes, said: str) -> None:
    (source / "a.npy").write_bytes(content)
    error = refused(source, sealed, "a.npy", "npy")
    assert (error.code, said in str(error)) == ("bad_format", True), str(error)


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", compression) as stream:
        for name, content in members.items():
            stream.writestr(name, content)


def test_archives_that_are_none(source: Path, sealed: Path) -> None:
    good = npy(np.zeros(3))
    archive(source / "objects", {"a.npy": good, "b.npy": OBJECTS})
    archive(source / "stranger", {"a.npy": good, "run.py": b"import os"})
    archive(source / "nothing", {})
    archive(source / "method", {"a.npy": good}, zipfile.ZIP_BZIP2)
    archive(source / "whole", {"a.npy": good})
    (source / "cut").write_bytes((source / "whole").read_bytes()[:-30])
    (source / "shifted").write_bytes(b"#!/bin/sh\n" + (source / "whole").read_bytes())
    (source / "array").write_bytes(good)
    (source / "empty").write_bytes(b"")
    for name in ("objects", "stranger", "nothing", "method", "cut", "shifted", "array", "empty"):
        assert refused(source, sealed, name, "npz").code == "bad_format"
    assert seal_file(str(source), "whole", str(sealed), "npz", LIMIT).name == "whole"


def test_an_archive_may_not_unpack_to_more_than_is_declared(source: Path, sealed: Path) -> None:
    np.savez_compressed(source / "bomb", np.zeros(1_000_000))
    assert (source / "bomb.npz").stat().st_size < 20_000
    assert "unpack to more than 1000000 bytes" in str(refused(source, sealed, "bomb.npz", "npz"))


def test_an_archive_that_lies_about_sizes(source: Path, sealed: Path) -> None:
    content = npy(np.zeros(100_000))
    archive(source / "f", {"a.npy": content})
    raw = (source / "f").read_bytes()
    small = struct.pack("<I", 1000)
    assert raw.count(struct.pack("<I", len(content))) == 2
    (source / "f").write_bytes(raw.replace(struct.pack("<I", len(content)), small))
    assert refused(source, sealed, "f", "npz").code == "bad_format"


def test_an_archive_with_too_many_members(source: Path, sealed: Path) -> None:
    archive(source / "f", {f"{n}.npy": b"" for n in range(10_001)}, zipfile.ZIP_STORED)
    assert "more than 10000 arrays" in str(refused(source, sealed, "f", "npz", 10 * LIMIT))


TEXTS = {
    "json": ([b'{"a": [1, 2.5, null, "x"]}', b" 3 \n"], [b"", b"NaN", b"[1e999]", b"{'a': 1}", b"[" * 9999, b'"\xff"', b"1 2"]),
    "jsonl": ([b"", b"1\n2\n", b'{"a": 1}\n\n[2]'], [b"1\nInfinity\n", b"1 2\n", b'{"a":\n1}']),
    "text": (["äöü€😀".encode(), b""], [b"\xff", b"abc\xc3", b"\xed\xa0\x80"]),
}


@pytest.mark.parametrize("form", TEXTS)
def test_texts(source: Path, sealed: Path, form: str) -> None:
    good, bad = TEXTS[form]
    for number, content in enumerate(good):
        (source / f"good{number}").write_bytes(content)
        assert seal_file(str(source), f"good{number}", str(sealed), form, LIMIT).bytes == len(content)
    for number, content in enumerate(bad):
        (source / f"bad{number}").write_bytes(content)
        assert refused(source, sealed, f"bad{number}", form).code == "bad_format", content


def tensors(header: object, content: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def test_safetensors(source: Path, sealed: Path) -> None:
    def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    good = tensors({"a": tensor(0, 8, [2]), "b": tensor(8, 12, []), "__metadata__": {"format": "np"}}, bytes(12))
    (source / "good").write_bytes(good)
    assert seal_file(str(source), "good", str(sealed), "safetensors", LIMIT).bytes == len(good)
    bad = [
        b"",
        struct.pack("<Q", 2**63) + b"{}",
        tensors(b"{", b""),
        tensors({"a": tensor(0, 8, [2])}, bytes(9)),
        tensors({"a": tensor(0, 8, [2])}, bytes(7)),
        tensors({"a": tensor(0, 8, [3])}, bytes(8)),
        tensors({"a": tensor(0, 8, [2**62, 2**62])}, bytes(8)),
        tensors({"a": tensor(8, 0, [2])}, bytes(8)),
        tensors({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)),
        tensors({"a": tensor(0, 8, [2], "PICKLE")}, bytes(8)),
        tensors({"a": {"dtype": "F32"}}, b""),
    ]
    for number, content in enumerate(bad):
        (source / f"bad{number}").write_bytes(content)
        assert refused(source, sealed, f"bad{number}", "safetensors").code == "bad_format"


# ---------------------------------------------------------------- folders


def test_a_folder_is_copied(source: Path, sealed: Path) -> None:
    (source / "layers" / "deep").mkdir(parents=True)
    (source / "b").write_bytes(b"bb")
    (source / "layers" / "a").write_bytes(b"a")
    (source / "layers" / "deep" / "c").write_bytes(b"")
    (source / "void").mkdir()
    items = seal_tree(str(source), str(sealed), 3, 6)
    assert [(item.name, item.bytes) for item in items] == [("b", 2), ("layers/a", 1), ("layers/deep/c", 0)]
    assert (sealed / "layers" / "a").read_bytes() == b"a"
    assert hash_tree(str(source)) == hash_tree(str(sealed))


def test_limits_are_of_the_whole_folder(source: Path, sealed: Path, tmp_path: Path) -> None:
    for name in "abc":
        (source / name).write_bytes(b"xx")
    with pytest.raises(SealError, match="larger than 5 bytes") as caught:
        seal_tree(str(source), str(sealed), 5, 10)
    assert caught.value.code == "too_large"
    with pytest.raises(SealError, match=r"more than 2 files .* larger max_files") as caught:
        seal_tree(str(source), str(tmp_path / "other"), 100, 2)
    assert caught.value.code == "too_large"


def test_a_folder_with_anything_else_is_refused(source: Path, sealed: Path) -> None:
    def code(what: str) -> str:
        with pytest.raises(SealError, match=what) as sealing:
            seal_tree(str(source), str(sealed / what), LIMIT, 10)
        return sealing.value.code

    (source / "f").write_text("x")
    (source / "link").symlink_to("f")
    assert code("link") == "linked"
    (source / "link").unlink()
    os.mkfifo(source / "pipe")
    assert code("pipe") == "not_regular"
    (source / "pipe").unlink()
    os.link(source / "f", source / "g")
    assert code("hard links") == "linked"


def test_names_that_are_not_utf8(source: Path, sealed: Path) -> None:
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_text("x")
    with pytest.raises(SealError, match="UTF-8"):
        seal_tree(str(source), str(sealed), LIMIT, 10)
    assert len(hash_tree(str(source))) == 64


def test_folders_too_deep(source: Path, sealed: Path) -> None:
    source.joinpath(*["d"] * 70).mkdir(parents=True)
    with pytest.raises(SealError, match="deep"):
        seal_tree(str(source), str(sealed), LIMIT, 1000)


# ---------------------------------------------------------------- hashes


def test_a_folders_hash_tells_names_and_contents_apart(tmp_path: Path) -> None:
    def tree(name: str, files: dict[str, str]) -> str:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(content)
        return hash_tree(str(tmp_path / name))

    trees = [{"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"a": "1"}, {"d/a": "1"}, {"d": "1"}, {"ab": "1"}]
    hashes = [tree(f"t{number}", files) for number, files in enumerate(trees)]
    assert len(set(hashes)) == len(trees)
    assert tree("again", {"b": "2", "a": "1"}) == hashes[0]


def test_hashes_refuse_links_and_tell_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("/etc")
    for function, path, code in (
        (hash_tree, "folder", "linked"),
        (hash_tree, "nothing", "missing"),
        (hash_file, "nothing", "missing"),
        (hash_file, "folder", "not_regular"),
        (hash_file, "folder/link", "linked"),
    ):
        with pytest.raises(SealError) as caught:
            function(str(tmp_path / path))
        assert caught.value.code == code
