"""Networks of which ONNX Runtime computes a lone row in another way, rewritten so that none runs twice."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from caveat.models.bundles.bundle import PREDICT, Bundle
from caveat.models.engines import onnx_runtime
from caveat.models.predictor import Predictor
from caveat.training.export import recurrent
from caveat.training.export.export import export

WIDTH = 96


class Pooled(nn.Module):
    """Layers over the steps of a sequence, or over an image, what pools them, and a head."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, WIDTH), nn.ReLU(), nn.Dropout(0.3), nn.LayerNorm(WIDTH))
        self.pool = pool
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.pool(self.body(x)))
        return answer


POOLS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "mean over steps": (lambda x: x.mean(1), (24, 5)),
    "sum over steps": (lambda x: x.sum(1), (24, 5)),
    "mean that keeps the axis": (lambda x: x.mean(1, keepdim=True).squeeze(1), (24, 5)),
    "mean over an image": (lambda x: x.mean((1, 2)), (6, 4, 5)),
    "mean over one of two axes": (lambda x: x.mean(2).mean(1), (6, 4, 5)),
    "the first step": (lambda x: x[:, 0], (24, 5)),
}


def exported(pool: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> tuple[nn.Module, Bundle, Tensor]:
    torch.manual_seed(0)
    network, rows = Pooled(pool).eval(), torch.randn(4, *shape)
    return network, export(network, rows, task="classification", outputs="logits", name="pooled"), rows


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("pool", "shape"), POOLS.values(), ids=list(POOLS))
def test_a_lone_row_has_the_bits_that_it_has_among_others(
    pool: Callable[[Tensor], Tensor], shape: tuple[int, ...], large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:  # as if the weights were too many to be packed ahead
        monkeypatch.setattr(recurrent, "LARGE", 1)
        monkeypatch.setattr(onnx_runtime, "LARGE", 1)
    network, bundle, rows = exported(pool, shape)
    assert bundle.manifest.least_rows == 1
    predictor = Predictor(bundle)
    predicted = predictor.predict({"x": rows.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(predicted, network(rows).softmax(-1).numpy(), atol=1e-6)
    together = predictor.some_passes({"x": rows.numpy()}, 0, "stratified", 0, 3)
    for row in range(len(rows)):
        one = {"x": rows[row : row + 1].numpy()}
        np.testing.assert_array_equal(predictor.predict(one)[0], predicted[row])
        np.testing.assert_array_equal(
            predictor.some_passes(one, 0, "stratified", 0, 1)[0, 0], together[0, row]
        )


def test_only_products_of_which_a_run_may_have_one_row_get_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent, "LARGE", 1)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(0, 1),
        nn.Linear(5, WIDTH),
        nn.Unflatten(0, (-1, 24)),
        nn.Dropout(0.3),
        nn.Flatten(1),
        nn.Linear(24 * WIDTH, 4),
    )
    bundle = export(network, torch.randn(4, 24, 5), task="classification", outputs="logits", name="flat")
    graph = onnx.load_from_string(bytes(bundle.files[PREDICT])).graph
    assert [node.op_type for node in graph.node].count("Concat") == 1
