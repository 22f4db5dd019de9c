# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""What rows are trained for: their answers, or one answer rather than another. All on the same masks.

Shapes: P pairs, R rows (each pair's chosen and rejected one behind the other; for KTO also lone answers), N predicted
tokens.
Sources: Rafailov et al., DPO (arXiv:2305.18290) equation 7; Azar et al., IPO (arXiv:2310.12036) equation 17;
Hong et al., ORPO (arXiv:2403.07691) equations 4 to 7; Ethayarajh et al., KTO (arXiv:2402.01306) equation 8.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from trainer.config import TrainConfig
from trainer.data.batches import Batch, sequences_of
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.cross_entropy import loss_sum, token_losses


def summed_loss(
    model: Any, batch: Batch, rows: Sequence[TokenizedRow], config: TrainConfig, drift: float
) -> torch.Tensor:
    """The objective's loss summed over the rows that `batch` was made of; `drift` is what KTO measures from."""
    if config.objective == "sft":
        return loss_sum(model, batch)
    logps_R, counts_R = log_probabilities(model, batch, rows)
    beta, references_R = config.beta, [value for row in rows for value in row.reference or ()]
    if config.objective == "orpo":
        return _odds_ratio(logps_R, counts_R, beta).sum()
    ratios_R = logps_R - torch.tensor(references_R, device=logps_R.device)
    if config.objective == "kto":
        gained_R = (ratios_R - drift) * torch.tensor(_judgements(rows), device=ratios_R.device)
        return (1 - torch.sigmoid(beta * gained_R)).sum()
    margins_P = ratios_R[0::2] - ratios_R[1::2]
    if config.objective == "ipo":
        return ((margins_P - 1 / (2 * beta)) ** 2).sum()
    return -logsigmoid(beta * margins_P).sum()


def loss_divisor(rows: Sequence[TokenizedRow], config: TrainConfig) -> float:
    """What the summed loss of a whole step is divided by: the tokens' weights, the pairs, or for KTO the answers."""
    if config.objective == "sft":
        return sum(row.loss_weight for row in rows)
    return sum(len(row.sequences) for row in rows) if config.objective == "kto" else len(rows)


def _judgements(rows: Sequence[TokenizedRow]) -> list[float]:
    """1 for each desirable answer, -1 for each other: a rejected one is not desirable. Both weigh the same."""
    return [1.0 if one is row and row.desirable else -1.0 for row in rows for one in row.sequences]


def log_probabilities(model: Any, batch: Batch, rows: Sequence[TokenizedRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability of each row's counted tokens, logps_R, and how many they are, counts_R."""
    losses_N = token_losses(model, batch)
    if batch.weights_N is not None:
        losses_N = losses_N * batch.weights_N
    sequences = sequences_of(rows)
    logps_R = -torch.stack([part.sum() for part in torch.split(losses_N, [one.supervised_count for one in sequences])])
    return logps_R, torch.tensor([one.loss_weight for one in sequences], device=logps_R.device)


def mismatched(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """The answers behind the next row's prompt: what KTO measures the model's drift from its reference on."""
    shifted = [*rows[1:], *rows[:1]]
    return [_behind(prompt, answers) for prompt, answers in zip(shifted, rows, strict=True)]


def _behind(prompt: TokenizedRow, answer: TokenizedRow) -> TokenizedRow:
    first, start = (row.supervised.index(True, 1) for row in (prompt, answer))
    ids, supervised = prompt.ids[:first] + answer.ids[start:], [False] * first + answer.supervised[start:]
    return TokenizedRow(answer.name, ids, supervised, rejected=answer.rejected and _behind(prompt, answer.rejected))


def _odds_ratio(logps_R: torch.Tensor, counts_R: torch.Tensor, beta: float) -> torch.Tensor:
    means_R = logps_R / counts_R
    # log(p / (1 - p)); a probability of 1 has no odds, and rounding may reach it.
    odds_R = means_R - torch.log(-torch.expm1(means_R.clamp(max=-1e-6)))
    return -means_R[0::2] - beta * logsigmoid(odds_R[0::2] - odds_R[1::2])
