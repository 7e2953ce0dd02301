import pytest

from caveat.models.bundles.spelling import MISSING, folded, is_missing, tidy, unambiguous


@pytest.mark.parametrize(
    ("text", "expected"),
    [("  natural \t gas\n", "natural gas"), ("", ""), ("\u00a0a\u2003b", "a b"), ("Gas", "Gas")],
)
def test_blanks_are_single_and_inside(text: str, expected: str) -> None:
    assert tidy(text) == expected


def test_letters_with_accents_are_one_text_however_they_are_encoded() -> None:
    assert tidy("caf\u00e9") == tidy("cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Gas", " GAS "), ("STRASSE", "straße"), ("CAFE\u0301", "caf\u00e9"), ("natural  gas", "Natural Gas")],
)
def test_texts_that_differ_in_blanks_and_capitals_fold_to_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("gas", "ga s"), ("1", "1.0"), ("01", "1"), ("e", "é")])
def test_other_texts_stay_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@pytest.mark.parametrize("text", sorted(MISSING))
def test_each_spelling_of_a_missing_value_may_have_blanks_and_capitals(text: str) -> None:
    assert is_missing(text)
    assert is_missing(f" {text.upper()}\t")


@pytest.mark.parametrize("text", ["0", "-", "no", "nano", "n.a.", "false", "??"])
def test_other_texts_are_values(text: str) -> None:
    assert not is_missing(text)


def test_a_folded_spelling_of_several_texts_stands_for_none() -> None:
    assert unambiguous(["Gas", "oil", "OIL", "Oil "]) == {"gas": "Gas"}
    assert unambiguous([]) == {}
