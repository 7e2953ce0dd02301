import math
import time
import unicodedata
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from caveat.models.bundles.features import OTHER, Feature
from caveat.models.bundles.records import encode_features
from caveat.models.bundles.signature import Input
from caveat.models.errors import InputError

nan = math.nan
HEATING = ("1", "true", "gas", "Oil", "2.5")


def feature(**fields: Any) -> Feature:
    return Feature(name="f", **fields)


def encoded(of: Feature, *values: Any, dtype: str = "float64") -> list[float]:
    rows = [{of.name: value} for value in values]
    found: list[float] = encode_features(rows, [of], dtype, "inputs")[:, 0].tolist()
    for value, number in zip(values, found, strict=True):  # one value alone takes another way
        assert encode_features([{of.name: value}], [of], dtype, "inputs")[0, 0] == pytest.approx(
            number, nan_ok=True
        )
    return found


def refused(of: Feature, *values: Any, dtype: str = "float64") -> InputError:
    with pytest.raises(InputError) as error:
        encode_features([{of.name: value} for value in values], [of], dtype, "inputs")
    return error.value


@pytest.mark.parametrize(
    ("value", "category"),
    [
        *((1, "1"), (1.0, "1"), ("1", "1"), (" 1", "1"), ("1.0", "1"), (2.5, "2.5"), ("2.5", "2.5")),
        *((True, "true"), ("true", "true"), ("True", "true"), ("TRUE ", "true")),
        *(("gas", "gas"), (" gas", "gas"), ("GAS", "gas"), ("oil", "Oil"), ("Oil", "Oil")),
    ],
)
def test_a_category_may_be_spelled_in_several_ways(value: Any, category: str) -> None:
    for of in (feature(categories=HEATING), feature(categories=HEATING, other=True, missing=True)):
        assert encoded(of, value, "gas") == [HEATING.index(category), HEATING.index("gas")]


@pytest.mark.parametrize(
    "value", ["01", 10, "1.00", 1.5, "2", 2, False, "ga s", "1,0", -1, 1e300, "t", 10**400]
)
def test_another_spelling_is_another_category(value: Any) -> None:
    error = refused(feature(categories=HEATING), "gas", value)
    assert (error.where, error.rows) == ("inputs[1].f", (1,))
    assert error.expected == 'one of "1", "true", "gas", "Oil", "2.5"'
    if value != 10**400:
        assert encoded(feature(categories=HEATING, other=True), value) == [OTHER]


def test_leading_zeros_make_another_category() -> None:
    codes = feature(categories=("01", "1"))
    assert encoded(codes, "01", "1", 1, 1.0) == [0, 1, 1, 1]
    assert refused(feature(categories=("01", "02")), 1).rows == (0,)


def test_categories_that_differ_in_capitals_alone_are_read_exactly() -> None:
    assert encoded(feature(categories=("Gas", "gas")), "gas", "Gas") == [1, 0]
    assert refused(feature(categories=("Gas", "gas")), "gas", "GAS", " gas").rows == (1,)
    assert encoded(feature(categories=("Gas", "gas"), other=True), "GAS") == [OTHER]


def test_numbers_that_are_two_categories_are_read_exactly() -> None:
    assert encoded(feature(categories=("1", "1.0")), "1", "1.0", 1) == [0, 1, 0]


@pytest.mark.parametrize("value", [None, "", " ", "NA", "n/a", "NaN", "null", "None", "?", nan])
def test_a_missing_category_is_nan_where_it_may_be_missing(value: Any) -> None:
    assert encoded(feature(categories=HEATING, missing=True), value, "gas") == pytest.approx(
        [nan, 2], nan_ok=True
    )
    assert refused(feature(categories=HEATING), value).rows == (0,)
    # It is no category that training did not see: that would say that it is known.
    assert refused(feature(categories=HEATING, other=True), "gas", value).rows == (1,)


def test_a_category_may_be_called_like_a_missing_value() -> None:
    for of in (feature(categories=("None", "NA")), feature(categories=("None", "NA"), missing=True)):
        assert encoded(of, "None", "none", "NA", " na") == [0, 0, 1, 1]
    assert np.isnan(encoded(feature(categories=("None", "null"), missing=True), None)).all()


