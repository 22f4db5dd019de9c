# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""The loss: cross-entropy where an answer's token is predicted, and logits nowhere else.

With a fifth of the tokens supervised, the output head, a fifth of a small model's work, costs a fifth of itself.
Shapes: B rows, T tokens, H hidden width, N predicted tokens, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from curate.core.errors import ConfigError
from trainer.batches import Batch

# Positions whose logits exist at the same time: 256 x 50,000 x 4 bytes is 50 MB, and the product is still efficient.
CHUNK_POSITIONS = 256
_PROBE_TOKENS = 12  # enough positions for a head's scale or cap to show
_PROBE_TOLERANCE = 1e-2  # relative; bfloat16 keeps 8 bits, and a scale or a cap changes far more than this

Head = Callable[[torch.Tensor], torch.Tensor]


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy summed over the batch's supervised tokens, in nats. Its gradient reaches adapters only."""
    causal = unwrapped(model)
    hidden_BTH = causal.base_model(input_ids=batch.ids_BT, use_cache=False, **batch.more).last_hidden_state
    picked_NH = hidden_BTH.flatten(0, 1)[batch.predicting_N]
    result: torch.Tensor = _HeadLoss.apply(picked_NH, batch.targets_N, head_of(causal))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def unwrapped(model: Any) -> Any:
    """The causal language model inside, adapters still in its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


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
    expected = causal(input_ids=ids_BT, use_cache=False).logits.float()
    ours = head_of(causal)(causal.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state)
    if not torch.allclose(ours, expected, rtol=_PROBE_TOLERANCE, atol=_PROBE_TOLERANCE * float(expected.abs().max())):
        raise ConfigError(
            f"{type(causal).__name__} makes its logits in a way we don't know, so the loss would be wrong",
            where="base",
            fix="take another base model",
        )


class _HeadLoss(torch.autograd.Function):
    """Cross-entropy through a frozen head, chunk by chunk: logits and their gradient exist for one chunk at a time.

    The gradient for the hidden states is computed together with the loss, so nothing is computed twice.
    """

    @staticmethod
    def forward(ctx: Any, picked_NH: torch.Tensor, targets_N: torch.Tensor, head: Head) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        total = torch.zeros((), dtype=torch.float32, device=picked_NH.device)
        gradients: list[torch.Tensor] = []
        for hidden, targets in zip(
            torch.split(picked_NH.detach(), CHUNK_POSITIONS), torch.split(targets_N, CHUNK_POSITIONS), strict=True
        ):
            with torch.set_grad_enabled(wanted):
                part = hidden.requires_grad_(wanted)
                loss = cross_entropy(head(part), targets, reduction="sum")
            total += loss.detach()
            if wanted:
                gradients += torch.autograd.grad(loss, part)
        if wanted:
            ctx.save_for_backward(torch.cat(gradients) if gradients else torch.zeros_like(picked_NH))
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient_NH,) = ctx.saved_tensors
        return gradient_NH * upstream, None, None
