"""What a gate decides on: two results folders whose digests hold, as scores aligned on items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.paths import find_path
from curate.core.rows.row import Row, encode_row
from evalkit.gate.rules import GateRules, LabelledCard
from evalkit.judge import grades
from evalkit.judge.card import read_card, void_because
from evalkit.judge.rubric import Criterion
from evalkit.records.lines import Generation
from evalkit.results.build_result import cluster_names
from evalkit.results.folder import Results, edited_files, read_results
from evalkit.results.judge_account import JudgeAccount
from evalkit.results.score_table import ScoreTable, tabulate
from evalkit.stats.arrays import Floats, Mask

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
        return self.results.result.names

    @property
    def judges(self) -> Mapping[str, JudgeAccount]:
        """The judges that were asked, by metric."""
        return self.results.result.judges


@dataclass(frozen=True, slots=True)
class JudgeStanding:
    """What a judge may do in this gate: vote, vote corrected by `labels`, or nothing, `because`. `card`: its file."""

    state: str
    because: str
    labels: Path | None = None
    card: Path | None = None


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

    @property
    def margin(self) -> float | None:
        """The suite's margin; None in results from before suites had one."""
        return self.ours.results.result.terms.margin

    def clusters(self) -> list[str] | None:
        """The cluster of each item, as the suite said."""
        return cluster_names(self.items, self.ours.results.result.terms.cluster)

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
        if metric not in self.ours.judges:
            return None
        files = self.rules.judges.get(metric)
        if files is None:
            return JudgeStanding("unlabelled", f"the judge {metric} has no card in the gate's `judges`")
        return self._standing(metric, self.ours, files)

    def baseline_judge(self, metric: str) -> JudgeStanding:
        """What the judge, which is the same there, may do on the baseline's answers in their own results folder.

        A judge that may vote as it is may do so there too; correcting it takes labels of the baseline's answers.
        """
        ours, files = self.judge(metric), self.rules.judges.get(metric)
        if ours is None or self.baseline is None or files is None or files.baseline is None:
            if ours is not None and ours.state == "voting":
                return ours
            because = (
                f"the judge {metric} is corrected by labels, and the baseline's answers lie in other results: "
                f"calibrate it on those, too, and name card and labels under `judges: {metric}: baseline`; or run "
                "both contenders in one suite and name the other with `than`"
            )
            return JudgeStanding("advisory", because)
        return self._standing(metric, self.baseline, files.baseline)

    def cards(self) -> dict[str, list[Path]]:
        """The cards that judges vote by in this gate, by metric."""
        found: dict[str, list[Path]] = {}
        for metric in dict.fromkeys(rule.metric for rule in self.rules.rules if hasattr(rule, "metric")):
            standings = [self.judge(metric)]
            if self.baseline is not None and metric in self.ours.judges and metric in self.baseline.judges:
                standings.append(self.baseline_judge(metric))
            if paths := [one.card for one in standings if one is not None and one.card is not None]:
                found[metric] = list(dict.fromkeys(paths))
        return found

    def labelled(self, metric: str, contender: str, path: Path) -> Floats:
        """People's labels of a contender's answers, as scores on the items; NaN where there is none."""
        from evalkit.judge.matching import consensus, sort_labels

        judge = self.ours.judges[metric]
        criterion = Criterion.model_validate(judge.criterion)
        scale = grades.judge_scale(criterion, pairwise=judge.rubric.kind == "pairwise")
        labels, _ = sort_labels(grades.read_labels(path, criterion=criterion.id), scale)
        found = np.full(len(self.items), np.nan)
        for index, item in enumerate(self.items):
            given = labels.get((item.id, contender))
            code = consensus(list(given.values()), scale) if given else None
            if code is not None:
                found[index] = scale.value(code)
        return found

    def mask(self, where: Mapping[str, str]) -> Mask:
        """Which items have these values."""
        return np.array(
            [all(str(field_of(item, field)) == value for field, value in where.items()) for item in self.items],
            dtype=bool,
        )

    def _from_answers(self, metric: str, name: str) -> Floats:
        result = self.ours.results.result
        if metric == "unscored":
            return np.isnan(self.ours.table.values[result.primary][name]).astype(np.float64)
        failed = {one.item for one in self.ours.answers[name] if one.error is not None}
        answered = {one.item for one in self.ours.answers[name]}
        return np.array([float(item.id in failed or item.id not in answered) for item in self.items])

    def _standing(self, metric: str, side: Side, files: LabelledCard) -> JudgeStanding:
        """What a card lets the judge do on the answers of one side."""
        path, judge = find_path(files.card, self.folder), side.judges[metric]
        try:
            card = read_card(path)
        except (DataError, ProvenanceError) as error:
            return JudgeStanding("unlabelled", f"{error.what} ({error.where})")
        if void := void_because(card, judge.judge, judge.key):
            return JudgeStanding("unlabelled", void)
        state = str(card["state"])
        labels, fault = self._labels(metric, side, card, files.labels)
        if state == "voting-corrected" and fault:
            return JudgeStanding("advisory", fault)
        return JudgeStanding(state, f"the judge {metric} is {state}", labels, path)

    def _labels(
        self, metric: str, side: Side, card: Mapping[str, Any], named: str | None
    ) -> tuple[Path | None, str | None]:
        """The labels that correct a judge, or why there are none.

        They have to be of these very answers, and those that the card rests on.
        """
        if named is None:
            return None, f"the judge {metric} is voting-corrected, and the gate names no `labels` to correct it by"
        path = find_path(named, self.folder)
        if not path.is_file() or digest_file(path) != card["sources"].get("labels"):
            return None, f"the labels of the judge {metric} are not those that its card rests on ({path})"
        here = side.folder / grades.FILE_NAME
        of_these = {side.judges[metric].recorded or None, digest_file(here) if here.is_file() else None}
        if card["sources"].get("judgments") not in of_these:
            fault = f"the labels of the judge {metric} are of other answers than those in {side.folder}"
            return None, f"{fault}: label these and calibrate again"
        return path, None


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
    names = read.result.names
    answers: dict[str, list[Generation]] = {name: [] for name in names}
    for generation in read.generations:
        if generation.contender in answers:
            answers[generation.contender].append(generation)
    return Side(folder, read, tabulate(read.items, names, read.scores, read.result.primary), answers)


def _refuse_edited(folder: Path, read: Results) -> None:
    edited = edited_files(folder, read.result)
    if edited is None or edited or digest_json(read.scores) != read.result.chain.scores:
        what = ", ".join(edited or ()) or "scores and record differ"
        raise ProvenanceError(
            f"the results were changed after they were written: {what}",
            where=folder,
            fix="run the evaluation again",
        )


def _measure(side: Side, metric: str) -> Any:
    """What decides a metric's values: the judge's key, or the scorer's settings."""
    if judge := side.judges.get(metric):
        return judge.key
    return next((one for one in side.results.result.suite["scorers"] if one["name"] == metric), None)


def _question(item: Row) -> bytes:
    return encode_row(Row(id=item.id, messages=item.messages, tools=item.tools))
