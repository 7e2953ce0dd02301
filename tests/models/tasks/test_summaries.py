import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, Summary, entropy
from caveat.models.tasks.classification import ClassificationSummary
from caveat.models.tasks.regression import RegressionSummary


def cut(passes: NDArray[np.float32], edges: list[int]) -> list[NDArray[np.float32]]:
    edges = [0, *sorted({edge % len(passes) for edge in edges} - {0}), len(passes)]
    return [passes[start:stop] for start, stop in itertools.pairwise(edges)]


def columns(summary: Summary, chunks: list[NDArray[np.float32]]) -> Columns:
    for chunk in chunks:
        summary.add(chunk)
    return summary.columns()


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits)
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


@given(
    samples=st.integers(2, 150),
    rows=st.integers(1, 40),
    classes=st.integers(2, 12),
    edges=st.lists(st.integers(1, 200), max_size=4),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_bits_depend_on_neither_chunks_nor_neighbours(
    samples: int, rows: int, classes: int, edges: list[int], seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (samples, rows, classes))
    passes = softmax(logits)
    whole = columns(ClassificationSummary(), [passes])
    cut_up = columns(ClassificationSummary(), cut(passes, edges))
    row = seed % rows
    alone = columns(ClassificationSummary(), cut(passes[:, row : row + 1], edges))
    values = columns(RegressionSummary(1.0), [passes[:, :, 0]])
    value_alone = columns(RegressionSummary(1.0), cut(passes[:, row : row + 1, 0], edges))
    several = columns(RegressionSummary((1.0,) * classes), [passes])
    several_alone = columns(RegressionSummary((1.0,) * classes), cut(passes[:, row : row + 1], edges))
    predicted = passes[..., None] + passes[:, :, ::-1, None] * np.array([0, 1], np.float32)
    noisy = columns(RegressionSummary(None), [predicted])
    noisy_alone = columns(RegressionSummary(None), cut(predicted[:, row : row + 1], edges))
    for name in several:
        assert several[name].shape == noisy[name].shape == (rows, classes)
        np.testing.assert_array_equal(several_alone[name][0], several[name][row], name)
        np.testing.assert_array_equal(noisy_alone[name][0], noisy[name][row], name)
    for name in whole:
        np.testing.assert_array_equal(cut_up[name], whole[name], name)
        np.testing.assert_array_equal(alone[name][0], whole[name][row], name)
    for name in values:
        np.testing.assert_array_equal(value_alone[name][0], values[name][row], name)


def test_classification_equals_a_direct_computation() -> None:
    passes = softmax(np.random.default_rng(0).normal(0, 2, (50, 7, 4)))
    found = columns(ClassificationSummary(), [passes])
    exact = passes.astype(np.float64)
    mean = exact.mean(axis=0)
    predictive = -(mean * np.log(mean)).sum(axis=-1) + (exact.var(axis=0, ddof=1) / mean).sum(axis=-1) / 100
    predictive = np.minimum(predictive, np.log(4))
    expected = -(exact * np.log(exact)).sum(axis=-1).mean(axis=0)
    np.testing.assert_array_equal(found["label"], mean.argmax(axis=-1))
    for name, truth in {
        "mean": mean,
        "variance": exact.var(axis=0, ddof=1),
        "standard_error": exact.std(axis=0, ddof=1) / np.sqrt(50),
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": predictive - expected,
    }.items():
        np.testing.assert_allclose(found[name], truth, rtol=1e-6, atol=1e-9, err_msg=name)


def test_entropies_of_few_passes_are_nearly_unbiased() -> None:
    """For passes of a known law, the average over samples of 20 passes equals the value of very many."""
    random = np.random.default_rng(0)
    alpha = np.array([2.0, 1.0, 0.5])
    exact = entropy((alpha / alpha.sum())[None])[0]
    passes = random.dirichlet(alpha, (20, 20_000))
    found = columns(ClassificationSummary(), [passes.astype(np.float32)])["predictive_entropy"]
    plain = entropy(passes.mean(axis=0))
    assert abs(found.mean() - exact) < 0.1 * abs(plain.mean() - exact)
    many = entropy(random.dirichlet(alpha, 200_000)).mean()
    information = columns(ClassificationSummary(), [passes.astype(np.float32)])["mutual_information"]
    assert information.mean() == pytest.approx(exact - many, rel=0.01)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-2), (np.float32, 1e-5), (np.float64, 1e-6)])
