"""What tests of several packages share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caveat.models.bundles import store
from tests.bundles import linear_regression, tabular
from tests.service.serving import Service, serving

collect_ignore = ["toy", "mounted.py"]  # what they define is for processes of their own


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store with a regression, and two versions of a classification."""
    folder = tmp_path_factory.mktemp("store")
    for bundle in (linear_regression(), tabular(), tabular(rate=0.25)):
        store.add(folder, bundle)
    return folder


@pytest.fixture(scope="session")
def service(bundles: Path) -> Iterator[Service]:
    limits = ("--max-rows", "100", "--max-samples", "1000", "--max-bytes", "100000")
    with serving(bundles, "--default-model", "tabular", *limits) as running:
        yield running
