"""Sessions of ONNX Runtime: what they refuse, and what they keep."""

import os
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.store import BUNDLED
from caveat.models.engines import onnx_runtime
from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression


def test_a_missing_provider_is_refused_with_the_available_ones() -> None:
    with pytest.raises(CaveatError, match=r"no CUDAExecutionProvider here; it has .*CPUExecutionProvider"):
        Predictor(linear_regression(), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))


def test_what_the_largest_run_took_is_returned_by_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next run after a while; the bits of its output stay."""
    predictor = Predictor(store.load(BUNDLED / "digits"), threads=1)
    (spec,) = predictor.manifest.inputs
    rows = np.random.default_rng(0).integers(0, 16, (4096, 8, 8)).astype(np.float32)
    one = {spec.name: rows[:1]}
    before = list(predictor.passes(one, 30, 0))
    small = resident()
    list(predictor.passes({spec.name: rows}, 30, 0))
    large = resident()
    assert large > small + 10e6
    list(predictor.passes(one, 30, 0))
    assert resident() > large - 5e6
    monkeypatch.setattr(onnx_runtime, "monotonic", lambda: monotonic() + 11)
    after = list(predictor.passes(one, 30, 0))
    assert resident() < small + (large - small) / 2
    np.testing.assert_array_equal(np.concatenate(after), np.concatenate(before))


def resident() -> int:
    """Give the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
