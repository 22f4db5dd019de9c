"""Sentences of a report: what quality costs, what answers stand on, and whether the adapter was applied at all."""

from collections.abc import Iterator

from evalkit.results.result_record import AppliedAdapter, ResultRecord, RetrievalFigures
from evalkit.stats.in_words import percent

_RUNGS = {"prompt": "Prompting", "rag": "Retrieval"}


def gain_sentences(result: ResultRecord) -> list[str]:
    """For prompting and for retrieval, the share of the trained contender's gain that it reaches."""
    found = result.economics.gain if result.economics else None
    if not found:
        return []
    lines = []
    for one in found.reached:
        share, low, high = (percent(value).replace("-", "\N{MINUS SIGN}") for value in (one.share, one.low, one.high))
        goal = percent(found.goal)
        verdict = (
            f"at least {goal} of the way"
            if one.reaches_goal
            else (f"not {goal} of the way" if one.high < found.goal else f"perhaps {goal} of the way")
        )
        lines.append(
            f"{_RUNGS[one.rung]} ({one.contender}) reaches {share} of {found.contender}'s gain over "
            f"{found.over}, interval {low} to {high}: {verdict}."
        )
    return lines


def break_even_sentences(result: ResultRecord) -> list[str]:
    """For each trained contender against each baseline, when its training is paid back."""
    made = result.economics.environment.break_even if result.economics else []
    lines = []
    for one in made:
        pair = f"{one.contender} against {one.against}"
        if one.requests is None:
            lines.append(f"{pair}: requests never pay the training back; {one.because}.")
        else:
            work = "money" if one.unit == "money" else "tokens worked through, a training token counted three times"
            lines.append(f"{pair}: the training is paid back after about {_about(one.requests):,} requests ({work}).")
    return lines


def _about(number: int) -> int:
    """Two digits of it, rounded up: it rests on averages."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def ground_sentences(result: ResultRecord) -> list[str]:
    """A sentence for each contender's retrieval and for each adapter's canary."""
    lines = []
    for contender in result.contenders:
        if contender.retrieval:
            lines.append(f"{contender.name}, retrieval: {'; '.join(_retrieval(contender.retrieval))}.")
        if contender.canary:
            lines.append(f"{contender.name}, is the adapter applied? {_canary(contender.canary)}.")
    return lines


def _retrieval(found: RetrievalFigures) -> Iterator[str]:
    if found.recall:
        named = found.source_named
        best = ", ".join(f"{percent(share)} in the best {k}" for k, share in found.recall.items())
        yield f"the right passage is found for {best}, of {named:,} items that name theirs"
    answer = found.answer
    if answer.items:
        shown = f"the answer's words were shown for {answer.in_context:,} of {answer.items:,} items"
        scores = [
            f"{percent(score)} right {where}"
            for score, where in ((answer.score_with, "on those"), (answer.score_without, "elsewhere"))
            if score is not None
        ]
        yield f"{shown} ({', '.join(scores)})" if scores else shown
    for count, what in (
        (found.unreadable.count, "documents that can't be read"),
        (found.failed, "items whose retriever failed"),
        (found.nothing_found, "items without any passage"),
    ):
        if count:
            yield f"{count:,} {what}"


def _canary(found: AppliedAdapter) -> str:
    if not found.probes:
        return f"Nobody knows: {found.because or 'there was no prompt to try'}"
    if found.how == "logits":
        return f"Yes: it changed the next token's logits on {found.changed:,} of {found.probes:,} prompts tried"
    return f"Yes: it answered {found.changed:,} of {found.probes:,} questions otherwise than {found.base}"
