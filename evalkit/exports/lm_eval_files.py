"""lm-eval's result and sample files, in a folder per contender: what its tables, viewers and leaderboards read.

Source: `lm_eval.result_schema` (EvalResults, SampleResult) and `lm_eval.loggers.EvaluationTracker`, checked against
lm-eval 0.4.13.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.files import write_lines, write_text
from curate.core.rows.row import Row, message_dicts
from evalkit.exports.inspect_log import created, file_name
from evalkit.records.lines import Generation, Score
from evalkit.results.folder import Results
from evalkit.results.result_record import ContenderSection

_FILTER = "none"
# What a sample's line says besides its scores: a scorer of such a name would overwrite it.
_FIXED = "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash target_hash"
_TAKEN = frozenset((*_FIXED.split(" "), "name", "alias", "sample_len", "sample_count"))


def write_lm_eval(results: Results, folder: Path) -> list[Path]:
    """Write `CONTENDER/results_DATE.json` and `CONTENDER/samples_TASK_DATE.jsonl` for each contender."""
    date = created(results).split("+")[0].replace(":", "-")
    task = file_name(results.result.terms.name)
    written = []
    for contender in results.result.contenders:
        place = folder / file_name(contender.name)
        place.mkdir(parents=True, exist_ok=True)
        summary, samples = place / f"results_{date}.json", place / f"samples_{task}_{date}.jsonl"
        write_text(summary, json.dumps(_summary(results, contender, task), indent=2))
        lines = _samples(results, contender.name)
        write_lines(samples, (json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") for line in lines))
        written += [summary, samples]
    return written


def _summary(results: Results, contender: ContenderSection, task: str) -> dict[str, Any]:
    name = contender.name
    figures: dict[str, Any] = {"name": task, "alias": task, "sample_len": len(results.items)}
    for scorer, found in contender.metrics.items():
        if found.mean is None:
            continue
        values = [s.value for s in results.scores if s.contender == name and s.scorer == scorer and s.value is not None]
        spread = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else "N/A"
        figures |= {f"{_key(scorer)},{_FILTER}": found.mean, f"{_key(scorer)}_stderr,{_FILTER}": spread}
    return {
        "results": {task: figures},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "output_type": "generate_until"}},
        "versions": {task: 1},
        "n-shot": {task: 0},
        "higher_is_better": {task: dict.fromkeys(map(_key, contender.metrics), True)},
        "n-samples": {task: {"original": len(results.items), "effective": contender.n}},
        "config": {"model": "acidtest", "model_args": f"contender={name}", "random_seed": results.result.terms.seed},
        "model_source": "acidtest",
        "model_name": name,
        "model_name_sanitized": file_name(name),
        "task_hashes": {task: results.result.digest.removeprefix("sha256:")},
    }


def _samples(results: Results, name: str) -> list[dict[str, Any]]:
    """One line for each item; repeats of it are further responses. An unscored metric is left out of a line's."""
    answers: dict[str, list[Generation]] = {}
    for answer in results.generations:
        if answer.contender == name:
            answers.setdefault(answer.item, []).append(answer)
    scores: dict[str, list[Score]] = {}
    for score in results.scores:
        if score.contender == name and score.value is not None:
            scores.setdefault(score.item, []).append(score)
    return [
        _sample(index, item, answers[item.id], scores.get(item.id, []))
        for index, item in enumerate(results.items)
        if item.id in answers
    ]


def _sample(index: int, item: Row, answers: list[Generation], scores: list[Score]) -> dict[str, Any]:
    prompt = json.dumps(message_dicts(item.prompt), ensure_ascii=False)
    doc = {"id": item.id, "messages": message_dicts(item.messages), "label": item.label, "source": item.source}
    by_scorer: dict[str, list[float]] = {}
    for score in scores:
        by_scorer.setdefault(_key(score.scorer), []).append(score.value or 0.0)
    texts = [answer.text for answer in answers]
    return {
        "doc_id": index,
        "doc": doc,
        "target": item.answer,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {}}},
        "resps": [texts],
        "filtered_resps": texts[:1] if len(texts) == 1 else [texts],
        "filter": _FILTER,
        "metrics": list(by_scorer),
        "doc_hash": _hash(json.dumps(doc, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(item.answer),
        **{name: sum(values) / len(values) for name, values in by_scorer.items()},
    }


def _key(scorer: str) -> str:
    return f"{scorer}_score" if scorer in _TAKEN else scorer


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
