import pytest
import torch
from torch.nn.functional import cross_entropy

from curate.core.chat.base_model import BaseModel
from curate.core.errors import ConfigError
from tests.models import SHAPES, tiny_base
from trainer.config import Lora
from trainer.data.batches import pad
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.cross_entropy import check_head, loss_sum
from trainer.model.adapter import new_adapter, trainable
from trainer.model.load import LoadedModel, load_model

LORA = Lora(r=4, alpha=8)
CPU = torch.device("cpu")


def make_samples(count: int = 5) -> list[TokenizedRow]:
    """Ragged rows of random tokens: the last third of each is supervised."""
    generator = torch.Generator().manual_seed(3)
    lengths = [9 + 5 * i for i in range(count)]
    return [
        TokenizedRow(
            f"row-{n}", torch.randint(250, (n,), generator=generator).tolist(), [i > 2 * n // 3 for i in range(n)]
        )
        for n in lengths
    ]


def with_moved_adapter(loaded: LoadedModel) -> LoadedModel:
    """An adapter whose B is not zero, so that every parameter has a gradient."""
    loaded = new_adapter(loaded, LORA, seed=1)
    generator = torch.Generator().manual_seed(2)
    for value in trainable(loaded.model).values():
        value.data.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return loaded


def gradients(model: object) -> torch.Tensor:
    found = torch.cat([value.grad.flatten() for value in trainable(model).values() if value.grad is not None])
    for value in trainable(model).values():
        value.grad = None
    return found


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module", params=sorted(SHAPES))
def shaped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_base(tmp_path_factory.mktemp(request.param), request.param)
    return with_moved_adapter(load_model(BaseModel(str(folder), folder=folder)))


def test_loss_and_gradients_are_those_of_all_logits(shaped: LoadedModel) -> None:
    sample = make_samples(1)[0]
    ours = loss_sum(shaped.model, pad([sample], CPU))
    ours.backward()
    ours_gradient = gradients(shaped.model)

    ids = torch.tensor([sample.ids])
    logits = shaped.model(input_ids=ids, use_cache=False).logits[0, :-1]
    counted = torch.tensor(sample.supervised[1:])
    expected = cross_entropy(logits[counted], ids[0, 1:][counted], reduction="sum")
    expected.backward()

    assert float(ours.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert relative(ours_gradient, gradients(shaped.model)) < 1e-5


def test_a_padded_batch_has_the_gradients_of_its_rows_one_at_a_time(shaped: LoadedModel) -> None:
    samples = make_samples()
    together = loss_sum(shaped.model, pad(samples, CPU))
    together.backward()
    batched = gradients(shaped.model)
    alone = 0.0
    for sample in samples:
        loss = loss_sum(shaped.model, pad([sample], CPU))
        loss.backward()
        alone += float(loss.detach())
    assert float(together.detach()) == pytest.approx(alone, rel=1e-5)
    assert relative(batched, gradients(shaped.model)) < 1e-5


def test_long_answers_are_computed_in_chunks_with_the_same_result(
    shaped: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pad(make_samples(), CPU)
    whole = loss_sum(shaped.model, batch)
    whole.backward()
    whole_gradient = gradients(shaped.model)
    monkeypatch.setattr("trainer.loop.cross_entropy.CHUNK_POSITIONS", 3)
    chunked = loss_sum(shaped.model, batch)
    chunked.backward()
    assert float(chunked.detach()) == pytest.approx(float(whole.detach()), rel=1e-6)
    assert relative(gradients(shaped.model), whole_gradient) < 1e-5


def test_the_head_of_every_known_shape_is_accepted(shaped: LoadedModel) -> None:
    check_head(shaped.model)


def test_a_head_that_does_more_than_we_know_is_refused(tiny: BaseModel) -> None:
    loaded = load_model(tiny)
    plain = loaded.model.forward

    def doubled(*args: object, **options: object) -> object:
        output = plain(*args, **options)
        output.logits = output.logits * 2
        return output

    loaded.model.forward = doubled
    with pytest.raises(ConfigError, match="makes its logits in a way we don't know"):
        check_head(loaded.model)


def test_the_loss_without_gradients_is_the_same(tiny: BaseModel) -> None:
    loaded = with_moved_adapter(load_model(tiny))
    batch = pad(make_samples(), CPU)
    with torch.no_grad():
        measured = float(loss_sum(loaded.model, batch))
    assert measured == pytest.approx(float(loss_sum(loaded.model, batch).detach()), rel=1e-6)


def test_weights_scale_each_tokens_share_of_loss_and_gradient(tiny: BaseModel) -> None:
    loaded = with_moved_adapter(load_model(tiny))
    plain, rest = make_samples()[0], make_samples()[1:]
    marked = [i for i, counts in enumerate(plain.supervised) if counts]
    weights = [0.0] * len(plain.ids)
    weights[marked[0]], weights[marked[1]] = 0.25, 3.0
    kept = [i in marked[:2] for i in range(len(plain.ids))]
    weighted = TokenizedRow(plain.name, plain.ids, kept, weights)
    loss = loss_sum(loaded.model, pad([weighted, *rest], CPU))
    loss.backward()
    found = gradients(loaded.model)
    expected = loss_sum(loaded.model, pad(rest, CPU))
    for at, weight in zip(marked[:2], (0.25, 3.0), strict=True):
        alone = TokenizedRow(plain.name, plain.ids, [i == at for i in range(len(plain.ids))])
        expected = expected + weight * loss_sum(loaded.model, pad([alone], CPU))
    expected.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert relative(found, gradients(loaded.model)) < 1e-5
