from typing import Any

import numpy as np
import pytest

from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.service.desk.versions.predictors import predictor
from caveat.service.settings import Settings

DIGITS = load(find(BUNDLED / "digits"))


@pytest.mark.parametrize(("default_seed", "asked", "ahead"), [(0, 0, True), (7, 7, True), (7, 0, False)])
def test_ordinary_requests_get_passes_with_thinned_weights(
    monkeypatch: pytest.MonkeyPatch, default_seed: int, asked: int, ahead: bool
) -> None:
    made = predictor(DIGITS, Settings(default_seed=default_seed))
    rows = {"image": np.random.default_rng(0).uniform(0, 16, (3, 8, 8)).astype(np.float32)}
    expected = estimate(Predictor(DIGITS), rows, 100, asked)
    with_draws: list[Any] = []
    run = Predictor.run_passes

    def counted(*of: Any) -> Any:
        with_draws.append(of)
        return run(*of)

    monkeypatch.setattr(Predictor, "run_passes", counted)
    found = estimate(made, rows, 100, asked)
    assert len(with_draws) == (0 if ahead else 1)
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column, strict=True)
