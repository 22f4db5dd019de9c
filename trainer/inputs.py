"""What a training starts from: its configuration, base and files, found and digested. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path

from curate.core.chat.base_model import BaseModel, find_base
from curate.core.chat.chat_format import ChatFormat
from curate.core.digests import digest_json
from curate.core.paths import find_path
from curate.core.records import versions
from trainer.config import TrainConfig
from trainer.data.dataset import RowFiles, TokenizedRows, find_files, read_held_out, read_tokenized_rows, refuse_overlap
from trainer.loop.processes import process_count
from trainer.model.hub import check_reachable


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
    return Inputs(config, base, base.digest(), files, find_path(config.output, folder), folder)


def read_datasets(inputs: Inputs, chat: ChatFormat) -> tuple[TokenizedRows, TokenizedRows | None]:
    """The training and held-out rows, checked against each other."""
    train = read_tokenized_rows(inputs.files.train, chat, inputs.config)
    if inputs.files.held_out is None:
        return train, None
    held_out = read_held_out(inputs.files.held_out, chat, inputs.config)
    refuse_overlap(train.rows, held_out.rows)
    return train, held_out
