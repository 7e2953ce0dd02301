"""Free sizes, several inputs, tokens, precisions, preprocessing and predicted variances."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import encode
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from tests.training.export.kinds import Run
from tests.training.export.loop import loop


def passes(bundle: Bundle, inputs: dict[str, Tensor], samples: int = 4) -> np.ndarray:
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    return np.concatenate(list(Predictor(bundle, threads=1).passes(arrays, samples, seed=2)))


def assert_equals_loop(module: nn.Module, bundle: Bundle, inputs: dict[str, Tensor]) -> None:
    expected = loop(module, bundle, inputs, 4, seed=2, alternating=False)
    np.testing.assert_allclose(passes(bundle, inputs), expected, rtol=1e-4, atol=1e-5)


class Strided(nn.Module):
    """A fully convolutional network with dropout at three sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 5, 3, stride=2)
        self.head = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(torch.relu(self.first(x)), 0.2, self.training)
        x = F.dropout(torch.relu(self.second(x)), 0.3, self.training)
        x = F.dropout(F.max_pool2d(x, 2), 0.3, self.training)
        value: Tensor = self.head(x.mean((2, 3))).squeeze(-1)
        return value


@pytest.fixture(scope="module")
def strided() -> tuple[nn.Module, Bundle]:
    torch.manual_seed(0)
    module = Strided()
    free = {"x": {2: "height", 3: "width"}}
    return module, export(
        module, torch.rand(3, 3, 16, 20), task="regression", outputs="mean", name="strided", free=free
    )


@pytest.mark.parametrize("size", [(16, 20), (9, 9), (11, 24), (31, 10)])
def test_images_of_any_size_equal_the_loop(strided: tuple[nn.Module, Bundle], size: tuple[int, int]) -> None:
    module, bundle = strided
    assert_equals_loop(module, bundle, {"x": torch.rand(3, 3, *size)})


def test_draws_follow_the_sizes_of_a_request(strided: tuple[nn.Module, Bundle]) -> None:
    shapes = [site.shape for site in strided[1].manifest.sites]
    assert all(isinstance(size, str) for shape in shapes for size in shape[-2:])
    assert any("height" in str(size) and "//" in str(size) for size in shapes[1])


def test_a_size_too_small_for_the_network_is_refused(strided: tuple[nn.Module, Bundle]) -> None:
    (spec,) = strided[1].manifest.inputs
    least = spec.sizes["height"][0]
    assert least > 1
    with pytest.raises(InputError, match=f"rows with a height at least {least}, got {least - 1}"):
        encode([spec], torch.rand(1, 3, least - 1, 20).tolist())


@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_sequences_of_any_length_equal_the_loop(length: int, recurrent: tuple[nn.Module, Bundle]) -> None:
    module, bundle = recurrent
    assert_equals_loop(module, bundle, {"x": torch.rand(2, length, 5)})


@pytest.fixture(scope="module")
def recurrent() -> tuple[nn.Module, Bundle]:
    torch.manual_seed(0)
    module = Run(
        lambda self, x: self.head(self.layers(x)[0][:, -1]).squeeze(-1),
        layers=nn.GRU(5, 6, 2, dropout=0.3, batch_first=True),
        head=nn.Linear(6, 1),
    )
    free = {"x": {1: "length"}}
    return module, export(
        module, torch.rand(3, 7, 5), task="regression", outputs="mean", name="gru", free=free
    )


