"""Networks whose code looks at sizes: the sizes that are stated are right, and others are refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import encode
from caveat.models.errors import InputError
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export.export import export
from tests.training.export.kinds import Run
from tests.training.export.loop import loop

LENGTHS = range(1, 45)


class Sized(nn.Module):
    """A network of sequences (B, L), which looks at a size in eval mode, in training mode, or in both."""

    def __init__(self, look: Callable[[Tensor], Tensor], only: bool | None = None) -> None:
        super().__init__()
        self.look = look
        self.only = only
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.only is None or self.training == self.only:
            x = self.look(x)
        x = self.dropout(x)
        value: Tensor = self.head(torch.stack([x.mean(1), x.amax(1), x[:, 0]], 1)).squeeze(-1)
        return value


class Pooled(Sized):
    """The same with its dropout behind the sizes."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.look(x)
        features = torch.stack([x.mean(1), x.amax(1), x[:, 0]], 1)
        value: Tensor = self.head(self.dropout(features)).squeeze(-1)
        return value


def sequences(
    look: Callable[[Tensor], Tensor], length: int, only: bool | None = None
) -> tuple[Sized, Bundle]:
    torch.manual_seed(0)
    module = Sized(look, only)
    rows = torch.rand(3, length)
    return module, export(
        module, rows, task="regression", outputs="mean", name="sized", free={"x": {1: "length"}}
    )


def assert_right_or_refused(module: nn.Module, bundle: Bundle) -> set[int]:
    """Ask for every length as a client does; give those that are answered."""
    predictor, answered = Predictor(bundle, threads=1), set()
    for length in LENGTHS:
        rows = torch.rand(2, length, generator=torch.Generator().manual_seed(length))
        try:
            inputs = encode(bundle.manifest.inputs, rows.tolist())
            found = predictor.predict(inputs)
            passes = np.concatenate(list(predictor.passes(inputs, 4, seed=2)))
        except InputError:
            continue
        expected = module.eval()(rows).detach()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=f"length {length}")
        looped = loop(module, bundle, {"x": rows}, 4, seed=2, alternating=False)
        np.testing.assert_allclose(passes, looped, rtol=1e-4, atol=1e-5, err_msg=f"length {length}")
        answered.add(length)
    return answered


def padded(x: Tensor) -> Tensor:
    if x.shape[-1] % 2:
        x = F.pad(x, (0, 1), value=1.0)
    return x


def cut(x: Tensor) -> Tensor:
    if x.shape[1] > 20:
        x = x[:, :20]
    return x


def halved_until_small(x: Tensor) -> Tensor:
    while x.shape[1] > 3:
        x = F.avg_pool1d(x[:, None], 2)[:, 0]
    return x


def half(x: Tensor) -> Tensor:
    return x[:, : int(x.shape[1] / 2)]


def between(x: Tensor) -> Tensor:
    return x * 2 if 5 <= x.shape[1] <= 30 else x


def quarter(x: Tensor) -> Tensor:
    return x * 3 if x.shape[1] // 4 == 2 else x


def positions(x: Tensor) -> Tensor:
    return x + torch.linspace(0, 1, 30)[None, : x.shape[1]]


def rooted(x: Tensor) -> Tensor:
    return x * 2 if x.shape[1] ** 0.5 > 3 else x


def checked(x: Tensor) -> Tensor:
    assert x.shape[1] <= 30
    return x


def alone(x: Tensor) -> Tensor:
    return x * 3 if x.shape[1] == 1 else x


SAID: list[tuple[Callable[[Tensor], Tensor], int, int, int | None]] = [
    (cut, 25, 21, None),
    (cut, 7, 1, 20),
    (halved_until_small, 24, 16, 31),
    (half, 11, 10, 11),
    (between, 11, 5, 30),
    (between, 33, 31, None),
    (between, 3, 1, 4),
    (quarter, 9, 8, 11),
    (positions, 7, 1, 30),
    (rooted, 7, 1, 9),
    (checked, 7, 1, 30),
    (alone, 7, 2, None),
    (lambda x: x, 1, 1, None),
    (lambda x: x, 7, 1, None),
]


