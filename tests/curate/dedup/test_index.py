"""The persistent index: additions of different days find what one comparison of everything finds."""

import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError
from curate.core.rows.row import Message, Row
from curate.dedup import index
from curate.dedup.index import Added, IndexSettings, Match, add_rows, create_index, find_rows
from tests.curate.row_makers import make_row

pytest.importorskip("datasketch")
WORDS = [f"w{n}" for n in range(50)]
# 64 bands of two rows miss a pair at 0.7 once in 10^18.
SURE = {"bands": 64, "rows": 2}


def noisy_rows(seed: int, count: int) -> list[Row]:
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 25))) for _ in range(count // 2)]
    while len(texts) < count:
        words = draw.choice(texts).split()
        words[draw.randrange(len(words))] = draw.choice(WORDS)
        texts.append(" ".join(words))
    draw.shuffle(texts)
    return [make_row(text, id=f"{seed}-{n}") for n, text in enumerate(texts)]


def similarity(a: Row, b: Row) -> float:
    first, second = (row.messages[0].text.split() for row in (a, b))
    if first == second:
        return 1.0
    left, right = ({tuple(words[at : at + 3]) for at in range(len(words) - 2)} for words in (first, second))
    return len(left & right) / len(left | right) if left | right else 0.0


def check_against_brute_force(folder: Path, redis_url: str | None = None) -> None:
    known = noisy_rows(1, 80)
    for day, part in enumerate((known[:30], known[30:50], known[50:])):
        add_rows(folder, f"day-{day}", part, redis_url=redis_url)
    dataset = {row.id: f"day-{0 if n < 30 else 1 if n < 50 else 2}" for n, row in enumerate(known)}
    asked = [*noisy_rows(1, 80)[:10], *noisy_rows(2, 40)]
    asked += [make_row(f"{row.messages[0].text} w1", id=f"more-{row.id}") for row in known]
    matches = find_rows(folder, asked, redis_url=redis_url)
    assert sum(match is not None for match in matches) > 30
    by_id = {row.id: row for row in known}
    for row, match in zip(asked, matches, strict=True):
        best = max(similarity(row, other) for other in known)
        if match is None:
            assert best < 0.7
        else:
            assert match.similarity == pytest.approx(best, abs=1e-4)
            assert match.similarity == pytest.approx(similarity(row, by_id[match.id]), abs=1e-4)
            assert match.dataset == dataset[match.id]


def test_matches_are_those_of_brute_force(tmp_path: Path) -> None:
    create_index(tmp_path / "index", IndexSettings(**SURE))
    check_against_brute_force(tmp_path / "index")


def test_what_is_known_is_not_added_again(tmp_path: Path) -> None:
    create_index(tmp_path / "index")
    rows = [make_row("one two three four", id="a"), make_row("ONE two  three four", id="b"), make_row("x", id="c")]
    assert add_rows(tmp_path / "index", "first", rows) == Added(2, 1)
    assert add_rows(tmp_path / "index", "second", rows) == Added(0, 3)
    assert find_rows(tmp_path / "index", rows) == [
        Match("a", "first", 1.0),
        Match("a", "first", 1.0),
        Match("c", "first", 1.0),
    ]
    assert find_rows(tmp_path / "index", [make_row("y"), make_row("")]) == [None, None]


def test_equal_additions_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_index(tmp_path / name)
        add_rows(tmp_path / name, "d", noisy_rows(3, 20))
    segments = [(tmp_path / name / "segment-00001.parquet").read_bytes() for name in ("a", "b")]
    assert segments[0] == segments[1]


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no index here"):
        find_rows(tmp_path / "none", [])
    with pytest.raises(DataError, match="no index here"):
        add_rows(tmp_path / "none", "d", [])
    create_index(tmp_path / "index")
    with pytest.raises(DataError, match="already"):
        create_index(tmp_path / "index")
    add_rows(tmp_path / "index", "d", [make_row("one two three four")])
    (tmp_path / "index" / "segment-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ProvenanceError, match="segment"):
        find_rows(tmp_path / "index", [])


def test_a_killed_addition_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    create_index(tmp_path / "index")
    add_rows(tmp_path / "index", "d", [make_row("one two three four", id="a")])
    shutil.copy(tmp_path / "index" / "segment-00001.parquet", tmp_path / "index" / "segment-00002.parquet")
    more = [make_row("five six seven eight", id="b")]
    assert find_rows(tmp_path / "index", more) == [None]
    assert add_rows(tmp_path / "index", "e", more) == Added(1, 0)
    assert find_rows(tmp_path / "index", more) == [Match("b", "e", 1.0)]


def test_redis_needs_an_address_that_answers(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redis")
    monkeypatch.delenv("ACIDTEST_REDIS_URL", raising=False)
    create_index(tmp_path / "index", IndexSettings(storage="redis"))
    with pytest.raises(ConfigError, match="Redis"):
        find_rows(tmp_path / "index", [make_row("a b c d")])
    with pytest.raises(ConfigError, match="no address"):
        find_rows(tmp_path / "index", [make_row("a b c d")], redis_url="http://localhost")
    with pytest.raises(ServiceError, match="does not answer"):
        find_rows(tmp_path / "index", [make_row("a b c d")], redis_url=f"redis://127.0.0.1:{free_port}")


@pytest.mark.system("redis-server")
def test_redis_keeps_the_buckets_between_runs(tmp_path: Path, redis_url: str) -> None:
    create_index(tmp_path / "index", IndexSettings(**SURE, storage="redis"))
    check_against_brute_force(tmp_path / "index", redis_url)
    assert b"127.0.0.1" not in (tmp_path / "index" / "index.json").read_bytes()


@pytest.mark.system("redis-server")
def test_indexes_in_one_redis_do_not_mix(tmp_path: Path, redis_url: str) -> None:
    import redis

    text = " ".join(WORDS[:20])
    for name in ("a", "b"):
        create_index(tmp_path / name, IndexSettings(storage="redis"))
    add_rows(tmp_path / "a", "d", [make_row(text, id="in-a")], redis_url=redis_url)
    asked = [make_row(f"{text} w1", id="q")]
    assert find_rows(tmp_path / "a", asked, redis_url=redis_url) == [Match("in-a", "d", 0.9474)]
    assert find_rows(tmp_path / "b", asked, redis_url=redis_url) == [None]
    # Keys are numbers as bytes: nothing that is read back from the server is unpickled.
    server = redis.Redis.from_url(redis_url)
    members = {value for key in server.scan_iter() if server.type(key) == b"set" for value in server.smembers(key)}
    assert members == {(0).to_bytes(8, "big")}


@pytest.mark.system("redis-server")
def test_a_redis_that_lost_the_buckets_gets_them_again(tmp_path: Path, redis_url: str) -> None:
    import redis

    create_index(tmp_path / "index", IndexSettings(storage="redis"))
    text = " ".join(WORDS[:20])
    add_rows(tmp_path / "index", "d", [make_row(text, id="a")], redis_url=redis_url)
    redis.Redis.from_url(redis_url).flushall()
    asked = [make_row(f"{text} w1", id="q")]
    assert find_rows(tmp_path / "index", asked, redis_url=redis_url) == [Match("a", "d", 0.9474)]


def test_only_rows_that_share_a_band_are_put_into_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word{n}" for n in range(400)]
    rows = [make_row(" ".join(words[n : n + 40]), id=f"r{n}") for n in range(0, 360, 40)]
    create_index(tmp_path / "seen")
    assert find_rows(tmp_path / "seen", rows) == [None] * len(rows)
    add_rows(tmp_path / "seen", "old", rows)
    filled: list[int] = []
    fill = index._fill

    def noted(lsh: Any, table: Any, numbers: list[int], settings: IndexSettings) -> None:
        filled.extend(numbers)
        fill(lsh, table, numbers, settings)

    monkeypatch.setattr(index, "_fill", noted)
    (found,) = find_rows(tmp_path / "seen", [make_row(" ".join(words[40:79]))])
    assert found is not None
    assert found.id == "r40"
    assert filled == [1]


def test_numbers_and_scenes_keep_rows_apart(tmp_path: Path) -> None:
    text = " ".join(WORDS[:20])
    create_index(tmp_path / "index")
    add_rows(tmp_path / "index", "d", [make_row(f"{text} in 5 days", id="a")])
    scene = Message("system", "Be brief.")
    asked = [make_row(f"{text} in {number} days", "whatever", id="b") for number in (5, 6)]
    asked.append(msgspec.structs.replace(asked[0], messages=[scene, *asked[0].messages]))
    assert [match is not None for match in find_rows(tmp_path / "index", asked)] == [True, False, False]


def test_an_early_index_is_asked_in_its_own_words(tmp_path: Path) -> None:
    for schema, known in ((1, False), (2, True)):
        folder = tmp_path / str(schema)
        folder.mkdir()
        index._write(folder, IndexSettings(), [], schema=schema)
        assert add_rows(folder, "d", [make_row("it works. then it stops.", id="a")]) == Added(1, 0)
        same, bare = make_row("It works. Then it stops."), make_row("it works then it stops")
        assert [match is not None for match in find_rows(folder, [same, bare])] == [True, known]
    record = (
        (tmp_path / "2" / "index.json")
        .read_text()
        .replace('"schema":2', '"schema":3')
        .replace('"schema": 2', '"schema": 3')
    )
    (tmp_path / "2" / "index.json").write_text(record)
    with pytest.raises(ProvenanceError):
        find_rows(tmp_path / "2", [])
