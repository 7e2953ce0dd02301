import numpy as np
import torch

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.training.fit import seeded
from caveat.training.preprocessing.preprocess import preprocess, unseen_mask

FEATURES = (
    Feature(name="plan", categories=("a", "b")),
    Feature(name="pet", categories=("cat", "cow", "dog"), missing=True, other=True),
    Feature(name="age", missing=True),
    Feature(name="day", dates="iso", missing=True),
    Feature(name="ill", categories=("false", "true"), other=True),
)
SPEC = Input(name="x", dtype="float64", shape=("rows", 5), features=FEATURES)
ROWS = 20_000


def prepared() -> tuple[torch.nn.Module, torch.Tensor]:
    random = np.random.default_rng(0)
    x = np.stack([random.integers(0, size, ROWS).astype(float) for size in (2, 3, 90, 9999, 2)], axis=1)
    x[:1000, 1] = np.nan
    prepare = preprocess(SPEC, x)
    return prepare, prepare(torch.from_numpy(x))


def test_categories_are_hidden_at_the_stated_rate_and_nothing_else_changes() -> None:
    prepare, rows = prepared()
    mask = unseen_mask(prepare, 0.1)
    assert mask is not None
    with seeded(1):
        hidden = mask(rows)
    pet, ill = slice(-8, -3), slice(-3, None)  # cat, cow, dog, missing, other; false, true, other
    assert (hidden[:, :-8] == rows[:, :-8]).all()
    for columns in (pet, ill):
        assert (hidden[:, columns].sum(1) == 1).all()
        changed = (hidden[:, columns] != rows[:, columns]).any(1)
        assert (changed == (hidden[:, columns][:, -1] == 1)).all()
        share = changed[1000:].float().mean()
        assert abs(share - 0.1) < 5 * (0.1 * 0.9 / (ROWS - 1000)) ** 0.5
    assert (hidden[:1000, pet] == rows[:1000, pet]).all()  # what is missing stays missing
    both = (hidden[1000:, -4] * hidden[1000:, -1]).mean()
    assert abs(both - 0.01) < 5 * (0.01 * 0.99 / (ROWS - 1000)) ** 0.5


def test_the_given_rows_stay_and_equal_seeds_hide_equal_categories() -> None:
    prepare, rows = prepared()
    mask = unseen_mask(prepare, 0.5)
    assert mask is not None
    before = rows.clone()
    found = []
    for seed in (3, 3, 4):
        with seeded(seed):
            found.append(mask(rows))
    assert torch.equal(rows, before)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_what_is_hidden_is_what_an_unknown_category_becomes() -> None:
    prepare, _ = prepared()
    mask = unseen_mask(prepare, 1.0)
    assert mask is not None
    row = torch.tensor([[0.0, 2, 5, 9, 1]], dtype=torch.float64)
    unknown = torch.tensor([[0.0, -1, 5, 9, -1]], dtype=torch.float64)
    assert torch.equal(mask(prepare(row)), prepare(unknown))


def test_without_unknown_categories_nothing_is_to_hide() -> None:
    spec = Input(name="x", dtype="float64", shape=("rows", 1), features=(FEATURES[0],))
    assert unseen_mask(preprocess(spec, np.array([[0.0], [1.0]])), 0.5) is None
    spec = Input(name="x", dtype="float64", shape=("rows", 1))
    assert unseen_mask(preprocess(spec, np.array([[0.0], [1.0]])), 0.5) is None
