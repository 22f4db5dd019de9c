"""Latency in a quiet pass: after all answers, one request at a time, contender after contender in turns.

While many requests are in flight each waits for the others, which says how busy the machine is, not how fast a
contender answers.
"""

from collections.abc import Callable, Sequence
from heapq import nsmallest

from msgspec.structs import replace

from curate.core.console import progress
from curate.core.digests import digest_json
from curate.core.seeding import stable_seed
from evalkit.ask.answer_cache import AnswerCache
from evalkit.ask.requests import Questions
from evalkit.backends.types import Answer, Request

AskOne = Callable[[Questions, Request], Answer | None]
"""Asks one request and waits for its answer; None where there is none to be had."""


def quiet_latencies(
    all_questions: Sequence[Questions], count: int, seed: int, ask: AskOne, cache: AnswerCache, *, fresh: bool
) -> dict[str, list[float]]:
    """How long single requests take, by contender, in milliseconds. Those whose answers aren't kept have none.

    Args:
        count: how many items each contender is asked about; all are asked about the same ones, which `seed` chooses.
        ask: asks one request and waits for its answer.
        cache: where latencies of earlier runs are kept; not looked up where `fresh`.
    """
    plan: list[tuple[Questions, Request]] = []
    asking = [q for q in all_questions if q.contender.is_local or q.contender.endpoint]
    names = {request.item for questions in asking for request in questions.requests}
    chosen = dict.fromkeys(nsmallest(count, names, key=lambda name: stable_seed(seed, name)))
    first = {q.contender.name: {r.item: r for r in q.requests if r.item in chosen and r.repeat == 0} for q in asking}
    for item in chosen:
        plan += [(q, first[q.contender.name][item]) for q in asking if item in first[q.contender.name]]
    keyed = [(questions, replace(request, key=_key(request))) for questions, request in plan]
    kept = {} if fresh else cache.get(request.key for _, request in keyed)
    found: dict[str, list[float]] = {}
    missing = len(keyed) - sum(request.key in kept for _, request in keyed)
    with progress("latency", missing) as advance:
        for questions, request in keyed:
            answer = kept.get(request.key)
            if answer is None:
                answer = ask(questions, request)
                advance(1)
                if answer is None or answer.error is not None:
                    continue
                cache.put(request.key, answer)
            found.setdefault(questions.contender.name, []).append(answer.latency_ms)
    return found


def _key(request: Request) -> str:
    return digest_json(["alone", request.key])
