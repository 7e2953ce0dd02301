import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.draws.masks import draw
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export import reference
from caveat.training.export.capture import in_training_mode
from caveat.training.export.export import export
from caveat.training.export.runs import Runs
from caveat.training.export.verify import Verification

DRAWS: Any = None
"""Draws for a check that makes no passes."""


def linear_network(rate: float, features: int = 20) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(rate), nn.Linear(features, 1), nn.Flatten(0))


def classifier() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
        nn.Softmax(-1),
    )


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return classifier()


@pytest.fixture(scope="module")
def bundle(network: nn.Sequential) -> Bundle:
    return export(network, torch.rand(4, 8, 8), task="classification", outputs="probabilities", name="digits")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_moments_of_a_linear_network_equal_their_closed_form(rate: float) -> None:
    """Mean and variance over passes of w.(m x) + b, compared with their exact values and spreads."""
    torch.manual_seed(1)
    network = linear_network(rate)
    rows = torch.randn(5, 20)
    bundle = export(network, rows, task="regression", outputs="mean", name="linear")
    samples = 20_000
    found = estimate(Predictor(bundle), {"x": rows.numpy()}, samples, seed=3)

    linear = network[1]
    assert isinstance(linear, nn.Linear)
    weights = linear.weight.detach().double().numpy()[0]
    terms = weights * rows.double().numpy()
    keep = 1 - rate
    mean = terms.sum(axis=1) + linear.bias.item()
    variance = rate / keep * (terms**2).sum(axis=1)
    fourth_cumulant = rate * (1 - 6 * rate * keep) / keep**3 * (terms**4).sum(axis=1)
    spread_of_mean = np.sqrt(variance / samples)
    spread_of_variance = np.sqrt((fourth_cumulant + 2 * variance**2) / samples)
    assert (np.abs(found["mean"] - mean) < 4 * spread_of_mean).all()
    assert (np.abs(found["epistemic_variance"] - variance) < 4 * spread_of_variance).all()


@pytest.fixture(scope="module")
def pair() -> Bundle:
    """Two targets, one of them in units a million times as large."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2), Scaled())
    names: dict[str, Any] = {"targets": ("rate", "price"), "noise_variance": (1e-4, 1e8)}
    return export(network, torch.randn(4, 4), task="regression", outputs="mean", name="pair", **names)


class Scaled(nn.Module):
    """Scales two targets to their units; ``wrong`` changes one of them in training mode."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        rate, price = values.unbind(1)
        return torch.stack([rate * (1 + self.wrong * self.training), 1e6 * price], dim=1)


def test_each_of_several_targets_is_answered_in_its_units(pair: Bundle) -> None:
    assert pair.manifest.output == ("rows", 2)
    assert pair.manifest.targets == ("rate", "price")
    assert pair.manifest.noise_variance == (1e-4, 1e8)
    predictor = Predictor(pair)
    rows = {"x": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)}
    assert predictor.predict(rows).shape == (64, 2)
    whole = estimate(predictor, rows, 100, seed=0)
    passes = np.concatenate(list(predictor.passes(rows, 100, 0, "stratified"))).astype(np.float64)
    np.testing.assert_allclose(whole["mean"], passes.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(whole["epistemic_variance"], passes.var(axis=0, ddof=1), rtol=1e-9)
    total = passes.var(axis=0, ddof=1) + np.array([1e-4, 1e8])
    np.testing.assert_allclose(whole["variance"], total, rtol=1e-9)
    for start, size in itertools.product((0, 17), (1, 2, 3, 16)):
        part = estimate(predictor, {"x": rows["x"][start : start + size]}, 100, seed=0)
        for name, column in part.items():
            np.testing.assert_array_equal(column, whole[name][start : start + size], name)


def test_an_error_in_the_smallest_target_is_found() -> None:
    """Relative to the spread of all targets, the error would be too small to find."""
    torch.manual_seed(2)
    body, rows = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Linear(16, 2)), torch.randn(4, 4)
    options: dict[str, Any] = {"task": "regression", "outputs": "mean", "name": "pair"}
    with pytest.raises(ExportError, match="with all dropout off its outputs differ by 1"):
        export(nn.Sequential(body, Scaled(wrong=0.01)), rows, **options)
    predictor = Predictor(export(nn.Sequential(body, Scaled()), rows, **options))
    wrong = nn.Sequential(body, Scaled(wrong=0.01)).train()
    body.eval()
    right, runs = nn.Sequential(body, Scaled()).eval(), Runs(predictor, [rows])
    answers, found = right(rows).detach(), runs.predict(4)
    Verification(runs, right, wrong, DRAWS, answers).prediction([rows], found, "4 rows")
    with pytest.raises(ExportError, match=r"predict\.onnx on 4 rows, target 0: differs from the PyTorch"):
        Verification(runs, wrong, wrong, DRAWS, answers).prediction([rows], found, "4 rows")


def test_passes_equal_a_loop_over_pytorch_with_the_same_masks(network: nn.Sequential, bundle: Bundle) -> None:
    rows = torch.rand(6, 8, 8)
    (found,) = Predictor(bundle).passes({"x": rows.numpy()}, samples=25, seed=9)
    masks = [
        torch.from_numpy(draw(site, 9, 0, 25)) / (1 - (site.rate or 0)) for site in bundle.manifest.sites
    ]
    looped = []
    for first, second in zip(*masks, strict=True):
        hidden = network[2](rows.flatten(1) * first)
        looped.append(network[5](torch.relu(hidden) * second).softmax(-1))
    np.testing.assert_allclose(found, torch.stack(looped).detach().numpy(), atol=1e-5)


