import pytest

from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression


def test_a_provider_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(CaveatError, match=r"no CUDAExecutionProvider here; it has .*CPUExecutionProvider"):
        Predictor(linear_regression(), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
