import pytest

from caveat.training.augmentation.kinds import KINDS, strengths


def test_every_kind_has_a_usual_strength_within_its_bounds() -> None:
    assert strengths(tuple(KINDS)) == {name: kind.usual for name, kind in KINDS.items()}
    assert strengths(tuple(f"{name}={kind.most}" for name, kind in KINDS.items()))


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        (("twist",), "'twist' is no augmentation; expected shift, rotation, scale"),
        (("",), "'' is no augmentation"),
        (("shift", "shift=0.2"), "shift is there twice"),
        (("shift=0",), "shift=0: expected a number above 0 and up to 0.5, the farthest"),
        (("shift=nan",), "shift=nan: expected a number"),
        (("shift=0.6",), "up to 0.5"),
        (("rotation=a",), "rotation=a: expected a number above 0 and up to 180"),
        (("rotation=",), "rotation=: expected a number"),
        (("jitter=-1",), "jitter=-1: expected"),
        (("mixup=inf",), "mixup=inf: expected"),
    ],
)
def test_what_is_no_augmentation_is_refused(stated: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        strengths(stated)
