from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curate.core.chat.base_model import BaseModel
from tests.models import SHAPES, tiny_base, torch_threads
from tests.trainer.loop.test_cross_entropy import CPU, gradients, make_samples, relative, with_moved_adapter
from trainer.config import TrainConfig
from trainer.data.batches import pad
from trainer.data.tokenized_row import TokenizedRow
from trainer.layers.lora_update import direct_updates
from trainer.loop import micro_batches as micro_batches_module
from trainer.loop.cross_entropy import loss_sum
from trainer.loop.micro_batches import ParallelRound, micro_batches
from trainer.loop.row_layout import row_layout
from trainer.model.adapter import trainable
from trainer.model.load import LoadedModel, load_model, unwrapped
from trainer.packing.attention import NAME
from trainer.packing.pack import Pack, common_prefix, pack

PREFIX = [7, 3, 99, 12, 5, 5, 61]
CONFIG = TrainConfig(base="b", dataset="d", output="o", micro_batch_tokens=64)


def with_prefix(samples: list[TokenizedRow]) -> list[TokenizedRow]:
    """The same samples behind one prefix that the loss does not count."""
    return [TokenizedRow(s.name, PREFIX + s.ids, [False] * len(PREFIX) + s.supervised) for s in samples]


def test_a_glimpse_keeps_the_start_and_the_last_that_counts() -> None:
    row = TokenizedRow("a", list(range(20)), [at in (11, 14) for at in range(20)], [0.5 * at for at in range(20)])
    glimpse = row.glimpse(6)
    assert glimpse.ids == [0, 1, 2, 12, 13, 14]
    assert glimpse.supervised == [False] * 5 + [True]
    assert glimpse.weights == [0.0, 0.5, 1.0, 6.0, 6.5, 7.0]
    assert row.glimpse(15) is row  # 15 tokens up to the last that counts: there is nothing to leave out


@pytest.fixture(scope="module", params=sorted(SHAPES))
def shaped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_base(tmp_path_factory.mktemp(request.param), request.param)
    return with_moved_adapter(load_model(BaseModel(str(folder), folder=folder)))


def one_at_a_time(model: Any, samples: list[TokenizedRow]) -> tuple[float, torch.Tensor]:
    losses = [loss_sum(model, pad([sample], CPU)) for sample in samples]
    for loss in losses:
        loss.backward()
    return float(sum(losses).detach()), gradients(model)


@pytest.mark.parametrize("prefixed", [False, True])
def test_packed_rows_have_the_gradients_of_rows_alone(shaped: LoadedModel, prefixed: bool) -> None:
    samples = with_prefix(make_samples()) if prefixed else make_samples()
    alone, alone_gradient = one_at_a_time(shaped.model, samples)
    with row_layout(shaped.model, samples) as layout:
        assert layout is pack
        batch = layout(samples, CPU)
        assert batch.more["pack"].prefix == (len(PREFIX) if prefixed else 0)
        packed = loss_sum(shaped.model, batch)
        packed.backward()
    assert float(packed.detach()) == pytest.approx(alone, rel=1e-5)
    assert relative(gradients(shaped.model), alone_gradient) < 1e-5


def test_packing_without_our_attention_would_leak(shaped: LoadedModel) -> None:
    """The negative control: the library's own attention over the same sequence gives other losses."""
    samples = make_samples()
    alone, _ = one_at_a_time(shaped.model, samples)
    batch = pack(samples, CPU)
    leaky = loss_sum(shaped.model, type(batch)(batch.ids_BT, batch.predicting_N, batch.targets_N))
    assert abs(float(leaky.detach()) - alone) > 1e-3 * alone


def test_the_layout_leaves_the_model_as_it_was(shaped: LoadedModel) -> None:
    config = unwrapped(shaped.model).config
    before = config._attn_implementation
    with row_layout(shaped.model, make_samples()):
        assert config._attn_implementation == NAME
    assert config._attn_implementation == before


def test_tokens_behind_the_last_that_counts_are_not_computed() -> None:
    long = TokenizedRow("long", list(range(9)), [False] * 3 + [True, True] + [False] * 4)
    never = TokenizedRow("never", [1, 2, 3], [False] * 3)
    assert (long.inputs, never.inputs) == ([0, 1, 2, 3], [1])
    assert pad([long], CPU).ids_BT.tolist() == pack([long], CPU).ids_BT.tolist() == [[0, 1, 2, 3]]