class Pair(nn.Module):
    """A network of two inputs of the same length: tokens and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(6, 1)

    def forward(self, tokens: Tensor, values: Tensor) -> Tensor:
        hidden = torch.cat([self.embed(tokens), values], -1)
        value: Tensor = self.head(self.dropout(hidden).mean(1))
        return value


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, Bundle]:
    torch.manual_seed(0)
    module = Pair()
    example = {"tokens": torch.randint(11, (3, 5)), "values": torch.rand(3, 5, 2)}
    free = {"tokens": {1: "length"}, "values": {1: "length"}}
    return module, export(module, example, task="regression", outputs="mean", name="pair", free=free)


def test_named_inputs_share_a_size(pair: tuple[nn.Module, Bundle]) -> None:
    module, bundle = pair
    assert [(spec.name, spec.dtype, spec.shape, spec.below) for spec in bundle.manifest.inputs] == [
        ("tokens", "int64", ("rows", "length"), 11),
        ("values", "float32", ("rows", "length", 2), None),
    ]
    inputs = {"tokens": torch.randint(11, (2, 9)), "values": torch.rand(2, 9, 2)}
    expected = loop(module, bundle, inputs, 4, seed=2, alternating=False).squeeze(-1)
    np.testing.assert_allclose(passes(bundle, inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"tokens": [[1, 11]], "values": [[[0, 0], [0, 0]]]}, r"tokens\[0\]\[1\].*from 0 to 10, got 11"),
        ({"tokens": [[1, -1]], "values": [[[0, 0], [0, 0]]]}, r"from 0 to 10, got -1"),
        ({"tokens": [[1, 2]], "values": [[[0, 0]]]}, "a length of 2"),
        ({"tokens": [[1, 0.5]], "values": [[[0, 0], [0, 0]]]}, "an integer, got 0.5"),
        ([[1, 2]], "an object with the fields tokens, values"),
    ],
)
def test_an_input_that_does_not_fit_is_named(pair: tuple[nn.Module, Bundle], rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(pair[1].manifest.inputs, rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_served_as_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2)).to(dtype)
    rows = torch.rand(3, 4).to(dtype)
    bundle = export(module, rows, task="classification", outputs="logits", name="half")
    assert bundle.manifest.inputs[0].dtype == "float32"
    assert next(module.parameters()).dtype == dtype
    expected = module.float().eval()(rows.float()).softmax(-1).detach()
    np.testing.assert_allclose(
        Predictor(bundle).predict({"x": rows.float().numpy()}), expected, rtol=1e-5, atol=1e-6
    )


def test_preprocessing_is_inside_the_graphs() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 1))
    scale = Run(lambda self, x: (x - 100) / 20)
    rows = 100 + 20 * torch.randn(3, 4)
    bundle = export(module, rows, task="regression", outputs="mean", name="scaled", preprocess=scale)
    expected = module.eval()((rows - 100) / 20).squeeze(-1).detach()
    found = Predictor(bundle).predict({"x": rows.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class MeanAndVariance(nn.Module):
    def __init__(self, pair: bool, targets: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2))
        self.mean, self.log_variance = nn.Linear(8, targets), nn.Linear(8, targets)
        self.pair = pair

    def forward(self, x: Tensor) -> Any:
        hidden = self.body(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        if self.pair:
            return mean, log_variance
        return (
            torch.cat([mean, log_variance], 1)
            if mean.shape[1] == 1
            else torch.stack([mean, log_variance], -1)
        )


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("pair", [True, False])
def test_a_predicted_variance_is_the_aleatoric_variance(pair: bool, targets: int) -> None:
    torch.manual_seed(0)
    module = MeanAndVariance(pair, targets)
    rows = torch.randn(3, 4)
    bundle = export(module, rows, task="regression", outputs="mean_log_variance", name="hetero")
    assert bundle.manifest.output == (("rows", 2) if targets == 1 else ("rows", 3, 2))
    assert bundle.manifest.targets == (None if targets == 1 else ("0", "1", "2"))
    found = estimate(Predictor(bundle), {"x": rows.numpy()}, samples=50, seed=4, sampler="independent")
    module.pair = False
    looped = loop(module, bundle, {"x": rows}, 50, seed=4, alternating=False).double()
    np.testing.assert_allclose(found["mean"], looped[..., 0].mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["epistemic_variance"], looped[..., 0].var(0), rtol=1e-3)
    np.testing.assert_allclose(found["aleatoric_variance"], looped[..., 1].exp().mean(0), rtol=1e-4)


class Windows(nn.Module):
    """Attention within windows of 4 x 4 places, as in a Swin transformer, of images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(2, 4)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        x = F.pad(x, (0, -width % 4, 0, -height % 4)).permute(0, 2, 3, 1)
        rows, down, across = len(x), x.shape[1] // 4, x.shape[2] // 4
        x = x.view(rows, down, 4, across, 4, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, channels)
        x = self.lift(x)
        x = (x @ x.transpose(1, 2)).softmax(-1) @ x
        x = x.view(rows, down, across, 4, 4, 4).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(rows, 4 * down, 4 * across, 4)[:, :height, :width]
        logits: Tensor = self.head(x.mean((1, 2)))
        return logits


def test_windows_of_an_image_of_any_size_are_served() -> None:
    torch.manual_seed(0)
    module, free = Windows(), {"x": {2: "size", 3: "size"}}
    bundle = export(
        module, torch.rand(3, 2, 8, 8), task="classification", outputs="logits", name="windows", free=free
    )
    assert bundle.manifest.inputs[0].sizes["size"] == (1, None)
    for size in (1, 5, 13):
        rows = torch.rand(2, 2, size, size)
        expected = module.eval()(rows).softmax(1).detach()
        np.testing.assert_allclose(Predictor(bundle).predict({"x": rows.numpy()}), expected, atol=1e-5)


class UNet(nn.Module):
    """A network that joins features of two scales, and fails for odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.outer, self.inner = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        outer = self.outer(x)
        x = torch.cat([outer, self.up(self.inner(F.max_pool2d(outer, 2)))], 1)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def test_sizes_at_which_the_network_fails_hide_no_smaller_ones() -> None:
    torch.manual_seed(0)
    module, free = UNet(), {"x": {2: "height", 3: "width"}}
    bundle = export(
        module, torch.rand(3, 2, 8, 12), task="classification", outputs="logits", name="unet", free=free
    )
    assert bundle.manifest.inputs[0].sizes == {"height": (2, None), "width": (2, None)}
    rows = torch.rand(2, 2, 2, 2)
    expected = module.eval()(rows).softmax(1).detach()
    np.testing.assert_allclose(Predictor(bundle).predict({"x": rows.numpy()}), expected, atol=1e-5)
    with pytest.raises(InputError):
        Predictor(bundle).predict({"x": torch.rand(2, 2, 3, 4).numpy()})
