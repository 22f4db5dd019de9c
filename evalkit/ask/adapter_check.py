"""The canary: proof that an adapter changes what is called, before anything is scored.

A served adapter that is silently not applied answers as its base does, and every figure would be the base's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from curate.core.digests import digest_json
from curate.core.errors import ProvenanceError, ServiceError
from curate.core.seeding import stable_seed
from evalkit.ask.answer_cache import AnswerCache
from evalkit.ask.requests import Questions, endpoint_key
from evalkit.backends.calls import Call
from evalkit.backends.endpoint import Endpoint
from evalkit.backends.types import Answer
from evalkit.results.result_record import AppliedAdapter
from evalkit.suite.contenders import Contender
from evalkit.suite.inputs import Inputs
from trainer.run.record import Run

_PROMPTS = 3  # of an adapter in this process: logits are many numbers, and one prompt would nearly do
_FIRST, _MOST = 5, 50  # questions to an endpoint; on an easy task a good base answers many as its adapter does
_LEAST = 1e-6  # of the largest logit: float32 keeps seven digits, and an adapter that moves less can't change an answer


class Logits(Protocol):
    """A model in this process that an adapter can be switched on and off on."""

    def largest_change(self, name: str, run: Run, prompts: Sequence[list[int]]) -> list[float]:
        """For each prompt, by how much the adapter changes the next token's logits, as a share of the largest."""


Ask = Callable[[Sequence[Call]], Mapping[str, Answer]]
"""Asks endpoints and gives the answers there are, by the requests' keys."""


def check_local(questions: Questions, run: Run, models: Callable[[], Logits], cache: AnswerCache) -> AppliedAdapter:
    """What the canary found for an adapter in this process; what it found before, where nothing has changed.

    The chat template is the one recorded in training: prompts are not made for another. Raises: ProvenanceError where
    the adapter changes nothing.
    """
    requests = sorted(questions.requests, key=lambda request: (len(request.prompt_ids), request.item))[:_PROMPTS]
    template = run.record.template.digest
    if not requests:
        return AppliedAdapter(how="logits", probes=0, template=template, changed=0, largest_change=None)
    key = digest_json(["canary", [request.key for request in requests]])
    kept = cache.get([key]).get(key)
    if kept is not None:
        largest = float(kept.text)
    else:
        changes = models().largest_change(questions.contender.name, run, [request.prompt_ids for request in requests])
        largest = round(max(changes), 6)
        if not largest > _LEAST:  # NaN, too
            raise ProvenanceError(
                f"{questions.contender.name} changes nothing: with its adapter and without it the model computes the"
                " same",
                where=run.path,
                fix="train again; `trainer show` prints how the losses went",
            )
        cache.put(key, Answer(text=str(largest)))
    count = len(requests)
    return AppliedAdapter(how="logits", probes=count, template=template, changed=count, largest_change=largest)


@dataclass(frozen=True, slots=True)
class _Pair:
    questions: Questions
    adapter: Endpoint
    base: Endpoint


def check_served(all_questions: Sequence[Questions], inputs: Inputs, ask: Ask) -> dict[str, AppliedAdapter]:
    """What the canary found for each adapter at an endpoint, by contender: questions answered under both names.

    The base is another contender at the same address that is no fine-tune; without one, nothing is proven, and the
    finding says so. Raises: ServiceError where all answers are the same.
    """
    found: dict[str, AppliedAdapter] = {}
    for questions in all_questions:
        endpoint = questions.contender.endpoint
        if endpoint is None or questions.contender.place != "fine-tune" or not questions.requests:
            continue
        base = _base_of(endpoint, inputs.suite.contenders)
        if base is None:
            reason = "no contender asks the base at this address"
            found[questions.contender.name] = AppliedAdapter(how="none", probes=0, changed=0, because=reason)
        else:
            found[questions.contender.name] = _compare(_Pair(questions, endpoint, base), inputs, ask)
    return found


def _base_of(endpoint: Endpoint, contenders: Sequence[Contender]) -> Endpoint | None:
    others = [c.endpoint for c in contenders if c.endpoint and c.place != "fine-tune"]
    here = [other for other in others if other.base_url == endpoint.base_url and other.model != endpoint.model]
    return here[0] if here else None


def _compare(pair: _Pair, inputs: Inputs, ask: Ask) -> AppliedAdapter:
    suite = inputs.suite
    first = [request for request in pair.questions.requests if request.repeat == 0]
    order = sorted(first, key=lambda request: stable_seed(suite.seed, request.item))[:_MOST]
    same = changed = 0
    for probes in (order[:_FIRST], order[_FIRST:]):
        if changed or not probes:
            break
        under_base = [replace(request, key=endpoint_key(pair.base, request, suite)) for request in probes]
        calls = [Call(request, pair.adapter) for request in probes] + [
            Call(request, pair.base) for request in under_base
        ]
        answers = ask(calls)
        for ours, its in zip(probes, under_base, strict=True):
            if ours.key in answers and its.key in answers:
                equal = answers[ours.key].text == answers[its.key].text
                same, changed = same + equal, changed + (not equal)
    if same and not changed:
        raise ServiceError(
            f"{pair.questions.contender.name}: {pair.adapter.model} and {pair.base.model} give the same answers to"
            f" {same} of {same} questions: the adapter is not applied, or changes nothing",
            where=pair.adapter.base_url,
            fix="see how the server loads adapters (vLLM: --lora-modules), and ask for the adapter by its name",
        )
    return AppliedAdapter(how="answers", probes=same + changed, changed=changed, base=pair.base.model)