def test_a_model_that_ignores_the_layout_gets_padded_rows(tiny: BaseModel) -> None:
    model = with_moved_adapter(load_model(tiny)).model
    inner = unwrapped(model).base_model
    plain = inner.forward
    inner.forward = lambda input_ids, use_cache, **_: plain(input_ids=input_ids, use_cache=use_cache)
    with row_layout(model, make_samples()) as layout:
        assert layout is pad
        assert unwrapped(model).config._attn_implementation != NAME


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=2, max_size=6), st.data())
def test_the_shared_prefix_is_shared_and_predicts_nothing(rows: list[list[int]], data: st.DataObject) -> None:
    samples = []
    for number, ids in enumerate(rows):
        first = data.draw(st.integers(1, len(ids)))
        samples.append(TokenizedRow(str(number), ids, [i >= first for i in range(len(ids))]))
    length = common_prefix(samples)
    assert all(sample.ids[:length] == samples[0].ids[:length] for sample in samples)
    assert all(length < len(sample.ids) and not any(sample.supervised[1 : length + 1]) for sample in samples)
    longer = length + 1
    extendable = all(
        longer < len(s.ids) and s.ids[:longer] == samples[0].ids[:longer] and not any(s.supervised[1 : longer + 1])
        for s in samples
    )
    assert not extendable


