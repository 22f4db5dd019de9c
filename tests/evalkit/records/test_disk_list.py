"""Lists on disk behave as lists: the same entries at the same places, read singly, in slices or in order."""

import subprocess
import sys
from pathlib import Path

import pytest

from curate.core.digests import digest_json
from curate.core.rows.row import Message, Row
from evalkit.backends.calls import Call, Calls
from evalkit.backends.endpoint import Endpoint
from evalkit.backends.types import Answer, Request
from evalkit.records.by_item_and_contender import ByItemAndContender
from evalkit.records.disk_list import ById, Spool
from evalkit.records.lines import Score

# Lines shorter and longer than what is read at once, with characters that end lines elsewhere.
SCORES = [Score(item=f"i{n}", contender="c", scorer="s", detail="a\n\x85\u2028" * (n % 7) * n) for n in range(400)]


def test_a_spool_gives_back_what_went_in() -> None:
    spool = Spool(Score, SCORES)
    assert list(spool) == SCORES
    assert [spool[at] for at in (0, 7, -1)] == [SCORES[at] for at in (0, 7, -1)]
    assert (spool[390:], spool[5:2], spool[::-100]) == (SCORES[390:], [], SCORES[::-100])
    assert spool.digest() == digest_json(SCORES)
    spool.append(SCORES[3])
    assert (len(spool), spool[-1], Spool(Score).digest()) == (401, SCORES[3], digest_json([]))
    with pytest.raises(IndexError):
        spool[401]


def test_rows_are_found_by_their_id() -> None:
    rows = [Row(id=name, messages=[Message("user", name)], meta={"b": 1, "a": [2]}) for name in "xyz"]
    found = ById(Spool(Row, rows))
    assert dict(found) == {row.id: row for row in rows}
    with pytest.raises(KeyError):
        found["w"]


def test_scores_are_found_by_answer_wherever_they_stand() -> None:
    rows = [Row(id=name, messages=[]) for name in "ab"]
    made = [Score(item=item, contender=c, scorer=s) for s in "pq" for c in ("one", "two", "else") for item in "bab"]
    found = ByItemAndContender(Spool(Score, made), rows, ["one", "two"])
    for at, item in enumerate("ab"):
        for name in ("one", "two"):
            assert found.of(at, name) == [s for s in made if (s.item, s.contender) == (item, name)]


def test_calls_are_those_that_were_added() -> None:
    calls = Calls()
    asked = []
    for name in "ab":
        endpoint = Endpoint(model=name, base_url="http://localhost/v1", key_env=None)
        requests = [Request(item=str(n), contender=name, messages=[], place=n) for n in range(3)]
        spooled = Spool(Request, requests)
        for request in requests[1:]:
            calls.add(spooled, request.place, endpoint)
            asked.append(Call(request, endpoint))
    assert list(calls) == asked
    assert calls[1:3] == asked[1:3]


def test_answers_keep_what_a_spool_does_not_say() -> None:
    assert Spool(Answer, [Answer(text="x", estimated=True)])[0] == Answer(text="x", estimated=True)


def test_asking_endpoints_and_rules_loads_no_heavy_library() -> None:
    code = (
        "import sys, evalkit.run, evalkit.backends.pool, evalkit.report, evalkit.report.terminal\n"
        "heavy = {'scipy.stats', 'polars', 'jsonschema', 'openai', 'torch', 'transformers', 'tokenizers', 'lancedb'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert done.stdout.strip() == "[]"