def test_the_reference_equals_pytorch(network: nn.Sequential) -> None:
    """Given the keep-masks that PyTorch draws by itself, the reference gives PyTorch's own answer."""
    rows = torch.rand(3, 8, 8)
    sampled = in_training_mode(network)
    torch.manual_seed(5)
    with torch.no_grad():
        own = sampled(rows)
    torch.manual_seed(5)
    drawn = [torch.empty(3, units).bernoulli_(1 - rate) for units, rate in ((64, 0.2), (128, 0.5))]
    given = reference.passes(sampled, [rows], [keep[None] for keep in drawn])
    torch.testing.assert_close(given[0], own)


def test_sites_have_the_names_of_their_modules(bundle: Bundle) -> None:
    sites = [(site.name, site.rate, site.shape) for site in bundle.manifest.sites]
    assert sites == [("1", 0.2, ("passes", 1, 64)), ("4", 0.5, ("passes", 1, 128))]


def test_a_row_has_the_same_bits_in_every_batch(bundle: Bundle) -> None:
    predictor = Predictor(bundle)
    rows = np.random.default_rng(0).random((64, 8, 8), np.float32)
    whole = estimate(predictor, {"x": rows}, 100, seed=0)
    for start, size in itertools.product((0, 17), (1, 2, 3, 16, 33)):
        part = estimate(predictor, {"x": rows[start : start + size]}, 100, seed=0)
        for name, column in part.items():
            np.testing.assert_array_equal(column, whole[name][start : start + size], name)


def test_a_pass_does_not_depend_on_the_number_of_passes(bundle: Bundle) -> None:
    predictor = Predictor(bundle)
    inputs = {"x": np.random.default_rng(0).random((3, 8, 8), np.float32)}
    few, many = (np.concatenate(list(predictor.passes(inputs, n, 7))) for n in (5, 60))
    np.testing.assert_array_equal(few, many[:5])


def test_equal_networks_give_equal_digests_and_files_without_paths(
    network: nn.Sequential, bundle: Bundle
) -> None:
    again = export(network, torch.rand(4, 8, 8), task="classification", outputs="probabilities", name="other")
    assert again.manifest.digest == bundle.manifest.digest
    for content in bundle.files.values():
        assert b".py" not in content


def test_the_export_does_not_change_the_mode_of_the_network(network: nn.Sequential) -> None:
    network.eval()
    export(network, torch.rand(2, 8, 8), task="classification", outputs="probabilities", name="digits")
    assert not any(part.training for part in network.modules())


def test_batch_norm_uses_its_running_statistics() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    network = nn.Sequential(nn.Linear(3, 4), norm, nn.Dropout(0.5), nn.Linear(4, 2), nn.Softmax(-1))
    assert norm.running_mean is not None
    norm.running_mean.fill_(3.0)
    bundle = export(network, torch.rand(2, 3), task="classification", outputs="probabilities", name="normed")
    rows = torch.rand(5, 3)
    with torch.no_grad():
        expected = network.eval()(rows)
    np.testing.assert_allclose(Predictor(bundle).predict({"x": rows.numpy()}), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "example", "message"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1)), (2, 3), "no active dropout.*add nn.Dropout"),
        (nn.Sequential(nn.Dropout(0.0), nn.Linear(3, 2), nn.Softmax(-1)), (2, 3), "no active dropout"),
        (
            nn.Sequential(nn.Dropout(), nn.Linear(3, 2)),
            (2, 4),
            r"does not run on .* \(2, 4\)",
        ),
        (
            nn.Sequential(nn.Dropout(), nn.Linear(3, 2), nn.Flatten(0)),
            (2, 3),
            "answers with one number per class",
        ),
    ],
)
def test_a_network_that_cannot_be_exported_is_refused_with_the_reason(
    network: nn.Module, example: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(network, torch.rand(example), task="classification", outputs="probabilities", name="refused")


def test_class_names_must_match_the_outputs(network: nn.Sequential) -> None:
    with pytest.raises(ExportError, match="3 class names for 10 outputs"):
        export(
            network,
            torch.rand(2, 8, 8),
            task="classification",
            outputs="probabilities",
            name="d",
            classes=["a", "b", "c"],
        )


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_a_single_output_is_that_of_the_second_of_two_classes(outputs: Any, flat: bool) -> None:
    layers = [nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1)]
    layers += [nn.Sigmoid()] if outputs == "probabilities" else []
    layers += [nn.Flatten(0)] if flat else []
    network, rows = nn.Sequential(*layers), torch.rand(4, 6)
    bundle = export(network, rows, task="classification", outputs=outputs, name="two", classes=["no", "yes"])
    found = Predictor(bundle).predict({"x": rows.numpy()})
    second = network.eval()(rows).reshape(-1)
    second = second.sigmoid() if outputs == "logits" else second
    np.testing.assert_allclose(found, torch.stack([1 - second, second], 1).detach(), rtol=1e-5)


def test_an_output_can_be_picked_by_its_number_as_text() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.Linear(8, 3))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, self.body(x)

    bundle = export(Two(), torch.rand(3, 6), task="classification", outputs="logits", name="two", output="1")
    assert bundle.manifest.output == ("rows", 3)


def test_a_row_that_no_draw_changes_is_no_reason_to_refuse() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2))
    rows = torch.rand(4, 6)
    rows[0] = -1
    export(network, rows, task="classification", outputs="logits", name="idle")