def test_every_token_stands_once_at_its_own_position() -> None:
    samples = with_prefix(make_samples(3))
    batch = pack(samples, CPU)
    layout: Pack = batch.more["pack"]
    assert layout.spans[0][0] == layout.prefix == len(PREFIX)
    assert all(end == start for (_, end), (start, _) in pairwise(layout.spans))
    for (start, end), sample in zip(layout.spans, samples, strict=True):
        # The last token is an answer's: nothing is predicted from it, so it is not computed.
        assert batch.ids_BT[0, start:end].tolist() == sample.ids[layout.prefix : -1]
        assert batch.more["position_ids"][0, start:end].tolist() == list(range(layout.prefix, len(sample.ids) - 1))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_on_threads_give_the_gradients_of_the_rows(tiny: BaseModel, threads: int) -> None:
    samples = with_prefix(make_samples())
    assert_same_as_alone(with_moved_adapter(load_model(tiny)).model, samples, threads)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_prefix_computed_for_all_threads_gives_the_gradients_of_the_rows(
    shaped: LoadedModel, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several times as many rows as parts, so that a prefix is lent in more than one round."""
    shared = []
    sides = ParallelRound.sides
    monkeypatch.setattr(micro_batches_module, "_LEAST_SHARED", len(PREFIX))
    monkeypatch.setattr(ParallelRound, "sides", lambda one: shared.append(one.shared_tokens) or sides(one))
    assert_same_as_alone(shaped.model, with_prefix(make_samples() * 2), threads)
    assert len(shared) > 3
    assert set(shared) == {len(PREFIX)}


def assert_same_as_alone(model: Any, samples: list[TokenizedRow], threads: int) -> None:
    """Parts side by side give the loss and gradients of rows alone, and the same bits each time."""
    alone, alone_gradient = one_at_a_time(model, samples)
    supervised = sum(sample.supervised_count for sample in samples)
    with torch_threads(threads), micro_batches(model, CONFIG, samples) as parts:
        loss, found = parts.loss_and_gradients(samples)
        again, found_again = parts.loss_and_gradients(samples)
        assert parts.mean_loss(samples) == pytest.approx(loss, rel=1e-6)
    assert loss == again
    assert all(map(torch.equal, found, found_again))
    assert loss == pytest.approx(alone / supervised, rel=1e-5)
    flat = torch.cat([gradient.flatten() for gradient in found])
    assert relative(flat * supervised, alone_gradient) < 1e-5


@pytest.mark.parametrize(("threads", "checkpointing"), [(1, False), (2, False), (3, False), (2, True)])
def test_a_long_prefix_is_computed_once_for_all_threads(tiny: BaseModel, threads: int, checkpointing: bool) -> None:
    model = with_moved_adapter(load_model(tiny)).model
    long = PREFIX * 10
    samples = [TokenizedRow(s.name, long + s.ids, [False] * len(long) + s.supervised) for s in make_samples() * 2]
    own = sum(len(sample.inputs) - len(long) for sample in samples)
    computed: list[int] = []
    hook = (
        unwrapped(model)
        .get_input_embeddings()
        .register_forward_pre_hook(lambda _, inputs: computed.append(inputs[0].numel()))
    )
    # All rows with their prefixes are several times as much as this.
    config = CONFIG.model_copy(update={"micro_batch_tokens": 2 * own, "checkpointing": checkpointing})
    with torch_threads(threads), micro_batches(model, config, samples) as parts:
        computed.clear()
        loss, _ = parts.loss_and_gradients(samples)
    hook.remove()
    assert len(long) * len(samples) > 2 * own
    assert len(computed) == threads
    # Layers that are computed again would lend again: then each part computes the prefix for itself.
    assert sum(computed) == own + len(long) * (threads if checkpointing else 1)
    if not checkpointing:  # the prefix counts as work: no thread has much more to do than another
        assert max(computed) - min(computed) <= max(len(long), *(len(sample.ids) - len(long) for sample in samples))
    with torch.no_grad():
        alone = sum(float(loss_sum(model, pad([sample], CPU))) for sample in samples)
    assert loss == pytest.approx(alone / sum(sample.supervised_count for sample in samples), rel=1e-5)


@pytest.mark.parametrize("failing", [0, 1], ids=["the lender", "a borrower"])
def test_nobody_waits_for_a_part_that_failed(tiny: BaseModel, failing: int) -> None:
    """What went wrong in one part comes out, and not that another waited in vain."""
    model = with_moved_adapter(load_model(tiny)).model
    samples = with_prefix(with_prefix(make_samples()))
    with torch_threads(2), micro_batches(model, CONFIG, samples) as parts:
        (together, *_) = parts._split(samples)
        doomed = together.parts[failing]

        def compute(part: Any, batch: Any) -> float:
            loss = loss_sum(model, batch)
            if part is doomed:
                raise RuntimeError("not enough of something")
            return float(torch.autograd.grad(loss, list(trainable(model).values()))[0].sum())

        assert together.shared_tokens == 2 * len(PREFIX)
        with pytest.raises(RuntimeError, match="not enough of something"):
            list(parts._each(compute, [together]))
        assert len(list(parts._each(lambda *_: 0, [together]))) == 2  # the threads are free again


def test_direct_updates_compute_what_peft_computes(shaped: LoadedModel) -> None:
    batch = pad(make_samples(), CPU)
    plain = loss_sum(shaped.model, batch)
    plain.backward()
    plain_gradient = gradients(shaped.model)
    with direct_updates(shaped.model):
        ours = loss_sum(shaped.model, batch)
        ours.backward()
    assert float(ours.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    assert relative(gradients(shaped.model), plain_gradient) < 1e-5
    assert not any("forward" in vars(module) for module in shaped.model.modules())
    with direct_updates(shaped.model), shaped.model.disable_adapter(), torch.no_grad():
        bare = float(loss_sum(shaped.model, batch))
    assert bare != pytest.approx(float(plain.detach()), rel=1e-4)
    assert len(trainable(shaped.model)) > 0


@pytest.mark.parametrize("tokens", [1, 20, 60, 10_000])
def test_however_ragged_rows_are_split_the_step_is_the_same(tiny: BaseModel, tokens: int) -> None:
    """One row has 28 times as many supervised tokens as another: a mean of the parts' means would be far off."""
    model = with_moved_adapter(load_model(tiny)).model
    samples = [
        TokenizedRow(s.name, s.ids, [i >= len(s.ids) - count for i in range(len(s.ids))])
        for s, count in zip(make_samples(6), (1, 13, 2, 1, 28, 1), strict=True)
    ]
    config = CONFIG.model_copy(update={"micro_batch_tokens": tokens})
    with micro_batches(model, config, samples) as parts:
        loss, found = parts.loss_and_gradients(samples)
        means = [parts.mean_loss([sample]) for sample in samples]
    alone, alone_gradient = one_at_a_time(model, samples)
    count = sum(sample.supervised_count for sample in samples)
    assert loss * count == pytest.approx(alone, rel=1e-5)
    assert relative(torch.cat([part.flatten() for part in found]) * count, alone_gradient) < 1e-5
    assert abs(sum(means) / len(means) - loss) > 0.01 * loss
