"""The self-test of every bundle: its graphs are compared with the PyTorch network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.draws.masks import draw
from caveat.training.errors import ExportError
from caveat.training.export import reference
from caveat.training.export.draw_inputs import DrawInputs
from caveat.training.export.moments import differ
from caveat.training.export.ranges import Range
from caveat.training.export.runs import SEED, Runs
from caveat.training.export.sizes import Axes, free_sizes, resized, runs_on
from caveat.training.tasks import tasks

TOLERANCE = 1e-4
"""Largest allowed difference, relative to the spread of the outputs."""

_ROUNDINGS = 8  # units in the last place by which two computations of an output may differ

_MOST_SEEDS = 10
_MOST_ROWS = 5
_MOST_SAMPLES = 200
_LEAST_SAMPLES = 25
_AT_ONCE = 25  # samples of PyTorch's own dropout


class Verification:
    """Compares a bundle with the network that it was made from; each method raises `ExportError`.

    Parameters
    ----------
    runs
        The bundle's graphs on rows of the example.
    evaluated, sampled
        The network in eval mode, and the network with its dropout on.
    draws
        The draws of the bundle's sites.
    answers
        The network's answers to the example in eval mode, whose spread is the scale of a difference.
    """

    def __init__(
        self,
        runs: Runs,
        evaluated: nn.Module,
        sampled: nn.Module,
        draws: DrawInputs,
        answers: Tensor,
    ) -> None:
        self._runs = runs
        self._predictor = runs.predictor
        self._evaluated = evaluated
        self._sampled = sampled
        self._draws = draws
        self._sites = self._predictor.manifest.sites
        # The spread over rows: two passes over one row may differ by less than the rounding of float32.
        points = self._predictor.task.point(answers.numpy())
        self._by_target = self._predictor.task.own_units
        self._targets = tasks.of(self._predictor.manifest).targets(self._predictor.manifest)
        self._spreads = np.ptp(points.reshape(len(points), -1), axis=0).tolist()

    def smaller_sizes(
        self, rows: Sequence[Tensor], axes: Axes, held: Mapping[str, Range]
    ) -> dict[str, Range]:
        """Lower the least of each free size as far as the graphs answer as the network does.

        Parameters
        ----------
        rows, axes
            Example inputs, and the names of their free sizes.
        held
            The range of each free size, by name.
        """
        lowered = {}
        for name, range_ in held.items():
            least = range_.least
            for size in range(range_.least - 1, range_.floor - 1, -1):
                tensors = [tensor[:2] for tensor in resized(rows, axes, name, size)]
                if self._is_right_at(tensors, name, size):
                    least = size
                elif not self._fails_at(tensors):
                    break
            lowered[name] = replace(range_, least=least)
        return lowered

    def _fails_at(self, tensors: Sequence[Tensor]) -> bool:
        """Tell whether network and graphs fail alike, as a U-Net for odd sizes; smaller ones may be right."""
        if runs_on(self._evaluated, tensors):
            return False
        try:
            self._predictor.predict(self._runs.named(tensors))
        except Exception:  # the engine's errors have no base class
            return True
        return False

    def _is_right_at(self, tensors: Sequence[Tensor], name: str, size: int) -> bool:
        if not runs_on(self._evaluated, tensors):
            return False
        try:
            self._other_size(tensors, name, size)
        except ExportError:
            return False
        return True

    def same_draws(self, rows: Sequence[Tensor], axes: Axes, held: Mapping[str, Range]) -> None:
        """Compare answers, and passes with the same draws: of several rows, passes and free sizes.

        Parameters
        ----------
        rows, axes
            Example inputs, and the names of their free sizes.
        held
            The range of each free size, by name.
        """
        shapes = self._runs.shapes()
        for count in sorted({1, *self._counts()[-2:]}):  # two that differ from each other and from the passes
            samples = [passes for rows_of_run, passes in shapes if rows_of_run == count]
            tensors, what = self._runs.tensors(count), f"{count} rows"
            self.prediction(tensors, self._runs.predict(count), what)
            self._passes(tensors, samples, partial(self._runs.passes, count), what)
        for name, size in free_sizes(rows, axes).items():
            for other in held[name].some(size):
                tensors = [tensor[:2] for tensor in resized(rows, axes, name, other)]
                if runs_on(self._evaluated, tensors):  # on other sizes, the service refuses the request
                    self._other_size(tensors, name, other)

    def _counts(self) -> list[int]:
        return sorted({count for count, _ in self._runs.shapes() if count <= _MOST_ROWS})

    def _other_size(self, tensors: Sequence[Tensor], name: str, size: int) -> None:
        inputs, what = self._runs.named(tensors), f"rows with a {name} of {size}"
        try:
            self.prediction(tensors, self._predictor.predict(inputs), what)
            self._passes(tensors, [2], partial(self._made, inputs, seed=SEED), what)
        except ExportError:
            raise
        except Exception as error:  # the engine's and PyTorch's errors have no other base class
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise ExportError(
                f"the graphs do not run on {what}, unlike the PyTorch network: {reason}. Leave {name} out of "
                "the free sizes"
            ) from error

    def _made(self, inputs: Inputs, samples: int, seed: int) -> NDArray[np.floating]:
        """Make passes as a service does, in several runs if they are large."""
        return np.concatenate(list(self._predictor.passes(inputs, samples, seed)))

    def prediction(self, tensors: Sequence[Tensor], found: NDArray[np.floating], what: str) -> None:
        """Compare answers without dropout."""
        with torch.no_grad():
            outputs = self._evaluated(*tensors).numpy()
        expected = torch.from_numpy(self._predictor.task.point(outputs))
        self._compare_each(found, expected, f"predict.onnx on {what}", 1)

    def _passes(
        self,
        tensors: Sequence[Tensor],
        samples: Sequence[int],
        found: Callable[[int], NDArray[np.floating]],
        what: str,
    ) -> None:
        """Compare runs of several numbers of passes; the loop over PyTorch's passes runs once."""
        chosen = sizes(self._predictor.manifest.inputs, self._runs.named(tensors))
        values = [torch.from_numpy(draw(site, SEED, 0, max(samples), chosen)) for site in self._sites]
        expected = self._reference(tensors, values)
        for number in samples:
            place = f"passes.onnx on {what} x {number} passes"
            try:
                self._compare_each(found(number), expected[:number], place, 2)
            except ExportError as error:
                few = [value[:number] for value in values]
                raise ExportError(f"{error}. {self._first_differing_site(tensors, few)}") from None

    def _reference(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        return reference.passes(self._sampled, tensors, self._draws.raw(values, len(tensors[0])))

    def _first_differing_site(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> str:
        """Name the first site whose draws make a difference while all later sites keep every unit."""
        keeping = [
            value if site.rate is None else torch.ones_like(value)
            for site, value in zip(self._sites, values, strict=True)
        ]
        for number, site in enumerate(self._sites):
            mixed = [*values[: number + 1], *keeping[number + 1 :]]
            feed = {
                **self._runs.named(tensors),
                **{s.name: v.numpy() for s, v in zip(self._sites, mixed, strict=True)},
            }
            try:
                self._compare_each(self._predictor.run_passes(feed), self._reference(tensors, mixed), "", 2)
            except ExportError:
                return f"The difference begins at site {site.name} ({site.kind})"
        return "No single site makes a difference"

    def independence(self) -> None:
        """Compare each row alone with the same row among others."""
        count = self._counts()[-1]
        together = self._runs.passes(count, 1)
        for row in range(count):
            alone = self._runs.alone(row)
            try:
                self._compare_each(alone, torch.from_numpy(together[:, row : row + 1]), "", 2)
            except ExportError:
                raise ExportError(
                    f"row {row} of the example gets another answer alone than among {count} rows: "
                    "the network mixes the rows of a batch. Compute each row on its own"
                ) from None

    def moments(self) -> None:
        """Compare mean and variance of the passes over a row with those of PyTorch's own dropout.

        This is a statistical test, which is repeated once if it fails: it refuses a correct bundle with a
        probability of at most 1e-6. A small network makes 200 passes. A large one makes as many as fit a
        run, but at least 25: what these find is in `caveat.training.export.moments`. The draws themselves
        are compared exactly, by `caveat.training.export.laws`.
        """
        count = self._predictor.passes_at_once(self._runs.named(self._runs.tensors(1)))
        count = min(max(count, _LEAST_SAMPLES), _MOST_SAMPLES)
        tensors, ours = self._varying_row(count)
        at_once = _AT_ONCE if self._draws.per_row else 1
        for attempt in range(2):
            if attempt:
                ours = self._made(self._runs.named(tensors), count, SEED + attempt)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(SEED + attempt)
                theirs = reference.sample(self._sampled, tensors, count, at_once).numpy()
            # Each of several targets has its own scale, which must not hide another target.
            size = np.abs(theirs).max(axis=0 if self._by_target else None).ravel()
            blur = TOLERANCE * size.astype(np.float64)
            if not differ(ours.reshape(count, -1), theirs.reshape(count, -1), blur=blur):
                return
        raise ExportError(
            "mean or variance of the passes differ from those of the network's own dropout. "
            "Please report this network: it shows a fault in Caveat"
        )

    def _varying_row(self, samples: int) -> tuple[list[Tensor], NDArray[np.floating]]:
        """Find a row whose passes differ, with its passes.

        All units of a row may be 0, and a seed may keep every unit of a small network in all of its passes.
        """
        rows_and_seeds = [(row, SEED) for row in range(_MOST_ROWS)]
        for row, seed in rows_and_seeds + [(0, SEED + more) for more in range(1, _MOST_SEEDS)]:
            tensors = [tensor[row:] for tensor in self._runs.tensors(row + 1)]
            ours = self._made(self._runs.named(tensors), samples, seed)
            if (ours != ours[0]).any():
                return tensors, ours
        raise ExportError(
            "all passes over the example are equal: no draw reaches the output. "
            "Check that the served output depends on the sites"
        )

    def _compare_each(self, found: NDArray[np.floating], expected: Tensor, what: str, axis: int) -> None:
        """Compare outputs; several targets, which lie along ``axis``, are compared one by one."""
        if not self._by_target:
            _compare(found, expected, what, self._spreads[0])
            return
        _compare_shapes(found, expected, what)
        parts = np.moveaxis(found, axis, 0), expected.unbind(axis)
        for name, spread, ours, theirs in zip(self._targets, self._spreads, *parts, strict=True):
            _compare(ours, theirs, f"{what}, target {name}", spread)


def _compare_shapes(found: NDArray[np.floating], expected: Tensor, what: str) -> None:
    if found.shape != expected.shape:
        raise ExportError(f"{what}: gives shape {found.shape}, the PyTorch network {tuple(expected.shape)}")


def _compare(found: NDArray[np.floating], expected: Tensor, what: str, spread: float) -> None:
    """Refuse a difference above the tolerance, relative to the spread of these or of all outputs."""
    truth = expected.numpy()
    _compare_shapes(found, expected, what)
    if not np.isfinite(truth).all():
        raise ExportError(
            f"{what}: the PyTorch network gives numbers that are not finite. Guard what may fail once units "
            "are dropped, such as a division by a sum that may be 0"
        )
    largest = float(np.abs(truth).max())
    # The tolerance is relative to the spread of the outputs, so that a large offset hides no difference;
    # but it is no finer than the rounding of the outputs.
    spread = max(float(np.ptp(truth)), spread) or largest
    allowed = TOLERANCE * spread + _ROUNDINGS * float(np.finfo(truth.dtype).eps) * largest
    difference = float(np.abs(found - truth).max())
    if not difference <= allowed:
        raise ExportError(
            f"{what}: differs from the PyTorch network by {difference:.1e}; at most {allowed:.1e} is allowed"
        )
