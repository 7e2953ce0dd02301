"""Exact checks of the draws: what a bundle states of its sites, what PyTorch draws, what the bundle draws."""

import math
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm
from torch import Tensor, nn

from caveat.models.bundles.manifest import Site
from caveat.models.draws.masks import Sampler, draw
from caveat.training.errors import ExportError
from caveat.training.export import reference
from caveat.training.export.draw_inputs import DrawInputs
from caveat.training.export.reference import Drawn

FALSE_ALARM = 1e-12
"""Largest chance that correct draws of a site are refused; each of two bounds has half of it."""

_DRAWS = 2**20
"""Draws of a site to look at; with more units in a pass, one pass."""

_ROUNDING = 1e-6
_REPORT = "Please report this network: it shows a fault in Caveat"


def draws_as_stated(sampled: nn.Module, rows: Sequence[Tensor], draws: DrawInputs) -> None:
    """Refuse sites that state another law, rate or shape than that of PyTorch's own draws.

    One run of the network tells all of it exactly, such as whether every row has its own draws.

    Raises
    ------
    ExportError
        Naming the site.
    """
    found = reference.drawn(sampled, rows)
    if len(found) != len(draws.sites):
        raise ExportError(
            f"the network draws {len(found)} times at random, its captured graph {len(draws.sites)} times; "
            "the number of draws must be the same in every run"
        )
    for site, drawn, shape in zip(draws.sites, found, draws.of_torch(len(rows[0])), strict=True):
        expected = _expected(site, shape)
        if not _alike(drawn, expected):
            raise ExportError(
                f"site {site.name} ({site.kind}) states {_words(expected)}; PyTorch draws {_words(drawn)}. "
                f"{_REPORT}"
            )


def _expected(site: Site, shape: tuple[int, ...]) -> Drawn:
    if site.law in ("keep", "bernoulli"):
        return Drawn("bernoulli", 1 - (site.rate or 0.0), shape)
    return Drawn("normal" if site.law == "normal" else "uniform", None, shape)


def _alike(drawn: Drawn, expected: Drawn) -> bool:
    if (drawn.law, drawn.shape) != (expected.law, expected.shape):
        return False
    return math.isclose(drawn.chance or 0.0, expected.chance or 0.0, abs_tol=_ROUNDING)


def _words(drawn: Drawn) -> str:
    chance = "" if drawn.chance is None else f" of {drawn.chance:g}"
    return f"{drawn.law} draws{chance} of shape {drawn.shape}"


def draws_as_drawn_here(sites: Sequence[Site], chosen: Mapping[str, int]) -> None:
    """Refuse sites whose draws, as a service makes them, do not follow their law.

    Parameters
    ----------
    sites
        The sites.
    chosen
        Values of the free sizes.
    """
    for site in sites:
        units = math.prod(site.shape_at(chosen))
        passes = max(1, _DRAWS // units)
        for sampler in get_args(Sampler):
            if not follows_its_law(site, draw(site, 0, 0, passes, chosen, sampler)):
                raise ExportError(
                    f"the {sampler} draws of site {site.name} do not follow its law, {site.law}. {_REPORT}"
                )


def follows_its_law(site: Site, values: NDArray[np.generic]) -> bool:
    """Tell whether the draws of a site may come from the law that it states.

    Correct independent draws are refused with a chance of at most `FALSE_ALARM`; stratified ones, which
    spread less, with a smaller one. A kept fraction of many draws that is
    off by 15 standard deviations, ``sqrt(rate * (1 - rate) / n)`` for n draws, is found as surely.

    Parameters
    ----------
    site
        The site.
    values
        Its draws, of any shape.
    """
    count, tail = values.size, FALSE_ALARM / 2
    if site.law in ("keep", "bernoulli"):
        kept, chance = np.count_nonzero(values), 1 - (site.rate or 0.0)
        return bool(binom.cdf(kept, count, chance) > tail and binom.sf(kept - 1, count, chance) > tail)
    numbers = values.astype(np.float64)
    if site.law == "uniform":  # Hoeffding's inequality, for the mean and the mean square of numbers in [0, 1]
        most = math.sqrt(math.log(4 / FALSE_ALARM) / (2 * count))
        within = bool(((numbers >= 0) & (numbers <= 1)).all())
        return within and bool(abs(numbers.mean() - 1 / 2) < most and abs((numbers**2).mean() - 1 / 3) < most)
    mean, square = abs(numbers.sum()) / math.sqrt(count), float((numbers**2).sum())
    return bool(
        2 * norm.sf(mean) > tail and chi2.cdf(square, count) > tail / 2 and chi2.sf(square, count) > tail / 2
    )
