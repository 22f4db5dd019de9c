"""A made-up run of four contenders on 118 tool-call items, with the rates that a small model really shows."""

import json
import random
from dataclasses import dataclass
from typing import Any

import msgspec

from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation, Score
from evalkit.results.build_result import ContenderInfo, build_result
from evalkit.results.result_record import ResultRecord
from evalkit.suite.chain import ResultChain, RowsOrigin, RunOrigin

RATES = {"base": 0.0, "base+prompt": 0.06, "base+rag": 0.10, "adapter": 0.54}
CONTENDERS = (
    ContenderInfo("base", "base", "the question alone"),
    ContenderInfo("base+prompt", "prompt", "instructions and 4 solved examples"),
    ContenderInfo("base+rag", "rag", "the 4 nearest solved rows"),
    ContenderInfo("adapter", "fine-tune", "QLoRA, rank 16", training_seconds=520.0, adapter=True),
)
SUITE: dict[str, Any] = {
    "name": "toolcalls",
    "behaviour": "answer with one JSON object that calls the right function with the right arguments",
    "primary": "tool_call",
    "useful_effect": 0.05,
    "alpha": 0.05,
    "seed": 7,
    "cluster": "group",
    "min_quality": None,
}
CHAIN = ResultChain(
    suite="sha256:" + "f6" * 32,
    dataset=RowsOrigin(manifest="sha256:" + "a1" * 32, train="sha256:" + "b2" * 32),
    runs={"adapter": RunOrigin(run="sha256:" + "c3" * 32, adapter="sha256:" + "d4" * 32)},
    template="sha256:" + "e5" * 32,
)


@dataclass(frozen=True)
class RecordedRun:
    items: list[Row]
    generations: list[Generation]
    scores: list[Score]
    contenders: tuple[ContenderInfo, ...]

    def result(self, **changes: Any) -> dict[str, Any]:
        """The record as it stands in result.json."""
        plain: dict[str, Any] = msgspec.to_builtins(self.record(**changes))
        return plain

    def record(self, **changes: Any) -> ResultRecord:
        return build_result(
            suite={**SUITE, **changes},
            items=self.items,
            generations=self.generations,
            scores=self.scores,
            chain=CHAIN,
            contenders=self.contenders,
        )


_VERBS = ("get", "find", "calculate", "convert", "book", "list", "update", "check")
_NOUNS = ("weather", "distance", "area of a triangle", "currency", "flight", "recipe", "stock price", "population")


def record_run(count: int = 118, rates: dict[str, float] = RATES, seed: int = 3) -> RecordedRun:
    """A run in which exactly the given share of the items (rounded) is right for each contender."""
    contenders = tuple(info for info in CONTENDERS if info.name in rates)
    items = [_item(index) for index in range(count)]
    generations, scores = [], []
    for info in contenders:
        draw = random.Random(f"{seed} {info.name}")
        right = set(draw.sample(range(count), round(rates[info.name] * count)))
        for index, item in enumerate(items):
            generations.append(_generation(info, item, index in right, draw))
            valid = index in right or draw.random() < {"base": 0.03}.get(info.name, 0.85)
            for scorer, value in (("tool_call", index in right), ("json_valid", valid)):
                scores.append(
                    Score(
                        item=item.id,
                        contender=info.name,
                        scorer=scorer,
                        value=float(value),
                        detail=None if value else "the arguments are not the expected ones",
                    )
                )
    return RecordedRun(items, generations, scores, contenders)


def _item(index: int) -> Row:
    name = f"{_VERBS[index % 8]}_{_NOUNS[index // 3 % 8].replace(' ', '_')}"
    fits = index % 3 != 0
    target = {"name": name, "arguments": {"value": index, "unit": "metric"}} if fits else {"name": None}
    question = f"Please {_VERBS[index % 8]} the {_NOUNS[index // 3 % 8]} for customer {index}, in metric units."
    return Row(
        id=f"simple_python_{index}",
        messages=[
            Message(role="system", content="Answer with one JSON object."),
            Message(role="user", content=question),
            Message(role="assistant", content=json.dumps(target)),
        ],
        label="call" if fits else "no_call",
        group=f"api_{index // 2}",
    )


def _generation(info: ContenderInfo, item: Row, is_right: bool, draw: random.Random) -> Generation:
    if is_right:
        text = item.answer
    elif info.rung == "base":
        text = "I'm sorry, but I can't do that. However, here is how you could go about it:\n\n1. Open the page"
    else:
        text = json.dumps({"name": "get_weather", "arguments": {"city": "Paris", "value": draw.randrange(9)}})
    prompt = {"base": 90, "prompt": 420, "rag": 460, "fine-tune": 90}[info.rung]
    return Generation(
        item=item.id,
        contender=info.name,
        text=text,
        finish_reason="length" if info.rung == "base" and draw.random() < 0.6 else "stop",
        prompt_tokens=prompt + draw.randrange(40),
        completion_tokens=len(text) // 4,
        latency_ms=draw.lognormvariate(6.5 if info.rung in ("prompt", "rag") else 6.0, 0.3),
    )
