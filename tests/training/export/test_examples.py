"""The example of an exported bundle: it is kept or made up, and a service can load the bundle with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle, BundleError
from caveat.models.bundles.example import example_rows
from caveat.models.bundles.manifest import EXAMPLE
from caveat.models.bundles.signature import encode
from caveat.models.predictor import Predictor
from caveat.models.trial import try_out
from caveat.training.errors import ExportError
from caveat.training.export.export import export
from tests.training.export.kinds import Run

OPTIONS: dict[str, Any] = {"task": "regression", "outputs": "mean", "name": "m"}


def rows(*shape: int) -> Tensor:
    return 0.2 + torch.rand(shape, generator=torch.Generator().manual_seed(0))


def network(run: Callable[..., Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Run(lambda self, *x: run(*x)), nn.Linear(6, 8), nn.Dropout(0.3), nn.Linear(8, 1))


def loaded(bundle: Bundle, folder: Path) -> Predictor:
    """Load a bundle from the disk and try it, as a service does."""
    predictor = Predictor(store.load(store.add(folder, bundle)), threads=1)
    try_out(predictor, example_rows(predictor.manifest, predictor.example))
    return predictor


def of(bundle: Bundle) -> dict[str, np.ndarray]:
    return dict(encode(bundle.manifest.inputs, bundle.manifest.example))


def centred(x: Tensor) -> Tensor:
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)


@pytest.mark.parametrize("kind", ["keep", "made-up"])
@pytest.mark.parametrize(
    "run",
    [lambda x: x / x.sum(1, keepdim=True), torch.log, lambda x: x**-0.5, centred],
    ids=["shares", "logarithm", "root", "spread"],
)
def test_a_network_that_is_not_finite_on_zeros_can_be_served(
    run: Callable[..., Tensor], kind: Any, tmp_path: Path
) -> None:
    bundle = export(network(run), rows(5, 6), **OPTIONS, example_rows=kind)
    loaded(bundle, tmp_path)
    (shown,) = of(bundle).values()
    equal = (shown[:, None] == rows(5, 6).numpy()).all(2)
    assert len(shown) == 2
    assert equal.any() == (kind == "keep")
    if kind == "keep":
        np.testing.assert_array_equal(shown, rows(5, 6)[:2])


class MaskedMean(nn.Module):
    """A mean over the steps of a text that are no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 6)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(6, 1)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        hidden = self.dropout(self.embed(tokens)) * mask.unsqueeze(-1)
        value: Tensor = self.head(hidden.sum(1) / mask.sum(1, keepdim=True))
        return value


def padded(dtype: torch.dtype) -> dict[str, Tensor]:
    lengths = torch.tensor([7, 3, 5, 1])
    mask = torch.arange(7)[None] < lengths[:, None]
    tokens = torch.randint(1, 50, (4, 7), generator=torch.Generator().manual_seed(1)) * mask
    return {"tokens": tokens, "mask": mask.to(dtype)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_masked_mean_gets_masks_and_padding_that_belong_together(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    free = {"tokens": {1: "length"}, "mask": {1: "length"}}
    bundle = export(MaskedMean(), padded(dtype), **OPTIONS, free=free)
    loaded(bundle, tmp_path)
    shown = of(bundle)
    np.testing.assert_array_equal(shown["tokens"] > 0, shown["mask"] > 0)
    assert shown["tokens"].max() < 50
    assert not (shown["tokens"][:, None] == padded(dtype)["tokens"].numpy()).all(2).any()


def test_one_row_is_enough_to_make_up_others(tmp_path: Path) -> None:
    bundle = export(network(torch.log), rows(1, 6), **OPTIONS)
    loaded(bundle, tmp_path)
    (shown,) = of(bundle).values()
    assert not (shown == rows(1, 6).numpy()).all(1).any()


def test_the_same_example_gives_the_same_made_up_rows() -> None:
    first, second = (export(network(torch.log), rows(5, 6), **OPTIONS) for _ in range(2))
    assert first.manifest.example == second.manifest.example
    assert len(json.dumps(first.manifest.example)) < 2 * 6 * 8 + 20


def test_an_answer_that_is_not_finite_is_refused_with_its_row() -> None:
    example = rows(4, 6)
    example[2, 1] = 0
    with pytest.raises(ExportError, match=r"row 2 of the example with -?(inf|nan)"):
        export(network(torch.log), example, **OPTIONS)


def test_passes_that_are_not_finite_are_refused() -> None:
    shares = Run(lambda self, x: x / x.sum(1, keepdim=True))
    module = nn.Sequential(nn.Dropout(0.5), shares, nn.Linear(2, 1))
    with pytest.raises(ExportError, match=r"gives numbers that are not finite\. Guard what may fail"):
        export(module, rows(4, 2), **OPTIONS)


def test_made_up_rows_that_the_network_cannot_answer_name_the_way_out(tmp_path: Path) -> None:
    example = torch.arange(1, 31).reshape(5, 6) * 7 % 64 / 64 + 1 / 64
    on_a_grid = network(lambda x: torch.where(x.sum(1, keepdim=True) * 64 % 1 == 0, x, torch.nan))
    with pytest.raises(ExportError, match=r"predict\.onnx.*not finite on the bundle's example.*keep"):
        export(on_a_grid, example, **OPTIONS)
    loaded(export(on_a_grid, example, **OPTIONS, example_rows="keep"), tmp_path)


@pytest.mark.parametrize("kind", ["keep", "made-up"])
def test_long_rows_are_kept_in_a_file(kind: Any, tmp_path: Path) -> None:
    images = rows(3, 3, 64, 64)
    torch.manual_seed(0)
    module = nn.Sequential(
        Run(lambda self, x: (x.log() / x.sum((1, 2, 3), keepdim=True)).mean((2, 3))),
        nn.Dropout(0.3),
        nn.Linear(3, 1),
    )
    bundle = export(module, images, **OPTIONS, example_rows=kind)
    assert bundle.manifest.example is None
    assert bundle.manifest.files[EXAMPLE].bytes < 2e5
    kept = loaded(bundle, tmp_path).example
    assert isinstance(kept, np.ndarray)
    assert kept.shape == (1, 3, 64, 64)
    assert (kept == images.numpy()[:1]).all() == (kind == "keep")


def test_without_an_example_a_load_says_that_it_tried_zeros() -> None:
    bundle = export(network(torch.log), rows(5, 6), **OPTIONS)
    without = Bundle(bundle.manifest.model_copy(update={"example": None}), bundle.files)
    predictor = Predictor(without, threads=1)
    with pytest.raises(BundleError, match="not finite on rows of zeros, since the bundle has no example"):
        try_out(predictor, example_rows(predictor.manifest))
    wrong = Predictor(
        Bundle(bundle.manifest.model_copy(update={"example": [[0] * 6]}), bundle.files), threads=1
    )
    with pytest.raises(BundleError, match="not finite on the bundle's example"):
        try_out(wrong, example_rows(wrong.manifest))