@pytest.mark.parametrize("value", [["gas"], {"gas": 1}, [], {}])
@pytest.mark.parametrize("of", [feature(categories=HEATING, other=True), feature(dates="iso"), feature()])
def test_lists_and_objects_are_no_values(of: Feature, value: Any) -> None:
    of = of.model_copy(update={"missing": True})
    assert refused(of, None, value).where == "inputs[1].f"


def test_a_number_may_be_missing_as_null_alone() -> None:
    assert encoded(feature(missing=True), 1, None, 2.5) == pytest.approx([1, nan, 2.5], nan_ok=True)
    assert encoded(feature(missing=True), nan) == pytest.approx([nan], nan_ok=True)
    assert str(refused(feature(), 1, None)) == "inputs[1].f: expected a number, got null"
    for text in ("", "NA", "1"):
        assert refused(feature(missing=True), text).expected == "a number, or null"


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (10**400, "1" + "0" * 76 + "..."),
        (10**5000, "an integer of thousands of digits"),
    ],
    ids=["inf", "-inf", "of 401 digits", "of 5001 digits"],
)
def test_a_number_is_finite(value: float, got: str, missing: bool) -> None:
    for values in ([value], [1, value], [None, value] if missing else [value]):
        error = refused(feature(missing=missing), *values)
        assert (error.expected, error.got) == ("a finite number", got)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(value: bool) -> None:
    assert refused(feature(missing=True), 1.5, value).got == str(value).lower()


@pytest.mark.parametrize("values", [[1e39], [1, -1e39], [None, 1e39]])
def test_a_number_fits_the_type_of_the_input(values: list[Any]) -> None:
    error = refused(feature(missing=True), *values, dtype="float32")
    assert error.where == f"inputs[{len(values) - 1}].f"
    assert error.expected == "a finite number that float32 can hold"
    assert np.isfinite(encoded(feature(missing=True), values[-1])).all()


def test_dates_are_read_in_iso_8601_and_in_their_form() -> None:
    of = feature(dates="%d/%m/%Y", missing=True)
    found = encoded(of, "1970-01-03", "3/1/1970", "1970-01-02T12:00:00+06:00", None, "", "NA")
    assert found == pytest.approx([2, 2, 1.25, nan, nan, nan], nan_ok=True)


@pytest.mark.parametrize("value", [2012, 20513.0, True, "13/13/2026", "soon", "2026-13-01"])
def test_what_is_no_date_is_refused(value: Any) -> None:
    error = refused(feature(dates="%d/%m/%Y"), "1970-01-01", value)
    assert (error.where, error.rows) == ("inputs[1].f", ())
    assert error.expected.endswith("such as 2026-03-01 or 2026-03-01T12:30:00, or as %d/%m/%Y")


@pytest.mark.parametrize("value", [None, "", "NA"])
def test_a_date_that_may_not_be_missing_is_a_date(value: Any) -> None:
    assert refused(feature(dates="iso"), value).where == "inputs[0].f"


TABLE = (
    Feature(name="pet", categories=("cat", "dog")),
    Feature(name="age", missing=True),
    Feature(name="fuel", categories=("gas", "oil")),
)


