"""A training's files of rows, read and tokenized. A dataset with a faulty row is refused as a whole."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.console import progress, warn
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.files import read_lines
from curate.core.manifest import MANIFEST, Licenses, read_manifest
from curate.core.paths import find_path
from curate.core.rows.contents import find_unread
from curate.core.rows.row import Row
from curate.core.seeding import stable_seed
from curate.core.sources.record_to_row import Unread, key_counts
from curate.core.sources.records import read_records
from curate.core.sources.row_readers import loose_reader
from trainer.config import TrainConfig
from trainer.data.tokenized_row import TokenizedRow, tokenize_judged, tokenize_pair, tokenize_samples

_SHOWN_FAULTS = 10  # enough to see a pattern, few enough to read


@dataclass(frozen=True, slots=True)
class RowFiles:
    """Where the rows are, with digests. `manifest` is the digest in the dataset's manifest.json, if it has one."""

    train: Path
    train_digest: str
    held_out: Path | None
    held_out_digest: str | None
    manifest: str | None
    licenses: Licenses = Licenses()  # noqa: RUF009 - frozen in all but name


@dataclass(frozen=True, slots=True)
class TokenizedRows:
    """The tokenized rows of one file, in its order, and what became of the over-length ones.

    `dropped` were left out, `truncated` were cut; `unstopped` of these lost an answer's end and its stop token.
    """

    rows: list[TokenizedRow]
    dropped: int
    truncated: int = 0
    unstopped: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(row.size for row in self.rows)

    @property
    def supervised(self) -> int:
        """All tokens that the loss counts."""
        return sum(one.supervised_count for row in self.rows for one in row.sequences)

    def token_digest(self) -> str:
        """The digest of every token, every mask bit and every weight that is not 1, in order."""
        sequences = [one for row in self.rows for one in row.sequences]
        return digest_json([[one.ids, one.supervised, *([one.weights] if one.weights else [])] for one in sequences])


def read_rows(path: Path) -> Iterator[tuple[str, Row | TemplateFault]]:
    """Each record's name (the row's id, or file and line) and the row as `curate` reads it, or why it is none."""
    reader = loose_reader(path)
    for record in read_records(path):
        kept = reader.kept_keys.total()
        found = reader.read(record)
        if isinstance(found, Unread):
            yield f"{path}:{record.number}", TemplateFault(found.reason, found.detail)
            continue
        # Only what the file has beside a row: what stands in the meta of a row of ours, its recipe let pass.
        row, _ = found
        fault = find_unread(row) if reader.kept_keys.total() > kept else None
        yield row.id, row if fault is None else TemplateFault(*fault)
    if reader.kept_keys:
        warn(f"{path.name}: keys that are not trained on: {key_counts(reader.kept_keys)}")


def find_files(config: TrainConfig, folder: Path) -> RowFiles:
    """The files that a configuration names, digested; `folder` is the configuration's.

    Raises: DataError for a missing file, ProvenanceError where a built dataset was changed after it was built.
    """
    place = find_path(config.dataset, folder)
    built = place.is_dir()
    train = place / "train.jsonl" if built else place
    held_out = find_path(config.held_out, folder) if config.held_out else place / "val.jsonl" if built else None
    if held_out and not config.held_out:
        if not held_out.is_file():
            held_out = None
        elif next(read_lines(held_out), None) is None:
            warn(
                f"{held_out} is empty, so no held-out loss is measured; give val a share in the recipe, or set held_out"
            )
            held_out = None
    for path in (train, held_out):
        if path and not path.is_file():
            raise DataError("no such file of rows", where=path, fix="build it first: curate build RECIPE.yaml")
    train_digest = digest_file(train)
    held_out_digest = digest_file(held_out) if held_out else None
    if not (built and (place / MANIFEST).is_file()):
        return RowFiles(train, train_digest, held_out, held_out_digest, None)
    manifest = read_manifest(place / MANIFEST)
    for path, digest in ((train, train_digest), (held_out, held_out_digest)):
        said = manifest.outputs.get(path.name) if path and path.parent == place else None
        if said and said.digest != digest:
            raise ProvenanceError(
                "this file was changed after the dataset was built", where=path, fix="build again: curate build"
            )
    return RowFiles(train, train_digest, held_out, held_out_digest, manifest.digest, manifest.licenses or Licenses())


