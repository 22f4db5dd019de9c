"""The chain of digests behind a release: manifest -> run -> results -> verdict, each naming what it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from curate.core.digests import digest_file
from curate.core.errors import AcidtestError, DataError, ProvenanceError
from curate.core.manifest import MANIFEST, Manifest, read_manifest
from curate.core.paths import find_path
from evalkit.gate.verdict_file import GateVerdict, VerdictRule, card_beside, read_verdict, result_digest
from evalkit.judge.card import VOTES, read_card, void_because
from evalkit.results.folder import RESULT, read_result, refuse_edited
from evalkit.results.result_record import ResultRecord
from evalkit.suite.chain import RunOrigin
from trainer.run.record import Run, read_run

Content = TypeVar("Content")


class NotPassedError(AcidtestError):
    """The gate did not let this adapter through."""

    exit_code = 1


class UndecidedError(AcidtestError):
    """The gate could not decide."""

    exit_code = 6


@dataclass(frozen=True)
class Link(Generic[Content]):
    """A record and where it lies, for messages."""

    record: Content
    path: Path


@dataclass(frozen=True)
class Chain:
    """The four records, checked one by one, and the digest of the result's file."""

    manifest: Link[Manifest]
    run: Run
    result: ResultRecord
    result_path: Path
    result_digest: str
    verdict: GateVerdict[VerdictRule]
    verdict_path: Path
    adapter: Path
    cards: Mapping[str, Mapping[str, Path]]
    """By the metric of each judge that voted, the copies of its cards beside the verdict, by their digest."""

    def digests(self) -> dict[str, str]:
        """What identifies each link."""
        return {
            "manifest": self.manifest.record.digest,
            "run": self.run.record.digest,
            "result": self.result_digest,
            "verdict": self.verdict.digest,
        }


def read_chain(run_folder: Path, results: Path, verdict: Path, dataset: Path | None = None) -> Chain:
    """The chain behind what `run_folder` trained. Where `dataset` is None, it is where the run's training file said.

    Raises: DataError where a part is missing; ProvenanceError where one was changed. `check_links` ties them together.
    """
    run = read_run(run_folder)
    where = _dataset_folder(run) if dataset is None else dataset
    if not (where / MANIFEST).is_file():
        raise DataError(
            "the dataset that the run was trained on is not here: it has no manifest.json",
            where=where,
            fix="name its folder with --dataset",
        )
    result = read_result(results)
    refuse_edited(results, result, "run the evaluation and the gate again")
    judged = read_verdict(verdict)
    cards = (judged.chain.cards or {}) if judged.chain else {}
    return Chain(
        Link(read_manifest(where / MANIFEST), where / MANIFEST),
        run,
        result,
        results / RESULT,
        result_digest(results),
        judged,
        verdict,
        run.adapter,
        {metric: {digest: card_beside(verdict, digest) for digest in digests} for metric, digests in cards.items()},
    )


def _dataset_folder(run: Run) -> Path:
    place = find_path(str(run.record.config["dataset"]), run.paths_from)
    return place if place.is_dir() else place.parent


def check_links(chain: Chain, *, allow_recorded: bool = False) -> str:
    """The contender whose release the chain supports.

    Raises: ProvenanceError at the first link that names something else than what is there; NotPassedError and
    UndecidedError where the verdict isn't `pass`.
    """
    _manifest_to_run(chain)
    contender = _run_to_result(chain, allow_recorded=allow_recorded)
    _result_to_verdict(chain, contender)
    _judges_to_verdict(chain)
    return contender


def _manifest_to_run(chain: Chain) -> None:
    manifest, trained = chain.manifest.record, chain.run.record.dataset
    if trained.manifest is None:
        raise ProvenanceError(
            "the run was trained on rows that no manifest vouches for",
            where=chain.run.path,
            fix="build the rows with `curate build`, and train on that dataset",
        )
    described = {output.digest for output in manifest.outputs.values()}
    if manifest.digest != trained.manifest or trained.train.digest not in described:
        raise ProvenanceError(
            "the run was trained on another dataset than the one this manifest describes",
            where=chain.manifest.path,
            fix="name the dataset that the run was trained on with --dataset, or train again on this one",
        )


def _run_to_result(chain: Chain, *, allow_recorded: bool) -> str:
    run, came_from = chain.run.record, chain.result.chain
    expected = RunOrigin(run.digest, run.adapter.digest)
    names = [name for name, named in came_from.runs.items() if named == expected]
    if not names:
        raise ProvenanceError(
            "the results are not of this run: none of their contenders is its adapter",
            where=chain.result_path,
            fix="evaluate this run with `evalkit run`, and ask the gate again",
        )
    judged = chain.verdict.contender
    contender = names[0] if judged is None else judged
    if contender not in names:
        raise ProvenanceError(
            f"the verdict is on {judged}, and this run's adapter is {' or '.join(names)}",
            where=chain.verdict_path,
            fix="ask the gate about this contender",
        )
    if contender in came_from.replays and not allow_recorded:
        raise ProvenanceError(
            f"the answers of {contender} were recorded earlier: nothing shows that this adapter gave them",
            where=chain.result_path,
            fix="evaluate the adapter itself, or say that you know with --allow-recorded",
        )
    links = (
        ("training rows", came_from.dataset.train, run.dataset.train.digest),
        ("base model", came_from.base.digest if came_from.base else None, run.base.digest),
        ("chat template", came_from.template, run.template.digest),
    )
    for what, used, trained in links:
        if used != trained:
            raise ProvenanceError(
                f"the results are of another {what} than the run was trained with",
                where=chain.result_path,
                fix="evaluate this run again",
            )
    return contender


def _result_to_verdict(chain: Chain, contender: str) -> None:
    verdict, where = chain.verdict, chain.verdict_path
    if verdict.result_digest != chain.result_digest:
        raise ProvenanceError(
            "the verdict is on other results: the result.json that it judged is not this one",
            where=where,
            fix="ask the gate about these results",
        )
    if verdict.outcome == "fail":
        raise NotPassedError(
            f"the gate failed {contender}: {verdict.because}",
            where=where,
            fix="release what passes",
        )
    if verdict.outcome == "inconclusive":
        raise UndecidedError(
            f"the gate could not decide on {contender}: {verdict.because}",
            where=where,
            fix="measure on more items, then ask the gate again",
        )
    if not verdict.rules:
        raise ProvenanceError("the verdict passes without a single rule", where=where, fix="give the gate rules")


def _judges_to_verdict(chain: Chain) -> None:
    """Every judge by whose grades the verdict decided has a card there that holds and lets it vote."""
    judges = chain.result.judges
    measured = {str(rule.metric) for rule in chain.verdict.rules if rule.rule != "judge-card"}
    for metric in sorted(judges.keys() & (measured | chain.cards.keys())):
        cards = chain.cards.get(metric, {})
        if not cards:
            raise _unfounded(f"the verdict rests on the judge {metric}, and names no card of it", chain.verdict_path)
        for digest, path in cards.items():
            if not path.is_file() or digest_file(path) != digest:
                what = "was changed" if path.is_file() else "is missing"
                raise _unfounded(f"the card of the judge {metric} that the verdict rests on {what}", path)
            card = read_card(path)
            void = void_because(card, judges[metric].judge, judges[metric].key)
            if void or (metric in measured and card["state"] not in VOTES):
                raise _unfounded(f"the judge {metric}: {void or 'its card does not let it vote'}", path)


def _unfounded(what: str, where: Path) -> ProvenanceError:
    return ProvenanceError(what, where=where, fix="ask the gate about these results again, with the judge's card")
