import pytest

from caveat.models.bundles.dimension import evaluate, names

SIZES = {"length": 9, "height": 8}


@pytest.mark.parametrize(
    ("expression", "size"),
    [
        (7, 7),
        ("7", 7),
        ("length", 9),
        ("length - 1", 8),
        ("2*length*height", 144),
        ("(height - 2)//2 + 1", 4),
        ("((length - 1)//2)*(height//4)", 8),
        ("-(-length//2)", 5),
    ],
)
def test_arithmetic_on_sizes_is_computed(expression: int | str, size: int) -> None:
    assert evaluate(expression, SIZES) == size


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "width",
        "length.real",
        "length[0]",
        "print(1)",
        "__import__('os').system('true')",
        "lambda: 1",
        "[1 for _ in (1,)]",
        "length if length else 1",
        "length and 1",
        "length < 3",
        "True",
        "1.5",
        "'text'",
        "length/2",
        "length**length",
        "9**9**9**9",
        "1 << 62",
        "length // 0",
        "length\n+ 1",
        "length; 1",
        "(",
        "\x00",
        "1j",
        "f'{length}'",
        "(length := 3)",
        "-" * 5000 + "1",
        "(" * 5000 + "1" + ")" * 5000,
        "+".join(["1"] * 20_000),
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"arithmetic|null"):
        evaluate(expression, SIZES)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (3, set()),
        ("3", set()),
        ("length", {"length"}),
        ("rows*(length//2 + height)", {"rows", "length", "height"}),
    ],
)
def test_names_are_found(expression: int | str, found: set[str]) -> None:
    assert names(expression) == found