def read_tokenized_rows(path: Path, chat: ChatFormat, config: TrainConfig) -> TokenizedRows:
    """The rows of a file, tokenized for the configuration's objective.

    Raises: DataError with counts and the first faults where any row can't be trained on, where rows are longer than
    `max_length` and the policy is `error`, or where nothing is left.
    """
    read = list(read_rows(path))
    if not read:
        fix = "give its side a share in the recipe's `split`, or name another file"
        raise DataError("the file holds no rows", where=path, fix=fix)
    rows: list[TokenizedRow] = []
    faults: list[tuple[str, TemplateFault]] = []
    rewritten = 0
    with progress(f"tokenising {path.name}", len(read)) as advance:
        for name, row in read:
            made = row if isinstance(row, TemplateFault) else _samples(chat, row, config)
            if isinstance(made, TemplateFault):
                faults.append((name, made))
            else:
                rows += made
                rewritten += made[0].name != name
            advance()
    if faults:
        raise _refusal(path, faults, len(read))
    if rewritten:
        what = "only their last answer is learned" if config.history == "last" else "each answer is a sample of its own"
        warn(f"{path.name}: the template rewrites earlier turns of {rewritten} of {len(read)} rows: {what}")
    found = _within(rows, path, chat, config)
    if not found.rows:
        raise DataError("there are no rows to train on", where=path)
    return found


def _samples(chat: ChatFormat, row: Row, config: TrainConfig) -> list[TokenizedRow] | TemplateFault:
    if config.objective == "sft":
        return tokenize_samples(chat, row, config.history)
    made = tokenize_judged(chat, row) if config.objective == "kto" else tokenize_pair(chat, row)
    return made if isinstance(made, TemplateFault) else [made]


def _within(rows: list[TokenizedRow], path: Path, chat: ChatFormat, config: TrainConfig) -> TokenizedRows:
    """The rows of at most `max_length` tokens, longer ones treated by the policy, and how many those were."""
    limit = config.max_length
    longer = [row for row in rows if row.longest > limit]
    if not longer:
        return TokenizedRows(rows, 0)
    longest = max(longer, key=lambda row: row.longest)
    what = f"{len(longer)} of {len(rows)} rows are longer than max_length {limit}"
    what += f"; the longest is {longest.name} with {longest.longest} tokens"
    if config.over_length == "error":
        raise DataError(what, where=path, fix="raise max_length, or set over_length: drop or truncate")
    # A row whose answers all lie behind the cut has nothing to learn from.
    cut = [s for s in longer if config.over_length == "truncate" and all(r.loss_weight for r in s.cut(limit).sequences)]
    unstopped = sum(row.is_cut_within_an_answer(limit) for row in cut)
    truncated = {id(row) for row in cut}
    kept = [s.cut(limit) if id(s) in truncated else s for s in rows if s.longest <= limit or id(s) in truncated]
    dropped = len(longer) - len(cut)
    done = [f"{len(cut)} are cut, {unstopped} of them within an answer, which loses its stop token"] if cut else []
    done += [f"{dropped} are left out" + (": no answer begins before the cut" if cut else "")] if dropped else []
    warn(f"{what}; {'; '.join(done)}")
    if unstopped and not any(_stops(row, chat) for row in kept):
        raise DataError(
            "no answer is left that ends in a stop token: the model would never learn to stop",
            where=path,
            fix="raise max_length",
        )
    return TokenizedRows(kept, dropped, len(cut), unstopped)


def _stops(row: TokenizedRow, chat: ChatFormat) -> bool:
    return any(counts and token in chat.stop_ids for token, counts in zip(row.ids, row.supervised, strict=True))


def read_held_out(path: Path, chat: ChatFormat, config: TrainConfig) -> TokenizedRows:
    """The held-out rows to measure on: all, or the `held_out_rows` that the seed picks, in the file's order."""
    found = read_tokenized_rows(path, chat, config)
    limit = config.held_out_rows
    if limit is None or limit >= len(found.rows):
        return found
    picked = sorted(range(len(found.rows)), key=lambda i: stable_seed(config.seed, found.rows[i].name))[:limit]
    return dataclasses.replace(found, rows=[found.rows[i] for i in sorted(picked)])


def refuse_overlap(train: Iterable[TokenizedRow], held_out: Iterable[TokenizedRow]) -> None:
    """Do nothing where no held-out row is also trained on. Raises: ConfigError naming some that are."""
    trained = {tuple(row.ids) for row in train}
    both = [row.name for row in held_out if tuple(row.ids) in trained]
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
