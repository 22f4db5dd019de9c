"""What a gate decides on: two results folders whose digests hold, as scores aligned on items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.places import find_path
from curate.core.rows import Row, encode_row
from evalkit.gate.rules import GateRules
from evalkit.judge import grades
from evalkit.judge.card import read_card, void_because
from evalkit.outputs import Results, edited_files, read_results
from evalkit.records import Generation
from evalkit.result import cluster_names
from evalkit.rubric import Criterion
from evalkit.score_table import ScoreTable, tabulate

Floats = NDArray[np.float64]
FROM_ANSWERS = ("unscored", "errors")
"""Metrics that come from the answers themselves; `unscored` is of the primary metric."""


@dataclass(frozen=True, slots=True)
class Side:
    """One results folder: its record, its answers, and scores by metric and contender, NaN where there is none."""

    folder: Path
    results: Results
    table: ScoreTable
    answers: Mapping[str, Sequence[Generation]]

    @property
    def contenders(self) -> list[str]:
        """Who was measured."""
        return [one["name"] for one in self.results.result["contenders"]]


@dataclass(frozen=True, slots=True)
class JudgeStanding:
    """What a judge may do in this gate: vote, vote corrected by `labels`, or nothing, `because`."""

    state: str
    because: str
    labels: Path | None = None
    canaries: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The results to be judged, the baseline's if there is one, and the gate's rules."""

    rules: GateRules
    folder: Path
    ours: Side
    baseline: Side | None

    @property
    def items(self) -> Sequence[Row]:
        """The items, in the order of all arrays."""
        return self.ours.results.items

    def clusters(self) -> list[str] | None:
        """The cluster of each item, as the suite said."""
        return cluster_names(self.items, self.ours.results.result["suite"].get("cluster"))

    def values(self, metric: str, contender: str | None = None) -> Floats | str:
        """A contender's scores on the items, or why there are none."""
        name = contender or self.rules.contender
        if name not in self.ours.contenders:
            return f"no contender is called {name}; measured were {', '.join(self.ours.contenders)}"
        if metric in FROM_ANSWERS:
            return self._from_answers(metric, name)
        if metric not in self.ours.table.values:
            return f"{metric} was not measured; measured were {', '.join(self.ours.table.scorers)}"
        return self.ours.table.values[metric][name]

    def baseline_values(self, metric: str) -> Floats | str:
        """The baseline's scores on the same items, NaN for items that it was not asked; or why there are none."""
        other = self.baseline
        if other is None:
            return "there is no baseline: name its results with --against, or a contender with `than`"
        name = self.rules.baseline or self.rules.contender
        if name not in other.contenders:
            return f"the baseline has no contender called {name}; it has {', '.join(other.contenders)}"
        if metric not in other.table.values:
            return f"{metric} was not measured on the baseline"
        if _measure(self.ours, metric) != _measure(other, metric):
            return f"{metric} was measured in another way on the baseline: its scorer has other settings"
        place = {item.id: (index, _question(item)) for index, item in enumerate(other.results.items)}
        found = np.full(len(self.items), np.nan)
        for index, item in enumerate(self.items):
            at, question = place.get(item.id, (None, None))
            # An id that stands for another question today is another item.
            if at is not None and question == _question(item):
                found[index] = other.table.values[metric][name][at]
        return found if not np.isnan(found).all() else "the baseline was measured on other items"

    def judge(self, metric: str) -> JudgeStanding | None:
        """What the judge behind a metric may do; None for a metric that no judge measures."""
        judge = self.ours.results.result.get("judges", {}).get(metric)
        if judge is None:
            return None
        files = self.rules.judges.get(metric)
        canaries = judge.get("canaries")
        if files is None:
            because = f"the judge {metric} has no card in the gate's `judges`"
            return JudgeStanding("unlabelled", because, canaries=canaries)
        try:
            card = read_card(find_path(files.card, self.folder))
        except (DataError, ProvenanceError) as error:
            return JudgeStanding("unlabelled", f"{error.what} ({error.where})", canaries=canaries)
        void = void_because(card, judge["judge"], judge["key"])
        if void:
            return JudgeStanding("unlabelled", void, canaries=canaries)
        state = str(card["state"])
        if state != "voting-corrected":
            return JudgeStanding(state, f"the judge {metric} is {state}", canaries=canaries)
        labels, because = self._labels(metric, card, files.labels)
        return JudgeStanding(state if labels else "advisory", because, labels, canaries)

    def labelled(self, metric: str, contender: str, path: Path) -> Floats:
        """People's labels of a contender's answers, as scores on the items; NaN where there is none."""
        from evalkit.judge.matching import consensus, sort_labels

        judge = self.ours.results.result["judges"][metric]
        criterion = Criterion.model_validate(judge["criterion"])
        scale = grades.judge_scale(criterion, pairwise=judge["rubric"]["kind"] == "pairwise")
        labels, _ = sort_labels(grades.read_labels(path, criterion=criterion.id), scale)
        found = np.full(len(self.items), np.nan)
        for index, item in enumerate(self.items):
            given = labels.get((item.id, contender))
            code = consensus(list(given.values()), scale) if given else None
            if code is not None:
                found[index] = scale.value(code)
        return found

    def mask(self, where: Mapping[str, str]) -> NDArray[np.bool_]:
        """Which items have these values."""
        return np.array(
            [all(str(field_of(item, field)) == value for field, value in where.items()) for item in self.items],
            dtype=bool,
        )

    def _from_answers(self, metric: str, name: str) -> Floats:
        result = self.ours.results.result
        if metric == "unscored":
            return np.isnan(self.ours.table.values[result["primary"]][name]).astype(np.float64)
        failed = {one.item for one in self.ours.answers[name] if one.error is not None}
        answered = {one.item for one in self.ours.answers[name]}
        return np.array([float(item.id in failed or item.id not in answered) for item in self.items])

    def _labels(self, metric: str, card: Mapping[str, Any], named: str | None) -> tuple[Path | None, str]:
        """The labels that correct a judge; they have to be of these very answers, and those that the card rests on."""
        if named is None:
            return None, f"the judge {metric} is voting-corrected, and the gate names no `labels` to correct it by"
        path = find_path(named, self.folder)
        if not path.is_file() or digest_file(path) != card["sources"].get("labels"):
            return None, f"the labels of the judge {metric} are not those that its card rests on"
        judged = self.ours.results.result["judges"][metric].get("recorded")
        here = self.ours.folder / grades.FILE_NAME
        of_these = {judged, digest_file(here) if here.is_file() else None}
        if card["sources"].get("judgments") not in of_these:
            return (
                None,
                f"the labels of the judge {metric} are of other answers than these: label these and calibrate again",
            )
        return path, f"the judge {metric} is voting-corrected"