def table(*rows: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    return [dict(zip(("pet", "age", "fuel"), row, strict=True)) for row in rows]


def test_all_rows_with_unknown_categories_are_named_whatever_the_column() -> None:
    rows = table(("cat", 1, "wood"), ("cow", 2, "gas"), ("dog", None, "oil"), ("cow", 4, "coal"))
    with pytest.raises(InputError) as error:
        encode_features(rows, TABLE, "float64", "inputs")
    assert error.value.rows == (0, 1, 3)
    assert str(error.value) == (
        'inputs[1].pet: expected one of "cat", "dog", got "cow"; 3 rows do not fit: 0, 1, 3'
    )


def test_of_many_rows_the_first_ten_are_listed() -> None:
    rows = table(*[("cow", 1, "gas")] * 25)
    with pytest.raises(
        InputError, match=r"25 rows do not fit: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more$"
    ) as error:
        encode_features(rows, TABLE, "float64", "inputs")
    assert error.value.rows == tuple(range(25))


def test_an_absent_field_is_not_a_missing_value() -> None:
    with pytest.raises(InputError, match=r"inputs\[1\]\.age: expected a value, or null, got nothing"):
        encode_features(
            [*table(("cat", 1, "gas")), {"pet": "cat", "fuel": "gas"}], TABLE, "float64", "inputs"
        )


def test_names_may_hold_any_text() -> None:
    of = Feature(name="a{0} {} %s", categories=("x",))
    with pytest.raises(InputError) as error:
        encode_features([{of.name: "y"}], [of], "float64", "inputs.{x}")
    assert error.value.where == "inputs.{x}[0].a{0} {} %s"


@pytest.mark.parametrize(
    "fields", [{"categories": ("a",), "dates": "iso"}, {"other": True}, {"dates": "iso", "other": True}]
)
def test_a_feature_is_of_one_kind(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        feature(**fields)


@pytest.mark.parametrize(
    "of", [feature(categories=HEATING, other=True), feature(dates="%d/%m/%Y", missing=True)]
)
def test_a_text_of_a_million_accents_takes_no_longer_than_another(of: Feature) -> None:
    text = "a" + "\u0345\u0301\u0316\u0334" * 250_000
    start = time.perf_counter()
    for value in (text, f"  {text}"):
        assert of.number(value) == (OTHER if of.other else None)
    assert time.perf_counter() - start < 1


def test_a_category_may_be_written_with_many_blanks_and_with_accents_apart() -> None:
    of = feature(categories=("ǘǘǘǘ ǘǘǘǘ", "b"))
    spelled = unicodedata.normalize("NFD", "Ǘ" * 4) + " " * 50 + unicodedata.normalize("NFD", "ǘ" * 4)
    assert encoded(of, spelled) == [0]


def test_a_changed_feature_forgets_the_codes_of_the_old_one() -> None:
    of = feature(categories=("a", "b"))
    assert encoded(of, "a", "B") == [0, 1]
    other = of.model_copy(update={"categories": ("b", "a"), "missing": True})
    assert encoded(other, "a", "B", None) == pytest.approx([1, 0, nan], nan_ok=True)


@pytest.mark.parametrize("form", ["%d/%d", "%", "%Q", "%-d/%m/%Y", "%G-W%V", "%d.%m.%Y %"])
def test_a_form_that_reads_no_date_is_refused(form: str) -> None:
    with pytest.raises(ValidationError, match="is no form of dates"):
        feature(dates=form)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y", "%H:%M:%S.%f", "%b %d, %Y %I:%M %p %z", "%G-W%V-%u", "%c", "%j %y %Z"]
)
def test_a_form_that_reads_dates_is_taken(form: str) -> None:
    assert feature(dates=form).dates == form


@pytest.mark.parametrize("fields", [{"missing": True}, {"dates": "iso"}])
def test_integers_hold_no_missing_values(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="int64 can't hold"):
        Input(name="x", dtype="int64", shape=("rows", 1), features=(feature(**fields),))


def test_arrays_of_rows_may_lack_values_where_these_may_be_missing() -> None:
    spec = Input(name="x", dtype="float32", shape=("rows", 3), features=TABLE)
    found = spec.encode(np.array([[0, nan, 1], [1, 2, 0]]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[0, nan, 1], [1, 2, 0]])
    for row in ([nan, 1, 0], [0, math.inf, 0]):
        with pytest.raises(InputError, match="a finite number that float32 can hold"):
            spec.encode(np.array([[0, 1, 1], row]))


def test_the_scalars_that_stand_for_a_category_are_listed() -> None:
    of = feature(
        categories=(
            "1",
            "2.0",
            "03",
            "true",
            "TRUE",
            "[1]",
            '"a"',
            "null",
            "1e2",
            "inf",
            "[" * 900,
            "9" * 900,
        )
    )
    assert of.scalars[:3] == [1, 2.0, True]
    assert len(of.scalars) == 3
    assert feature(categories=("1", "1.0")).scalars == [1]
    assert feature().scalars == []
    for value in of.scalars:
        assert np.isfinite(encoded(of, value)).all()


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (feature(), "a number"),
        (feature(missing=True), "a number, or null"),
        (feature(categories=("a", "b"), missing=True), 'one of "a", "b", or null'),
        (feature(categories=("a", "b"), other=True), 'a category, such as "a", "b"'),
        (feature(dates="iso"), "a date or time as a text such as 2026-03-01 or 2026-03-01T12:30:00"),
    ],
)
def test_what_is_expected_is_said_in_words(of: Feature, expected: str) -> None:
    assert of.expected == expected
