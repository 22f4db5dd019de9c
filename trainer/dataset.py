"""Rows as samples: tokens, and which of them the loss counts. A dataset with a faulty row is refused as a whole."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from curate.core.chat import ChatFormat, TemplateFault
from curate.core.console import progress, warn
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.places import find_path
from curate.core.records import read_record
from curate.core.rows import Row
from curate.core.seeding import stable_seed
from trainer.config import TrainConfig
from trainer.rows import read_rows

_SHOWN_FAULTS = 10  # enough to see a pattern, few enough to read


@dataclass(frozen=True, slots=True)
class Sample:
    """A tokenised row. `supervised[i]`: the loss counts how well token i is predicted from those before it.

    `weights[i]` says how much it counts; None where all count alike.
    """

    row: str
    ids: list[int]
    supervised: list[bool]
    weights: list[float] | None = None

    @property
    def supervised_count(self) -> int:
        """How many tokens the loss counts. The first token is never predicted, so it never counts."""
        return sum(self.supervised[1:])

    @property
    def loss_weight(self) -> float:
        """How much the row's tokens count in all."""
        return self.supervised_count if self.weights is None else sum(self.weights[1:])

    def cut(self, length: int) -> "Sample":
        """The first `length` tokens."""
        weights = None if self.weights is None else self.weights[:length]
        return Sample(self.row, self.ids[:length], self.supervised[:length], weights)


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
        return sum(len(sample.ids) for sample in self.samples)

    @property
    def supervised(self) -> int:
        """All tokens that the loss counts."""
        return sum(sample.supervised_count for sample in self.samples)

    def token_digest(self) -> str:
        """The digest of every token, every mask bit and every weight that is not 1, in order."""
        return digest_json(
            [[sample.ids, sample.supervised, *([sample.weights] if sample.weights else [])] for sample in self.samples]
        )


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
    manifest = place / "manifest.json"
    if not (built and manifest.is_file()):
        return Files(train, train_digest, held_out, held_out_digest, None)
    record = read_record(manifest)
    for path, digest in ((train, train_digest), (held_out, held_out_digest)):
        said = record.get("outputs", {}).get(path.name, {}).get("digest") if path and path.parent == place else None
        if said and said != digest:
            raise ProvenanceError(
                "this file was changed after the dataset was built", where=path, fix="build again: curate build"
            )
    return Files(train, train_digest, held_out, held_out_digest, str(record["digest"]))


def read_samples(path: Path, chat: ChatFormat, config: TrainConfig) -> Samples:
    """The rows of a file as samples.

    Raises: DataError with counts and the first faults where any row can't be trained on, where rows are longer than
    `max_length` and the policy is `error`, or where nothing is left.
    """
    rows = list(read_rows(path))
    samples, faults = [], []
    with progress(f"tokenising {path.name}", len(rows)) as advance:
        for name, row in rows:
            made = row if isinstance(row, TemplateFault) else _sample(chat, row)
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


def _sample(chat: ChatFormat, row: Row) -> Sample | TemplateFault:
    encoded = chat.encode(row.messages, row.tools)
    if isinstance(encoded, TemplateFault):
        return encoded
    uneven = {message.weight for message in row.messages if message.role == "assistant"} - {None, 0, 1}
    if not uneven:
        return Sample(row.id, encoded.ids, encoded.supervised)
    if not all(weight is not None and 0 < weight < math.inf for weight in uneven):
        return TemplateFault("bad-weight", "a message's weight is a number from 0 up")
    weights = [float(counts) for counts in encoded.supervised]
    for weight in uneven:
        # The answers that have this weight are those that count where all others don't.
        alone = [replace(message, weight=None if message.weight == weight else 0) for message in row.messages]
        marked = chat.encode(alone, row.tools)
        if isinstance(marked, TemplateFault):
            return marked
        weights = [weight or 0.0 if here else known for here, known in zip(marked.supervised, weights, strict=True)]
    return Sample(row.id, encoded.ids, encoded.supervised, weights)


def _within(samples: list[Sample], path: Path, chat: ChatFormat, config: TrainConfig) -> Samples:
    """The samples of at most `max_length` tokens, longer ones treated by the policy, and how many those were."""
    limit = config.max_length
    longer = [sample for sample in samples if len(sample.ids) > limit]
    if not longer:
        return Samples(samples, 0)
    longest = max(longer, key=lambda sample: len(sample.ids))
    what = f"{len(longer)} of {len(samples)} rows are longer than max_length {limit}"
    what += f"; the longest is {longest.row} with {len(longest.ids)} tokens"
    if config.over_length == "error":
        raise DataError(what, where=path, fix="raise max_length, or set over_length: drop or truncate")
    # A row whose answers all lie behind the cut has nothing to learn from.
    cut = [s for s in longer if config.over_length == "truncate" and s.cut(limit).loss_weight]
    # An answer goes on where the last token that is left and the first that is lost are both part of one.
    unstopped = sum(sample.supervised[limit - 1] and sample.supervised[limit] for sample in cut)
    truncated = {id(sample) for sample in cut}
    kept = [s.cut(limit) if id(s) in truncated else s for s in samples if len(s.ids) <= limit or id(s) in truncated]
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
