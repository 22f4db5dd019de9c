# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""The loss: cross-entropy where an answer's token is predicted, and logits nowhere else.

With a fifth of the tokens supervised, the output head, a fifth of a small model's work, costs a fifth of itself.
Shapes: B rows, T tokens, H hidden width, N predicted tokens, V vocabulary.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from curate.core.errors import ConfigError
from trainer.data.batches import Batch
from trainer.model.load import unwrapped

# Positions whose logits exist at the same time: 128 x 50,000 x 4 bytes is 25 MB, and the product is still efficient.
# From 32 MB on, the C library would get the memory from the system anew each time, which takes longer than the softmax.
CHUNK_POSITIONS = 128
_PROBE_TOKENS = 12  # enough positions for a head's scale or cap to show
_PROBE_TOLERANCE = 1e-2  # relative; bfloat16 keeps 8 bits, and a scale or a cap changes far more than this

Head = Callable[[torch.Tensor], torch.Tensor]


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy summed over the batch's supervised tokens, in nats, each times its weight."""
    losses_N = token_losses(model, batch)
    return losses_N.sum() if batch.weights_N is None else losses_N @ batch.weights_N


def token_losses(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy of each of the batch's supervised tokens, losses_N, in nats."""
    causal = unwrapped(model)
    picked_NH = _hidden_states(model, batch)
    head = head_of(causal)
    if any(value.requires_grad for value in causal.get_output_embeddings().parameters()):
        return _trained_head_losses(picked_NH, batch.targets_N, head)
    result: torch.Tensor = _HeadLoss.apply(picked_NH, batch.targets_N, head)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def _hidden_states(model: Any, batch: Batch) -> torch.Tensor:
    """The final hidden states at the tokens that predict, picked_NH, whatever of the adapter stands before them."""
    settings = getattr(model, "active_peft_config", None)
    before, inputs = 0, {"input_ids": batch.ids_BT, **batch.more}
    if settings is not None and settings.is_prompt_learning:
        count, learned = settings.num_virtual_tokens, model.get_prompt(len(batch.ids_BT))
        if settings.peft_type == "PREFIX_TUNING":  # keys and values, as if their tokens had been computed before
            inputs = {
                "input_ids": batch.ids_BT,
                "past_key_values": learned,
                **_behind(batch.more, count, computed=True),
            }
        else:
            words_BTH = model.word_embeddings(batch.ids_BT)
            words_BTH = torch.cat([learned.to(words_BTH.dtype), words_BTH], dim=1)
            before, inputs = count, {"inputs_embeds": words_BTH, **_behind(batch.more, count, computed=False)}
    hidden_BTH: torch.Tensor = unwrapped(model).base_model(use_cache=False, **inputs).last_hidden_state
    if hidden_BTH.shape[:2] == (1, len(batch.predicting_N)):  # the last block has left the others out
        return hidden_BTH[0]
    return hidden_BTH[:, before:].flatten(0, 1)[batch.predicting_N]


def _behind(more: dict[str, Any], count: int, *, computed: bool) -> dict[str, Any]:
    """What goes with a packed batch whose rows all stand behind `count` virtual tokens; `computed`: those come as keys.

    Virtual tokens are a prefix that all rows share.
    """
    if "pack" not in more:
        return more
    positions_1T = more["position_ids"] + count
    if computed:
        return more | {"position_ids": positions_1T}
    virtual_1T = torch.arange(count, device=positions_1T.device)[None]
    return more | {"position_ids": torch.cat([virtual_1T, positions_1T], dim=1), "pack": more["pack"].behind(count)}


def head_of(causal: Any) -> Head:
    """The function from final hidden states to logits: the output layer, with the model's scale and soft cap."""
    layer = causal.get_output_embeddings()
    config = causal.config
    cap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)

    def head(hidden_NH: torch.Tensor) -> torch.Tensor:
        logits_NV: torch.Tensor = layer(hidden_NH).float()
        if scale != 1:
            logits_NV = logits_NV * scale
        return torch.tanh(logits_NV / cap) * cap if cap else logits_NV

    return head


@torch.no_grad()
def check_head(model: Any) -> None:
    """Do nothing where `head_of` gives the logits that the model itself gives. Raises: ConfigError where it doesn't."""
    causal = unwrapped(model)
    layer = causal.get_output_embeddings()
    if layer is None or causal.base_model is causal:
        raise ConfigError(f"{type(causal).__name__} has no output layer that we can reach", where="base")
    ids_BT = torch.arange(1, _PROBE_TOKENS + 1, device=next(causal.parameters()).device)[None]
    hidden: list[torch.Tensor] = []
    watching = causal.base_model.register_forward_hook(lambda _, __, made: hidden.append(made.last_hidden_state))
    try:
        expected = causal(input_ids=ids_BT, use_cache=False).logits.float()
    finally:
        watching.remove()
    ours = head_of(causal)(hidden[0]) if hidden else torch.zeros_like(expected)
    if not torch.allclose(ours, expected, rtol=_PROBE_TOLERANCE, atol=_PROBE_TOLERANCE * float(expected.abs().max())):
        raise ConfigError(
            f"{type(causal).__name__} makes its logits in a way we don't know, so the loss would be wrong",
            where="base",
            fix="take another base model",
        )


class _HeadLoss(torch.autograd.Function):
    """Each token's cross-entropy through a frozen head, chunk by chunk: logits exist for one chunk at a time.

    The gradient for the hidden states is computed together with the loss, so nothing is computed twice. A token's loss
    depends on its own hidden state alone, so whatever is made of the losses later only scales that gradient's rows.
    """

    @staticmethod
    def forward(ctx: Any, picked_NH: torch.Tensor, targets_N: torch.Tensor, head: Head) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        losses: list[torch.Tensor] = [picked_NH.new_zeros(0, dtype=torch.float32)]
        gradients: list[torch.Tensor] = [picked_NH.new_zeros(0, picked_NH.shape[-1])]
        for hidden, targets in _chunks(picked_NH.detach(), targets_N):
            with torch.set_grad_enabled(wanted):
                part = hidden.requires_grad_(wanted)
                logits_NV = head(part)
            # The softmax less 1 at the target is the gradient for the logits; it takes the place of the softmax.
            scores_NV = torch.log_softmax(logits_NV.detach(), -1)
            losses.append(-scores_NV.gather(1, targets[:, None]).squeeze(1))
            if wanted:
                scores_NV.exp_().scatter_add_(1, targets[:, None], scores_NV.new_full((len(targets), 1), -1.0))
                gradients += torch.autograd.grad(logits_NV, part, scores_NV)
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, upstream_N: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient_NH,) = ctx.saved_tensors
        return gradient_NH * upstream_N[:, None].to(gradient_NH.dtype), None, None


def _trained_head_losses(picked_NH: torch.Tensor, targets_N: torch.Tensor, head: Head) -> torch.Tensor:
    """Each token's cross-entropy through a head that is trained itself: its logits are computed twice, not kept."""

    def losses(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(head(hidden), targets, reduction="none")

    parts = [checkpoint(losses, *chunk, use_reentrant=False) for chunk in _chunks(picked_NH, targets_N)]
    return torch.cat([picked_NH.new_zeros(0, dtype=torch.float32), *parts])


def _chunks(picked_NH: torch.Tensor, targets_N: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(torch.split(picked_NH, CHUNK_POSITIONS), torch.split(targets_N, CHUNK_POSITIONS), strict=True)
