"""inspect_ai's log format, one file per contender: `inspect view` and `read_eval_log` read them.

Source: the fields of `inspect_ai.log.EvalLog` (version 2 of the format), checked against inspect_ai 0.3.285.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.core.files import write_text
from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation, Score
from evalkit.results.compare_contenders import Metric
from evalkit.results.folder import Results
from evalkit.results.result_record import ContenderSection

# What inspect_ai calls the ways in which an answer ends.
_STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}
_ROLES = ("system", "user", "assistant", "tool")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9+.-]+")


def write_inspect(results: Results, folder: Path) -> list[Path]:
    """Write `inspect-CONTENDER.json` for each contender."""
    written = []
    for contender in results.result.contenders:
        path = folder / f"inspect-{file_name(contender.name)}.json"
        write_text(path, json.dumps(_log(results, contender)))  # not msgspec: NaN has to stand there as NaN
        written.append(path)
    return written


def file_name(name: str) -> str:
    """The name with what file systems dislike replaced by dashes."""
    return _NOT_IN_NAMES.sub("-", name).strip(".-") or "contender"


def created(results: Results) -> str:
    """When the result was written, as it says; a fixed day where it doesn't."""
    return str((results.result.environment or {}).get("finished_at") or "1970-01-01T00:00:00+00:00")


def _log(results: Results, contender: ContenderSection) -> dict[str, Any]:
    result, name = results.result, contender.name
    answers = [answer for answer in results.generations if answer.contender == name]
    scores: dict[tuple[str, int], list[Score]] = {}
    for score in results.scores:
        if score.contender == name:
            scores.setdefault((score.item, score.repeat), []).append(score)
    items = {item.id: item for item in results.items}
    suite = result.terms.name
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "created": created(results),
            "task": suite,
            "task_id": result.digest or suite,
            "dataset": {
                "name": suite,
                "samples": len(results.items),
                "sample_ids": [item.id for item in results.items],
            },
            "model": f"acidtest/{name}",
            "config": {"epochs": 1 + max((answer.repeat for answer in answers), default=0)},
            "metadata": {
                "rung": contender.rung,
                "chain": msgspec.to_builtins(result.chain),
                "digest": result.digest or None,
            },
        },
        "results": {
            "total_samples": len(answers),
            "completed_samples": sum(answer.error is None for answer in answers),
            "scores": [_metric(scorer, found) for scorer, found in contender.metrics.items()],
        },
        "samples": [
            _sample(items[answer.item], answer, scores.get((answer.item, answer.repeat), []), name)
            for answer in answers
        ],
    }


def _metric(scorer: str, found: Metric) -> dict[str, Any]:
    metrics = {} if found.mean is None else {"mean": {"name": "mean", "value": found.mean}}
    return {"name": scorer, "scorer": scorer, "scored_samples": found.n, "metrics": metrics,
            "metadata": {"low": found.low, "high": found.high}}  # fmt: skip


def _sample(item: Row, answer: Generation, scores: Sequence[Score], model: str) -> dict[str, Any]:
    tokens = {
        "input_tokens": answer.prompt_tokens,
        "output_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
    sample: dict[str, Any] = {
        "id": item.id,
        "epoch": answer.repeat + 1,
        "input": [_message(message) for message in item.prompt],
        "target": item.answer,
        "messages": [],
        "output": {
            "model": model,
            "choices": [
                {
                    "message": {"role": "assistant", "content": answer.text},
                    "stop_reason": _STOPS.get(answer.finish_reason, "unknown"),
                }
            ],
            "completion": answer.text,
            "usage": tokens,
            "time": answer.latency_ms / 1000,
        },
        "scores": {one.scorer: _score(one, answer) for one in scores},
        "metadata": {"label": item.label, "source": item.source, "group": item.group},
    }
    if answer.error is not None:
        sample["error"] = {"message": answer.error, "traceback": "", "traceback_ansi": ""}
    return sample


def _score(score: Score, answer: Generation) -> dict[str, Any]:
    """The score; NaN is what inspect_ai itself writes for an unscored one, and leaves out of its means."""
    value = float("nan") if score.value is None else score.value
    return {"value": value, "answer": answer.text, "explanation": score.detail, "reason": score.unscored}


def _message(message: Message) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    made: dict[str, Any] = {"role": role if role in _ROLES else "user", "content": message.text}
    if role == "tool":
        made["tool_call_id"] = message.tool_call_id
    return made
