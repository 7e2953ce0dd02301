import pytest

from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression


def test_a_missing_provider_is_refused_with_the_available_ones() -> None:
    with pytest.raises(CaveatError, match=r"no CUDAExecutionProvider here; it has .*CPUExecutionProvider"):
        Predictor(linear_regression(), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
