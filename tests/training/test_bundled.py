import numpy as np
import pytest

from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.data.bundled import BUNDLED as DATA
from caveat.training.data.dataset import split
from caveat.training.options import Options
from caveat.training.train import train


@pytest.mark.slow
def test_the_bundled_model_trained_again_predicts_the_same() -> None:
    """`make bundled` gives the model that ships, up to differences in rounding between processors."""
    shipped = load(find(BUNDLED / "digits"))
    data, options = DATA["digits"](), Options()
    made = train(data, options)
    inputs = {"image": split(data, options.test_size, options.seed).test.x}
    expected, found = (estimate(Predictor(bundle), inputs, 100, seed=0) for bundle in (shipped, made))
    assert (expected["label"] == found["label"]).mean() >= 0.99
    np.testing.assert_allclose(found["mean"], expected["mean"], atol=0.05)
    stated = made.manifest.model_dump(exclude={"files", "metrics", "provenance"})
    assert stated == shipped.manifest.model_dump(exclude={"files", "metrics", "provenance"})
    assert made.manifest.metrics == pytest.approx(shipped.manifest.metrics, abs=0.02)
