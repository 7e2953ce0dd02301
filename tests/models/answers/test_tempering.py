import numpy as np
import pytest
from numpy.typing import NDArray

from caveat.models.answers.tempering import tempered


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    powers = np.exp(logits)
    probabilities: NDArray[np.floating] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_tempered_probabilities_are_the_softmax_of_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 4, (3, 5, 7))
    np.testing.assert_allclose(
        tempered(softmax(logits), temperature), softmax(logits / temperature), rtol=1e-10
    )


def test_a_square_root_by_hand() -> None:
    np.testing.assert_allclose(tempered(np.array([0.8, 0.2], np.float32), 2.0), [2 / 3, 1 / 3], rtol=1e-6)


def test_a_certain_answer_stays_certain_and_tiny_ones_keep_their_order() -> None:
    assert tempered(np.array([[1.0, 0.0]]), 0.1).tolist() == [[1.0, 0.0]]
    flat = tempered(np.array([1 - 1e-30, 1e-30, 1e-40]), 100.0)
    assert flat[0] > flat[1] > flat[2] > 0.1
