"""A synthesis from its file to its folder: rows, rejections, the sample for human review, and a record."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file, digest_json
from curate.core.errors import DataError
from curate.core.files import write_lines
from curate.core.output_folder import check_apart, check_unclaimed
from curate.core.paths import find_path, load_function
from curate.core.records import environment, versions, write_record
from curate.core.rows.row import Row, encode_row
from curate.core.seeding import stable_seed
from curate.core.sources.records import find_inputs
from curate.read.chunks import read_source
from curate.recipe.recipe import Recipe
from curate.synthesize.asking import Asker
from curate.synthesize.config import Audit, Synthesize
from curate.synthesize.journal import Journal, read_journal
from curate.synthesize.replies import no_reply, read_replies
from curate.synthesize.requests import Request, Wording, make_requests, read_wording
from curate.synthesize.spending import Spent, open_purse, spent
from curate.synthesize.teacher import Endpoint, Teacher
from curate.table.rejections import Rejection, Rejections, encode_rejection
from curate.table.selection import RowSelection
from curate.table.stage import Context

JOURNAL, RECORD = "journal.jsonl", "synthesis.json"
_FILES = ("rows.jsonl", "rejected.jsonl", "audit.jsonl")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `most_*` are bounds on what the requests that are left may use."""

    seeds: int
    requests: int
    answered: int
    most_prompt_tokens: int
    most_completion_tokens: int
    most_money: float | None
    spent: Spent


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What came out. `unasked` requests were left because the budget ended; a larger one goes on from there."""

    rows: list[Row]
    rejections: list[Rejection]
    audit: list[Row]
    record: dict[str, Any]
    unasked: int


@dataclass(frozen=True, slots=True)
class _Work:
    """Everything that is read before anything is asked."""

    seeds: RowSelection
    unread: Rejections
    inputs: list[dict[str, str]]
    wording: Wording
    requests: list[Request]
    output: Path


def plan_synthesis(settings: Synthesize, folder: Path) -> Plan:
    """What `run_synthesis` would do, without asking or writing anything."""
    work = _prepare(settings, folder)
    past = read_journal(work.output / JOURNAL)
    answered = {record.key for record in past if record.event == "reply"}
    left = [request for request in work.requests if request.key not in answered]
    prompt = sum(request.most_prompt_tokens for request in left)
    completion = sum(request.most_completion_tokens for request in left)
    price = settings.price
    money = None if price is None else price.cost(prompt, completion)
    used = spent(open_purse(settings.budget, price, past), price)
    return Plan(len(work.seeds), len(work.requests), len(work.requests) - len(left), prompt, completion, money, used)


def run_synthesis(
    settings: Synthesize,
    folder: Path,
    *,
    teacher: Teacher | None = None,
    done: Callable[[], object] = lambda: None,
) -> Synthesis:
    """Ask what was not answered yet and write the output folder. `done` is called after each request.

    Paths in the settings start at `folder`. Without a `teacher`, the endpoint of the settings is asked.
    Raises: ConfigError, DataError where nothing can be asked; ServiceError where the endpoint gives out.
    """
    work = _prepare(settings, folder)
    adapter = load_function(settings.adapter, folder) if settings.adapter is not None else None
    with Journal(work.output / JOURNAL) as journal:
        replies = journal.replies()
        left = [request for request in work.requests if request.key not in replies]
        purse = open_purse(settings.budget, settings.price, journal.records)
        failures: dict[str, str] = {}
        if left:
            with nullcontext(teacher) if teacher is not None else closing(Endpoint(settings.teacher)) as asked:
                asker = Asker(asked, settings.teacher, journal, purse, settings.price, settings.give_up_after)
                asker.ask_all(left, done)
            failures = asker.failures
        replies = journal.replies()
        rows, bad = read_replies(work.requests, replies, settings, work.wording, adapter)
        open_requests = [request for request in work.requests if request.key not in replies]
        silent = [no_reply(request, failures[request.key]) for request in open_requests if request.key in failures]
        unasked = len(open_requests) - len(silent)
        rejections = [*work.unread, *bad, *silent]
        audit = audit_sample(rows, settings.audit, settings.seed)
        outputs = _write(work.output, rows, rejections, audit)
        counts = {"planned": len(work.requests), "replies": len(work.requests) - len(open_requests),
                  "failed": len(silent), "unasked": unasked}  # fmt: skip
        record = write_record(
            work.output / RECORD,
            {
                "kind": "synthesis",
                "schema": 1,
                "name": settings.name,
                # Where the endpoint is belongs to the machine, not to the rows.
                "config": settings.model_dump(mode="json", exclude={"teacher": {"base_url"}}),
                "inputs": work.inputs,
                "wording": work.wording.digests,
                "requests": {**counts, "digest": digest_json([request.key for request in work.requests])},
                "rows": len(rows),
                "rejected": dict(sorted(Counter(rejection.reason for rejection in rejections).items())),
                "spent": msgspec.to_builtins(spent(purse, settings.price)),
                "outputs": outputs,
                "seed": settings.seed,
                "versions": versions("openai"),
                "environment": environment(base_url=settings.teacher.base_url),
            },
        )
    return Synthesis(rows, rejections, audit, record, unasked)


def audit_sample(rows: Sequence[Row], settings: Audit, seed: int) -> list[Row]:
    """The rows that a human should look at, drawn by seed and id, so that new rows push few others out."""
    count = max(settings.at_least, math.ceil(settings.share * len(rows)))
    return sorted(rows, key=lambda row: (stable_seed(seed, f"audit\x00{row.id}"), row.id))[:count]


def _prepare(settings: Synthesize, folder: Path) -> _Work:
    wording = read_wording(settings, folder)
    found = [one for path in settings.seeds.paths for one in find_inputs(path, folder)]
    # Seeds are read as a recipe's source is; nothing else of a recipe is asked for.
    recipe = Recipe(name="seeds", behaviour="Seeds.", output=settings.output, sources=[settings.seeds], dedup=None)
    seeds, unread = read_source(Context(recipe, folder), settings.seeds, found)
    output = find_path(settings.output, folder)
    check_apart(output, [one.path for one in found])
    if not (output / JOURNAL).is_file():
        check_unclaimed(output, (*_FILES, RECORD), ())
    if not seeds:
        raise DataError("no seed row can be read", where="seeds", fix="see `path` and `adapter` of the seeds")
    inputs = [{"path": one.shown, "digest": digest_file(one.path)} for one in found]
    requests = make_requests(seeds, settings, wording)
    return _Work(seeds, unread, inputs, wording, requests, output)


def _write(
    output: Path, rows: Sequence[Row], rejections: Sequence[Rejection], audit: Sequence[Row]
) -> dict[str, dict[str, Any]]:
    lines_of = map(encode_row, rows), map(encode_rejection, rejections), map(encode_row, audit)
    files = {name: list(lines) for name, lines in zip(_FILES, lines_of, strict=True)}
    for name, lines in files.items():
        write_lines(output / name, lines)
    return {name: {"digest": digest_file(output / name), "rows": len(lines)} for name, lines in files.items()}
