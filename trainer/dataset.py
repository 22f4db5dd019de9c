"""Rows as samples: tokens, and which of them the loss counts. A dataset with a faulty row is refused as a whole."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.console import progress, warn
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.manifest import MANIFEST, read_manifest
from curate.core.paths import find_path
from curate.core.seeding import stable_seed
from trainer.config import TrainConfig
from trainer.rows import read_rows
from trainer.sample import Sample, tokenised, tokenised_judged, tokenised_pair

_SHOWN_FAULTS = 10  # enough to see a pattern, few enough to read


@dataclass(frozen=True, slots=True)
class Files:
    """Where the rows are, with digests. `manifest` is the digest in the dataset's manifest.json, if it has one."""

    train: Path
    train_digest: str
    held_out: Path | None
    held_out_digest: str | None
    manifest: str | None


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one file, in its order, and what became of the over-length rows.

    `dropped` were left out, `truncated` were cut; `unstopped` of these lost an answer's end and its stop token.
    """

    samples: list[Sample]
    dropped: int
    truncated: int = 0
    unstopped: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(sample.size for sample in self.samples)

    @property
    def supervised(self) -> int:
        """All tokens that the loss counts."""
        return sum(row.supervised_count for sample in self.samples for row in sample.rows)

    def token_digest(self) -> str:
        """The digest of every token, every mask bit and every weight that is not 1, in order."""
        rows = [row for sample in self.samples for row in sample.rows]
        return digest_json([[row.ids, row.supervised, *([row.weights] if row.weights else [])] for row in rows])


def find_files(config: TrainConfig, folder: Path) -> Files:
    """The files that a configuration names, digested; `folder` is the configuration's.

    Raises: DataError for a missing file, ProvenanceError where a built dataset was changed after it was built.
    """
    place = find_path(config.dataset, folder)
    built = place.is_dir()
    train = place / "train.jsonl" if built else place
    held_out = find_path(config.held_out, folder) if config.held_out else place / "val.jsonl" if built else None
    if held_out and not config.held_out and not held_out.is_file():
        held_out = None
    for path in (train, held_out):
        if path and not path.is_file():
            raise DataError("no such file of rows", where=path, fix="build it first: curate build RECIPE.yaml")
    train_digest = digest_file(train)
    held_out_digest = digest_file(held_out) if held_out else None
    if not (built and (place / MANIFEST).is_file()):
        return Files(train, train_digest, held_out, held_out_digest, None)
    manifest = read_manifest(place / MANIFEST)
    for path, digest in ((train, train_digest), (held_out, held_out_digest)):
        said = manifest.outputs.get(path.name) if path and path.parent == place else None
        if said and said.digest != digest:
            raise ProvenanceError(
                "this file was changed after the dataset was built", where=path, fix="build again: curate build"
            )
    return Files(train, train_digest, held_out, held_out_digest, manifest.digest)


def read_samples(path: Path, chat: ChatFormat, config: TrainConfig) -> Samples:
    """The rows of a file as samples.

    Raises: DataError with counts and the first faults where any row can't be trained on, where rows are longer than
    `max_length` and the policy is `error`, or where nothing is left.
    """
    rows = list(read_rows(path))
    make = {"sft": tokenised, "kto": tokenised_judged}.get(config.objective, tokenised_pair)
    samples, faults = [], []
    with progress(f"tokenising {path.name}", len(rows)) as advance:
        for name, row in rows:
            made = row if isinstance(row, TemplateFault) else make(chat, row)
            if isinstance(made, TemplateFault):
                faults.append((name, made))
            else:
                samples.append(made)
            advance()
    if faults:
        raise _refusal(path, faults, len(rows))
    found = _within(samples, path, chat, config)
    if not found.samples:
        raise DataError("there are no rows to train on", where=path)
    return found


def _within(samples: list[Sample], path: Path, chat: ChatFormat, config: TrainConfig) -> Samples:
    """The samples of at most `max_length` tokens, longer ones treated by the policy, and how many those were."""
    limit = config.max_length
    longer = [sample for sample in samples if sample.longest > limit]
    if not longer:
        return Samples(samples, 0)
    longest = max(longer, key=lambda sample: sample.longest)
    what = f"{len(longer)} of {len(samples)} rows are longer than max_length {limit}"
    what += f"; the longest is {longest.row} with {longest.longest} tokens"
    if config.over_length == "error":
        raise DataError(what, where=path, fix="raise max_length, or set over_length: drop or truncate")
    # A row whose answers all lie behind the cut has nothing to learn from.
    cut = [s for s in longer if config.over_length == "truncate" and all(r.loss_weight for r in s.cut(limit).rows)]
    unstopped = sum(sample.is_cut_within_an_answer(limit) for sample in cut)
    truncated = {id(sample) for sample in cut}
    kept = [s.cut(limit) if id(s) in truncated else s for s in samples if s.longest <= limit or id(s) in truncated]
    dropped = len(longer) - len(cut)
    done = [f"{len(cut)} are cut, {unstopped} of them within an answer, which loses its stop token"] if cut else []
    done += [f"{dropped} are left out" + (": no answer begins before the cut" if cut else "")] if dropped else []
    warn(f"{what}; {'; '.join(done)}")
    if unstopped and not any(_stops(sample, chat) for sample in kept):
        raise DataError(
            "no answer is left that ends in a stop token: the model would never learn to stop",
            where=path,
            fix="raise max_length",
        )
    return Samples(kept, dropped, len(cut), unstopped)


def _stops(sample: Sample, chat: ChatFormat) -> bool:
    return any(counts and token in chat.stop_ids for token, counts in zip(sample.ids, sample.supervised, strict=True))


def read_held_out(path: Path, chat: ChatFormat, config: TrainConfig) -> Samples:
    """The held-out rows to measure on: all, or the `held_out_rows` that the seed picks, in the file's order."""
    found = read_samples(path, chat, config)
    limit = config.held_out_rows
    if limit is None or limit >= len(found.samples):
        return found
    picked = sorted(range(len(found.samples)), key=lambda i: stable_seed(config.seed, found.samples[i].row))[:limit]
    return dataclasses.replace(found, samples=[found.samples[i] for i in sorted(picked)])


def refuse_overlap(train: Iterable[Sample], held_out: Iterable[Sample]) -> None:
    """Do nothing where no held-out sample is also trained on. Raises: ConfigError naming some that are."""
    trained = {tuple(sample.ids) for sample in train}
    both = [sample.row for sample in held_out if tuple(sample.ids) in trained]
    if both:
        raise ConfigError(
            f"{len(both)} held-out rows are also in the training rows: {', '.join(both[:5])}",
            where="held_out",
            fix="build the dataset again, or name another held_out file",
        )


def _refusal(path: Path, faults: Sequence[tuple[str, TemplateFault]], rows: int) -> DataError:
    counts = Counter(fault.rule for _, fault in faults)
    lines = [f"{len(faults)} of {rows} rows can't be trained on"]
    lines += [f"  {count} x {rule}" for rule, count in counts.most_common()]
    lines += [f"  {row}: {fault.rule}: {fault.detail}" for row, fault in faults[:_SHOWN_FAULTS]]
    if len(faults) > _SHOWN_FAULTS:
        lines.append(f"  and {len(faults) - _SHOWN_FAULTS} more")
    return DataError("\n".join(lines), where=path, fix="correct or leave out these rows, then run again")