@pytest.mark.parametrize("only", [None, False, True], ids=["both modes", "eval mode", "training mode"])
@pytest.mark.parametrize(("look", "length", "least", "most"), SAID[:2])
def test_a_branch_of_either_mode_bounds_the_sizes(
    look: Callable[[Tensor], Tensor], length: int, least: int, most: int | None, only: bool | None
) -> None:
    torch.manual_seed(0)
    module = Sized(lambda x: x * 1.0 if x.shape[1] > 20 else x, only)  # the same in both branches
    free = {"x": {1: "length"}}
    bundle = export(module, torch.rand(3, length), task="regression", outputs="mean", name="m", free=free)
    assert bundle.manifest.inputs[0].sizes["length"] == (least, most)


@pytest.mark.parametrize(
    ("look", "length", "least", "most"), SAID, ids=[f"{look.__name__} {size}" for look, size, *_ in SAID]
)
def test_sizes_of_the_branch_that_was_taken_are_stated_and_right(
    look: Callable[[Tensor], Tensor], length: int, least: int, most: int | None
) -> None:
    module, bundle = sequences(look, length)
    assert bundle.manifest.inputs[0].sizes["length"] == (least, most)
    answered = assert_right_or_refused(module, bundle)
    assert answered == {size for size in LENGTHS if least <= size <= (most or size)}


OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "slice": lambda x: x[:, :20],
    "slice from behind": lambda x: x[:, -20:],
    "min": lambda x: x[:, : min(x.shape[1], 20)],
    "interpolate": lambda x: F.interpolate(x[:, None], scale_factor=1.5, mode="linear")[:, 0],
    "resize": lambda x: F.interpolate(x[:, None], size=9)[:, 0],
    "ceil": lambda x: F.avg_pool1d(x[:, None], 2, ceil_mode=True)[:, 0],
    "padded by a formula": lambda x: F.pad(x, (0, x.shape[1] % 2), value=1.0),
    "root": lambda x: x * x.shape[1] ** 0.5,
    "half": lambda x: x[:, x.shape[1] // 2 :],
    "pad and cut": lambda x: F.pad(x, (1, 1))[:, : x.shape[1]],
    "windows": lambda x: x.unfold(1, 3, 2).mean(2),
}

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "pooled": lambda x: F.max_pool1d(x[:, None, ::2] * 1.0, 2)[:, 0],
    "strided and pooled": lambda x: F.max_pool1d(F.conv1d(x[:, None], torch.ones(8, 1, 3), None, 2, 1), 2)[
        :, 0
    ],
}


@pytest.mark.parametrize("length", [7, 24])
@pytest.mark.parametrize("look", OPERATORS.values(), ids=list(OPERATORS))
def test_operators_on_sizes_answer_right_or_refuse(look: Callable[[Tensor], Tensor], length: int) -> None:
    torch.manual_seed(0)
    module = Pooled(look)
    free = {"x": {1: "length"}}
    bundle = export(module, torch.rand(3, length), task="regression", outputs="mean", name="p", free=free)
    answered = assert_right_or_refused(module, bundle)
    assert {length - 1, length, length + 1} <= answered
    least, most = bundle.manifest.inputs[0].sizes["length"]
    assert answered == {size for size in LENGTHS if least <= size <= (most or size)}


