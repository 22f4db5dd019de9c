"""What a training starts from: its configuration, base and files, found and digested. Needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.chat.base_model import BaseModel, find_base
from curate.core.chat.chat_format import ChatFormat
from curate.core.digests import digest_json
from curate.core.output_folder import check_apart, check_unclaimed
from curate.core.paths import find_path
from curate.core.records import versions
from trainer.config import TrainConfig
from trainer.data.dataset import RowFiles, TokenizedRows, find_files, read_held_out, read_tokenized_rows, refuse_overlap
from trainer.loop.processes import process_count
from trainer.model.hub import check_reachable
from trainer.run.record import ADAPTER, MODEL, RECORD, STEPS


@dataclass(frozen=True)
class Inputs:
    """What a training starts from, found and digested; nothing is loaded yet."""

    config: TrainConfig
    base: BaseModel
    base_digest: str
    files: RowFiles
    output: Path
    folder: Path  # the training file's

    @property
    def digest(self) -> str:
        """The digest of everything that the adapter depends on."""
        return digest_json(
            {
                "kind": "run",
                "config": self.config.what_matters(),
                "base": self.base_digest,
                "train": self.files.train_digest,
                "held_out": self.files.held_out_digest,
                "manifest": self.files.manifest,
                "versions": versions(),
            }
            # Sums over several processes are rounded differently.
            | ({"processes": process_count()} if process_count() > 1 else {})
        )


def find_inputs(config: TrainConfig, folder: Path) -> Inputs:
    """What `config`, from a file in `folder`, names. Raises: ConfigError, DataError, ServiceError, ProvenanceError."""
    base = find_base(config.base, folder, config.chat_template_kwargs)
    files = find_files(config, folder)
    check_reachable(base)
    output = find_path(config.output, folder)
    check_output(output, [path for path in (base.gguf or base.folder, files.train, files.held_out) if path])
    return Inputs(config, base, base.digest(), files, output, folder)


def check_output(output: Path, read: Sequence[Path]) -> None:
    """Raises: ConfigError where the weights' folder would take the place of what is read, or of one of the user's."""
    for name in (ADAPTER, MODEL):
        check_apart(output / name, read)
    if not any((output / name).exists() for name in (RECORD, STEPS)):
        check_unclaimed(output, (ADAPTER, MODEL), ())


def read_datasets(inputs: Inputs, chat: ChatFormat) -> tuple[TokenizedRows, TokenizedRows | None]:
    """The training and held-out rows, checked against each other."""
    train = read_tokenized_rows(inputs.files.train, chat, inputs.config)
    if inputs.files.held_out is None:
        return train, None
    held_out = read_held_out(inputs.files.held_out, chat, inputs.config)
    refuse_overlap(train.rows, held_out.rows)
    return train, held_out