def read_evidence(rules: GateRules, folder: Path, results: Path, against: Path | None) -> Evidence:
    """What the gate decides on. `folder` is where the gate's file names paths from.

    Raises: DataError where results are missing, ProvenanceError where they are not as they were written, ConfigError
    where the gate is about somebody who was not measured.
    """
    ours = _read_side(results)
    if rules.contender not in ours.contenders:
        raise ConfigError(
            f"no contender is called {rules.contender}",
            where="gate: contender",
            fix=f"measured were {', '.join(ours.contenders)}",
        )
    return Evidence(rules, folder, ours, _read_side(against) if against else None)


def field_of(item: Row, field: str) -> Any:
    """The value of a row's label, source, group or origin, else of its `meta`."""
    return getattr(item, field) if field in ("label", "source", "group", "origin") else item.meta.get(field)


def _read_side(folder: Path) -> Side:
    read = read_results(folder)
    _refuse_edited(folder, read)
    names = [one["name"] for one in read.result["contenders"]]
    answers: dict[str, list[Generation]] = {name: [] for name in names}
    for generation in read.generations:
        if generation.contender in answers:
            answers[generation.contender].append(generation)
    return Side(folder, read, tabulate(read.items, names, read.scores, read.result["primary"]), answers)


def _refuse_edited(folder: Path, read: Results) -> None:
    edited = edited_files(folder, read.result)
    if edited is None or edited or digest_json(read.scores) != read.result["chain"].get("scores"):
        what = ", ".join(edited or ()) or "scores and record differ"
        raise ProvenanceError(
            f"the results were changed after they were written: {what}",
            where=folder,
            fix="run the evaluation again",
        )


def _measure(side: Side, metric: str) -> Any:
    """What decides a metric's values: the judge's key, or the scorer's settings."""
    judge = side.results.result.get("judges", {}).get(metric)
    if judge:
        return judge["key"]
    return next((one for one in side.results.result["suite"]["scorers"] if one["name"] == metric), None)


def _question(item: Row) -> bytes:
    return encode_row(Row(id=item.id, messages=item.messages, tools=item.tools))