@pytest.mark.parametrize(
    "operator", [lambda x: x.tensor_split(2, 1)[0], lambda x: x.topk(min(3, x.shape[1]))[0]]
)
def test_an_example_of_size_1_hides_no_difference_at_other_sizes(
    operator: Callable[[Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    module = Pooled(operator)
    with pytest.raises(ExportError, match="rows with a length of 3"):
        export(
            module, torch.rand(3, 1), task="regression", outputs="mean", name="p", free={"x": {1: "length"}}
        )


def test_a_size_that_fits_no_memory_is_not_tried() -> None:
    module = nn.Sequential(
        Run(lambda self, x: x * 2 if len(x) > 10**6 else x), nn.Dropout(0.3), nn.Linear(4, 1)
    )
    with pytest.raises(ExportError, match=r"takes another branch with \d+ rows"):
        export(module, torch.rand(3, 4), task="regression", outputs="mean", name="rows")


@pytest.mark.parametrize("look", POOLINGS.values(), ids=list(POOLINGS))
def test_a_size_that_an_operator_compares_without_a_need_is_not_bounded(
    look: Callable[[Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    module = Pooled(look)
    free = {"x": {1: "length"}}
    bundle = export(module, torch.rand(3, 9), task="regression", outputs="mean", name="p", free=free)
    assert bundle.manifest.inputs[0].sizes["length"][1] is None
    assert assert_right_or_refused(module, bundle) == set(LENGTHS[2:])


def test_draws_whose_number_is_arithmetic_on_a_size_are_stated() -> None:
    module, bundle = sequences(OPERATORS["padded by a formula"], 7)
    assert bundle.manifest.sites[0].shape[-1] == "length + (length - 2 * (length // 2))"
    assert assert_right_or_refused(module, bundle) == set(LENGTHS)
    assert "length" in str(bundle.manifest.cost.row_pass)


@pytest.mark.parametrize("operator", ["min", "interpolate"])
def test_draws_of_another_number_are_refused_with_their_line(operator: str) -> None:
    message = refused(Sized(OPERATORS[operator]), torch.rand(3, 7))
    assert "the number of draws follows from a free size" in message
    assert "x = self.dropout(x)" in message


def refused(module: nn.Module, *rows: Tensor, names: tuple[str, ...] = ("length",)) -> str:
    keys = ("x", "y")[: len(rows)]
    free = {key: {1: name} for key, name in zip(keys, names, strict=True)}
    example: Any = dict(zip(keys, rows, strict=True)) if len(rows) > 1 else rows[0]
    with pytest.raises(ExportError) as refusal:
        export(module, example, task="regression", outputs="mean", name="sized", free=free)
    return str(refusal.value)


def required(x: Tensor) -> Tensor:
    if x.shape[1] % 2 == 0:
        raise ValueError("odd lengths, please")
    return x


@pytest.mark.parametrize("only", [None, False, True])
@pytest.mark.parametrize("length", [7, 8])
def test_a_parity_is_refused_with_its_line(length: int, only: bool | None) -> None:
    message = refused(Sized(padded, only), torch.rand(3, length))
    assert f"with a length of {2 if length == 7 else 3} than" in message
    assert f"than with the example's length of {length}" in message
    assert 'test_guards.py", line ' in message
    assert "in padded: if x.shape[-1] % 2:" in message
    assert "torch.where" in message


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (lambda x: x * 2 if x.shape[1] != 5 else x, "x.shape[1] != 5"),
        (lambda x: x if x.shape[1] in (4, 9) else 2 * x, "x.shape[1] in (4, 9)"),
        (lambda x: x * 2 if x.shape[1] // 4 % 2 else x, "x.shape[1] // 4 % 2"),
        (required, "if x.shape[1] % 2 == 0:"),
    ],
    ids=["a hole", "two holes", "a period", "an error"],
)
def test_a_choice_that_bounds_do_not_say_is_refused(look: Callable[[Tensor], Tensor], line: str) -> None:
    assert line in refused(Sized(look), torch.rand(3, 7))


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (lambda x: x * 2 if x.shape[1] == 7 else x, "x.shape[1] == 7"),
        (lambda x: x * float(x.shape[1]), "float(x.shape[1])"),
        (lambda x: sum(x[:, i : i + 1] for i in range(x.shape[1])) + x, "range(x.shape[1])"),
        (lambda x: torch.stack(x.unbind(1), 1), "x.unbind(1)"),
        (lambda x: x / math.sqrt(x.shape[1]), "math.sqrt(x.shape[1])"),
    ],
    ids=["equal", "float", "range", "unbind", "root"],
)
def test_a_size_that_is_fixed_is_refused_with_its_line(look: Callable[[Tensor], Tensor], line: str) -> None:
    message = refused(Sized(look), torch.rand(3, 7))
    assert "the network fixes the size length to 7, in " in message
    assert line in message
    assert "** 0.5 keeps it free" in message


@pytest.mark.parametrize("only", [None, False, True])
def test_a_branch_on_the_number_of_rows_is_refused_as_the_networks(only: bool | None) -> None:
    module = Sized(lambda x: x * 2 if x.shape[0] > 16 else x, only)
    message = refused(module, torch.rand(3, 7))
    assert "with 17 rows" in message
    assert "x.shape[0] > 16" in message
    assert "any number of rows" in message
    assert "report" not in message


def test_a_branch_on_rows_is_refused_without_free_sizes_too() -> None:
    module = nn.Sequential(
        Run(lambda self, x: x * 2 if len(x) > 1000 else x), nn.Dropout(0.3), nn.Linear(4, 1)
    )
    with pytest.raises(ExportError, match="with 1001 rows"):
        export(module, torch.rand(3, 4), task="regression", outputs="mean", name="rows")


def test_a_branch_for_a_lone_row_is_refused_by_the_draws_that_differ() -> None:
    def apart(self: Run, x: Tensor) -> Tensor:
        dropped = F.dropout(x[0] if len(x) == 1 else x, 0.3, self.training)
        return dropped.reshape(-1, 4)

    module = nn.Sequential(Run(apart), nn.Linear(4, 1))
    with pytest.raises(ExportError, match=r"draws in another shape .* another branch there"):
        export(module, torch.rand(3, 4), task="regression", outputs="mean", name="rows")


class Two(nn.Module):
    """A network of two sequences, which compares their lengths."""

    def __init__(self, look: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.look = look
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = self.look(x, y)
        value: Tensor = self.head(self.dropout(torch.stack([x.mean(1), z.mean(1)], 1)))
        return value


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (lambda x, y: x if x.shape[1] <= y.shape[1] else y, "x.shape[1] <= y.shape[1]"),
        (lambda x, y: x if x.shape[1] == y.shape[1] else y, "x.shape[1] == y.shape[1]"),
        (lambda x, y: x if x.shape[1] * 2 > y.shape[1] else y, "x.shape[1] * 2 > y.shape[1]"),
        (lambda x, y: x if x.shape[1] + y.shape[1] < 30 else y, "x.shape[1] + y.shape[1] < 30"),
        (lambda x, y: x if x.shape[0] > y.shape[1] else y, "x.shape[0] > y.shape[1]"),
    ],
    ids=["at most", "equal", "double", "sum", "rows"],
)
def test_a_relation_of_two_sizes_is_refused(look: Callable[[Tensor, Tensor], Tensor], line: str) -> None:
    assert line in refused(Two(look), torch.rand(3, 7), torch.rand(3, 7), names=("long", "short"))


def test_equal_sizes_may_have_one_name() -> None:
    module = Two(lambda x, y: x if x.shape[1] == y.shape[1] else y)
    message = refused(module, torch.rand(3, 7), torch.rand(3, 7), names=("a", "b"))
    assert "give both one name" in message
    example = {"x": torch.rand(3, 7), "y": torch.rand(3, 7)}
    free = {"x": {1: "length"}, "y": {1: "length"}}
    bundle = export(module, example, task="regression", outputs="mean", name="two", free=free)
    assert bundle.manifest.inputs[1].sizes == {"length": (1, None)}


class Hourglass(nn.Module):
    """A small U-Net: sizes must be multiples of 4, since what is pooled must fit what skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.up = nn.Conv2d(8, 4, 3, padding=1)
        self.dropout = nn.Dropout2d(0.3)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.down(x))
        small = F.max_pool2d(F.max_pool2d(x, 2), 2)
        large = F.interpolate(self.dropout(small), scale_factor=4.0)
        value: Tensor = self.head(self.up(torch.cat([x, large], 1)).mean((2, 3)))
        return value


def test_sizes_that_the_network_refuses_itself_are_no_reason_to_refuse_the_network() -> None:
    torch.manual_seed(0)
    module, rows = Hourglass(), torch.rand(3, 1, 16, 24)
    free = {"x": {2: "height", 3: "width"}}
    bundle = export(module, rows, task="regression", outputs="mean", name="hourglass", free=free)
    predictor = Predictor(bundle, threads=1)
    for height, width in [(4, 8), (8, 4), (20, 28), (64, 64)]:
        inputs = encode(bundle.manifest.inputs, torch.rand(2, 1, height, width).tolist())
        expected = module.eval()(torch.from_numpy(inputs["x"])).squeeze(-1).detach()
        np.testing.assert_allclose(predictor.predict(inputs), expected, rtol=1e-4, atol=1e-5)
    for height, width in [(18, 24), (16, 21), (5, 5)]:
        with pytest.raises(InputError):
            predictor.predict(encode(bundle.manifest.inputs, torch.rand(2, 1, height, width).tolist()))
