"""Files and digests: atomic, numbered, the same everywhere."""

import hashlib
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.digests import (
    blake2b_of_each,
    canonical_json,
    digest_bytes,
    digest_file,
    digest_folder,
    digest_json,
    digest_text,
)
from curate.core.errors import DataError, ServiceError, os_errors
from curate.core.files import atomic_folder, atomic_write, decode_lines, read_lines, write_lines, write_text
from curate.core.rows.row import Message, Row, content_id, encode_row
from curate.core.seeding import stable_fraction, stable_seed, stable_seeds


def test_lines_know_their_number_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf{}\r\n\n  \n[1]\nlast, no line end")
    lines = list(read_lines(path))
    assert [(line.number, line.raw) for line in lines] == [(1, b"{}"), (4, b"[1]"), (5, b"last, no line end")]
    data = path.read_bytes()
    assert all(data[line.offset :].removeprefix(b"\xef\xbb\xbf").startswith(line.raw) for line in lines)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)))
def test_lines_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    kept = [text.encode() for text in texts if text.encode().strip() and not text.startswith("\ufeff")]
    write_lines(path, kept)
    assert [line.raw for line in read_lines(path)] == kept


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "messages": []}\n{"id": 3}\n')
    with pytest.raises(DataError) as caught:
        list(decode_lines(path, Row))
    assert caught.value.where == f"{path}:2"


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_service_error_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    code = f"""
import resource, signal
from pathlib import Path
from curate.core.errors import AcidtestError
from curate.core.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_write(Path({str(path)!r})) as file:
        file.write(b"x" * 5000)
        file.flush()
except AcidtestError as error:
    print(type(error).__name__, error.where)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # the limit stands in for a full disk: the write fails the same way, as an OSError
    assert result.stdout.split()[1] == str(path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_what_to_do(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device that is always full")
    with (
        pytest.raises(ServiceError, match="No space left") as caught,
        os_errors(tmp_path),
        Path("/dev/full").open("w") as file,
    ):
        file.write("x")
        file.flush()
    assert "free some disk space" in str(caught.value)


def test_written_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("x")
    write_text(atomic, "x")
    assert atomic.stat().st_mode == plain.stat().st_mode


def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "made" / "folder"
    with atomic_folder(target) as folder:
        (folder / "one").write_text("1")
        assert not target.exists()
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "two").write_text("2")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["one"]
    with atomic_folder(target) as folder:
        (folder / "two").touch(mode=0o600)
    assert [path.name for path in target.iterdir()] == ["two"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "file").write_text("")
    assert target.stat().st_mode == plain.stat().st_mode
    assert (target / "two").stat().st_mode == (plain / "file").stat().st_mode


def test_digests_do_not_depend_on_order_or_place(tmp_path: Path) -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'.encode()
    assert digest_json({"b": 1, "a": 2}) == digest_json({"a": 2, "b": 1}) != digest_json({"a": 2, "b": 2})
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    # the value that FIPS 180-2 prints for SHA-256 of "abc"
    assert digest_file(path) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_file(path) == digest_bytes(b"abc") == digest_text("abc")
    other = tmp_path / "other"
    other.mkdir()
    (other / "f").write_bytes(b"abc")
    assert digest_folder(other) == digest_folder(tmp_path, ["f"])
    assert digest_text("\ud800") != digest_text("?")


def test_a_missing_file_is_a_data_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        digest_file(tmp_path / "none")
    assert caught.value.where == str(tmp_path / "none")


def test_rows_split_into_prompt_and_answer() -> None:
    turns = [Message("system", "s"), Message("user", "u"), Message("assistant", "a")]
    row = Row(id="1", messages=turns)
    assert (row.prompt, row.answer) == (turns[:2], "a")
    assert Row(id="1", messages=turns[:2]).answer == ""
    parts = Message("user", [{"type": "text", "text": "x"}, {"type": "image_url"}, {"type": "text", "text": "y"}])
    assert parts.text == "xy"


def test_equal_rows_have_equal_bytes_and_ids() -> None:
    row = Row(id="1", messages=[Message("user", "u")], meta={"b": 1, "a": 2})
    assert encode_row(row) == encode_row(Row(id="1", messages=[Message("user", "u")], meta={"a": 2, "b": 1}))
    assert content_id(row.messages) == content_id([Message("user", "u")]) != content_id([Message("user", "v")])


@given(st.integers(0, 2**31), st.text(min_size=1))
def test_stable_fractions_are_stable_and_in_range(seed: int, key: str) -> None:
    assert 0 <= stable_fraction(seed, key) < 1
    assert stable_fraction(seed, key) == stable_fraction(seed, key)


def test_stable_fractions_spread_evenly() -> None:
    values = [stable_fraction(7, str(i)) for i in range(4000)]
    counts = [sum(low / 10 <= v < (low + 1) / 10 for v in values) for low in range(10)]
    assert all(320 < count < 480 for count in counts)  # 400 each, four standard deviations either way


@given(st.binary(max_size=130), st.lists(st.binary(max_size=300)))
def test_the_digests_of_many_texts_are_those_of_each(start: bytes, texts: list[bytes]) -> None:
    wanted = [hashlib.blake2b(start + text, digest_size=16).digest() for text in texts]
    assert blake2b_of_each(b"".join(texts), accumulate(map(len, texts)), 16, start) == b"".join(wanted)


@given(st.integers(0, 2**31), st.lists(st.text()))
def test_the_seeds_of_many_keys_are_those_of_each(seed: int, keys: list[str]) -> None:
    encoded = [key.encode() for key in keys]
    found = stable_seeds(seed, b"".join(encoded), accumulate(map(len, encoded)), "side\x00")
    assert found == b"".join(stable_seed(seed, f"side\x00{key}").to_bytes(8, "little") for key in keys)
