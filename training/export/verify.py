"""The self-test of every bundle: its graphs are compared with the PyTorch network."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.draws.masks import draw
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export import reference
from caveat.training.export.draw_inputs import DrawInputs
from caveat.training.export.moments import differ
from caveat.training.export.sizes import Axes, free_sizes, resized, runs
from caveat.training.tasks import tasks

TOLERANCE = 1e-4
"""Largest allowed difference, relative to the spread of the outputs."""

_ROUNDINGS = 8  # units in the last place by which two computations of an output may differ

PASSES_TESTED = (1, 2, 7)
ROWS_TESTED = (1, 2, 5)
_SAMPLE = 200
_AT_ONCE = 25  # samples of PyTorch's own dropout
_SEED = 0


def verify(
    bundle: Bundle,
    evaluated: nn.Module,
    sampled: nn.Module,
    rows: Sequence[Tensor],
    axes: Axes,
    draws: DrawInputs,
) -> None:
    """Compare a bundle with the network that it was made from.

    Checks the deterministic outputs and the passes with the same draws, for several numbers of rows and
    passes, and for several values of each free size; that a row's answer does not depend on the other
    rows; that passes differ; and that their mean and variance equal those of PyTorch's own dropout.
    The last check is a statistical test, which is repeated once if it fails: it refuses a correct bundle
    with a probability of at most 1e-6.

    Parameters
    ----------
    bundle
        The bundle.
    evaluated, sampled
        The network in eval mode, and the network with its dropout on.
    rows, axes
        Example inputs to compare on, and the names of their free sizes.
    draws
        The draws of the bundle's sites.

    Raises
    ------
    ExportError
        Naming the output that differs; for passes, also the first site with which they differ.
    """
    check = _Check(Predictor(bundle), evaluated, sampled, draws, rows)
    for count in ROWS_TESTED:
        tensors = [tensor[torch.arange(count) % len(tensor)] for tensor in rows]
        check.prediction(tensors, f"{count} rows")
        for samples in PASSES_TESTED:
            check.passes(tensors, samples, f"{count} rows x {samples} passes")
    for name, size in free_sizes(rows, axes).items():
        for other in (1, 2 * size + 1):
            tensors = [tensor[:2] for tensor in resized(rows, axes, name, other)]
            if runs(evaluated, tensors):  # on other sizes, the service refuses the request
                check.prediction(tensors, f"rows with a {name} of {other}")
                check.passes(tensors, 2, f"rows with a {name} of {other}")
    check.independence([tensor[torch.arange(5) % len(tensor)] for tensor in rows])
    check.moments([tensor[:1] for tensor in rows])


class _Check:
    def __init__(
        self,
        predictor: Predictor,
        evaluated: nn.Module,
        sampled: nn.Module,
        draws: DrawInputs,
        rows: Sequence[Tensor],
    ) -> None:
        self.predictor = predictor
        self._evaluated = evaluated
        self._sampled = sampled
        self._draws = draws
        self._sites = predictor.manifest.sites
        with torch.no_grad():
            # The spread over rows: two passes over one row may differ by less than the rounding of float32.
            output = evaluated(*rows).numpy()
        points = predictor.task.point(output)
        self._by_target = predictor.task.own_units
        self._targets = tasks.of(predictor.manifest).targets(predictor.manifest)
        self._spreads = np.ptp(points.reshape(len(points), -1), axis=0).tolist()

    def named(self, tensors: Sequence[Tensor]) -> Inputs:
        names = (spec.name for spec in self.predictor.manifest.inputs)
        return {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}

    def prediction(self, tensors: Sequence[Tensor], what: str) -> None:
        with torch.no_grad():
            outputs = self._evaluated(*tensors).numpy()
        expected = torch.from_numpy(self.predictor.task.point(outputs))
        self._compare_each(
            self.predictor.predict(self.named(tensors)), expected, f"predict.onnx on {what}", 1
        )

    def passes(self, tensors: Sequence[Tensor], samples: int, what: str) -> None:
        inputs = self.named(tensors)
        chosen = sizes(self.predictor.manifest.inputs, inputs)
        values = [torch.from_numpy(draw(site, _SEED, 0, samples, chosen)) for site in self._sites]
        found = np.concatenate(list(self.predictor.passes(inputs, samples, _SEED)))
        try:
            self._compare_each(found, self._reference(tensors, values), f"passes.onnx on {what}", 2)
        except ExportError as error:
            raise ExportError(f"{error}. {self._first_differing_site(tensors, values)}") from None

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
                **self.named(tensors),
                **{s.name: v.numpy() for s, v in zip(self._sites, mixed, strict=True)},
            }
            try:
                self._compare_each(self.predictor.run_passes(feed), self._reference(tensors, mixed), "", 2)
            except ExportError:
                return f"The difference begins at site {site.name} ({site.kind})"
        return "No single site makes a difference"

    def independence(self, tensors: Sequence[Tensor]) -> None:
        inputs = self.named(tensors)
        together = np.concatenate(list(self.predictor.passes(inputs, 2, _SEED)))
        for row in range(len(tensors[0])):
            one = {name: array[row : row + 1] for name, array in inputs.items()}
            alone = np.concatenate(list(self.predictor.passes(one, 2, _SEED)))
            try:
                self._compare_each(alone, torch.from_numpy(together[:, row : row + 1]), "", 2)
            except ExportError:
                raise ExportError(
                    f"row {row} of the example gets another answer alone than among {len(tensors[0])} rows: "
                    "the network mixes the rows of a batch. Compute each row on its own"
                ) from None

    def moments(self, tensors: Sequence[Tensor]) -> None:
        ours = np.concatenate(list(self.predictor.passes(self.named(tensors), _SAMPLE, _SEED)))[:, 0]
        if (ours == ours[0]).all():
            raise ExportError(
                "all passes over the example are equal: no draw reaches the output. "
                "Check that the served output depends on the sites"
            )
        at_once = _AT_ONCE if self._draws.per_row else 1
        for attempt in range(2):
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(_SEED + attempt)
                theirs = reference.sample(self._sampled, tensors, _SAMPLE, at_once).numpy()
            # Each of several targets has its own scale, which must not hide another target.
            size = np.abs(theirs).max(axis=0 if self._by_target else None).ravel()
            blur = TOLERANCE * size.astype(np.float64)
            if not differ(ours.reshape(_SAMPLE, -1), theirs.reshape(_SAMPLE, -1), blur=blur):
                return
            ours = np.concatenate(list(self.predictor.passes(self.named(tensors), _SAMPLE, _SEED + 1)))[:, 0]
        raise ExportError(
            "mean or variance of the passes differ from those of the network's own dropout. "
            "Please report this network: it shows a fault in Caveat"
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
