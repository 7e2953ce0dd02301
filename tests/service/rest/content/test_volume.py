import numpy as np
import pytest

from caveat.models.bundles.manifest import Cost
from caveat.models.bundles.signature import Input
from caveat.service.rest.content.volume import refuse_too_large_rows
from caveat.service.rest.problems import RequestError
from tests.bundles import tabular

TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"))


def test_a_row_for_which_the_network_would_need_gigabytes_is_refused() -> None:
    manifest = tabular().manifest.model_copy(
        update={"inputs": (TOKENS,), "cost": Cost(row="300*length", row_pass="100*length", mask=3)}
    )
    refuse_too_large_rows(manifest, {"tokens": np.zeros((9, 1000), np.int64)})
    with pytest.raises(RequestError, match=r"a length of 1000000 take about 1,526 MiB each"):
        refuse_too_large_rows(manifest, {"tokens": np.zeros((1, 1_000_000), np.int64)})
