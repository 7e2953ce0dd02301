"""Which rows each kind of augmentation changes."""

import pytest
import torch

from caveat.models.errors import CaveatError
from caveat.training.augmentation.augmentation import augmentation
from caveat.training.augmentation.kinds import KINDS

SHAPES = {"table": (9, 3), "image": (9, 8, 8), "colours": (9, 3, 8, 8), "sequence": (9, 8, 3)}
CHANGED = {"image": ("images", "both"), "colours": ("images", "both"), "sequence": ("sequences", "both")}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rows", SHAPES)
def test_a_kind_changes_the_rows_that_it_is_for_and_refuses_others(rows: str, name: str) -> None:
    values = torch.randn(SHAPES[rows])
    if KINDS[name].of in CHANGED.get(rows, ()):
        made = augmentation({name: KINDS[name].usual}, values, rows == "sequence")
        assert made is not None
        changed, _ = made(values, lambda outputs, _: outputs.sum())
        assert changed.shape == values.shape
        assert not torch.equal(changed, values)
    else:
        with pytest.raises(CaveatError, match=f"--augment {name} changes .*; these are "):
            augmentation({name: KINDS[name].usual}, values, rows == "sequence")


def test_without_kinds_there_is_none() -> None:
    assert augmentation({}, torch.randn(9, 3), sequences=False) is None


def test_a_feature_that_never_changes_has_no_noise() -> None:
    values = torch.ones(5, 8, 2)
    made = augmentation({"jitter": 0.5}, values, sequences=True)
    assert made is not None
    assert torch.equal(made(values, lambda outputs, _: outputs.sum())[0], values)
