import numpy as np
import torch
from torch import Tensor

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.training.fit import seeded
from caveat.training.preprocessing.unseen import Hiding, hiding

FEATURES = (
    Feature(name="plan", categories=("a", "b")),
    Feature(name="pet", categories=("cat", "cow", "dog"), missing=True, other=True),
    Feature(name="age", missing=True),
    Feature(name="ill", categories=("false", "true"), other=True),
)
SPEC = Input(name="x", dtype="float64", shape=("rows", 4), features=FEATURES)
ROWS = 20_000
MISSING = 1000


def rows() -> Tensor:
    random = np.random.default_rng(0)
    x = np.stack([random.integers(0, size, ROWS).astype(float) for size in (2, 3, 90, 2)], axis=1)
    x[:MISSING, 1] = np.nan
    return torch.from_numpy(x)


def hide() -> Hiding:
    found = hiding(SPEC)
    assert found is not None
    return found


def test_categories_are_hidden_at_the_stated_rate_and_nothing_else_changes() -> None:
    with seeded(1):
        hidden = hide()(rows())
    given = rows()
    torch.testing.assert_close(hidden[:, [0, 2]], given[:, [0, 2]], equal_nan=True, rtol=0, atol=0)
    assert hidden[:MISSING, 1].isnan().all()  # what is missing stays missing
    changed = hidden[MISSING:, [1, 3]] != given[MISSING:, [1, 3]]
    assert (hidden[MISSING:, [1, 3]][changed] == -1).all()
    for share, expected in ((changed[:, 0], 0.1), (changed[:, 1], 0.1), (changed.all(1), 0.01)):
        error = (expected * (1 - expected) / (ROWS - MISSING)) ** 0.5
        assert abs(share.double().mean() - expected) < 5 * error


def test_the_given_rows_stay_and_equal_seeds_hide_equal_categories() -> None:
    given, found = rows(), []
    for seed in (3, 3, 4):
        with seeded(seed):
            found.append(hide()(given).nan_to_num(-9))
    assert torch.equal(given.nan_to_num(-9), rows().nan_to_num(-9))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_row_of_many_categories_keeps_most_of_them() -> None:
    features = tuple(Feature(name=f"c{k}", categories=("a", "b"), other=True) for k in range(20))
    found = hiding(Input(name="x", dtype="float64", shape=("rows", 20), features=features))
    assert found == Hiding(tuple(range(20)), 0.025)


def test_without_unknown_categories_nothing_is_to_hide() -> None:
    for features in (None, (FEATURES[0],)):
        assert hiding(Input(name="x", dtype="float64", shape=("rows", 1), features=features)) is None