def test_passes_of_any_precision_are_summed_up(dtype: type[np.floating], tolerance: float) -> None:
    passes = np.array([[[0.25, 0.75], [1, 0]], [[0.5, 0.5], [1, 0]]], dtype)
    summary = ClassificationSummary()
    summary.add(passes)
    found = summary.columns()
    np.testing.assert_allclose(found["mean"], [[0.375, 0.625], [1.0, 0.0]])
    expected = (entropy(np.array([0.25, 0.75])) + np.log(2)) / 2
    np.testing.assert_allclose(found["expected_entropy"], [expected, 0], atol=tolerance)


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 1000])
@pytest.mark.parametrize("samples", [2, 10, 100])
def test_no_entropy_is_above_that_of_a_blind_guess(classes: int, samples: int) -> None:
    """Not by a rounding either: what an answer says is compared with the logarithm in float64."""
    logits = np.random.default_rng(0).normal(0, 0.5, (samples, 50, classes))
    logits[:, 0] = 0
    found = columns(ClassificationSummary(), [softmax(logits)])
    predictive, expected, mutual = (
        found[name].astype(np.float64)
        for name in ("predictive_entropy", "expected_entropy", "mutual_information")
    )
    most = np.log(classes)
    assert most * (1 - 1e-6) < predictive.max() <= most
    assert (expected <= predictive).all()
    np.testing.assert_allclose(mutual, predictive - expected, atol=1e-6)


def test_the_entropy_of_two_certain_passes_that_disagree_is_mutual_information() -> None:
    passes = np.array([[[1, 0]], [[0, 1]]], np.float32)
    found = columns(ClassificationSummary(), [passes])
    assert found["predictive_entropy"][0] == pytest.approx(np.log(2))  # as high as it can be
    assert found["expected_entropy"][0] == 0
    assert found["mutual_information"][0] == pytest.approx(np.log(2))
    assert found["variance"][0].tolist() == [0.5, 0.5]


def test_regression_adds_the_noise_to_the_epistemic_variance() -> None:
    passes = np.array([[10, 5], [14, 5]], np.float32)
    found = columns(RegressionSummary(noise_variance=3.0), [passes])
    assert found["mean"].tolist() == [12, 5]
    assert found["epistemic_variance"].tolist() == [8, 0]
    assert found["aleatoric_variance"].tolist() == [3, 3]
    assert found["variance"].tolist() == [11, 3]
    assert found["standard_error"].tolist() == [2, 0]


def test_each_of_several_targets_has_its_own_statistics() -> None:
    passes = np.random.default_rng(0).normal(5, 2, (30, 4, 3)).astype(np.float32)
    found = columns(RegressionSummary((3.0, 1.0, 0.0)), [passes])
    noises = np.abs(passes[..., ::-1])
    predicted = columns(RegressionSummary(None), [np.stack([passes, noises], axis=-1)])
    for k, noise in enumerate((3.0, 1.0, 0.0)):
        alone = columns(RegressionSummary(noise), [passes[..., k]])
        pair = columns(RegressionSummary(None), [np.stack([passes, noises], axis=-1)[:, :, k]])
        for name in alone:
            np.testing.assert_array_equal(found[name][:, k], alone[name], name)
            np.testing.assert_array_equal(predicted[name][:, k], pair[name], name)


def test_every_target_has_its_own_standard_error() -> None:
    summary = RegressionSummary((0.0, 0.0))
    summary.add(np.array([[[1, 10], [4, 2]], [[1, 14], [8, 2]]], np.float32))
    assert summary.standard_error().tolist() == [[0, 2], [2, 0]]
    summary.keep(np.array([False, True]))
    assert summary.columns()["standard_error"].tolist() == [[2, 0]]
