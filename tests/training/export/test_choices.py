"""The choice of random sites and their rates."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.predictor import Predictor
from caveat.training.export.export import export

ROWS = torch.rand(3, 6)


def network(first: float = 0.2, second: float = 0.4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.ReLU(),
        nn.Dropout(first),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Dropout(second),
        nn.Linear(8, 2),
    )


def exported(module: nn.Module, **options: Any) -> Bundle:
    return export(module, ROWS, task="classification", outputs="logits", name="chosen", **options)


@pytest.mark.parametrize(
    ("module", "options", "sites"),
    [
        (network(), {}, [("2", 0.2, True), ("5", 0.4, True)]),
        (network(), {"sites": ["last"]}, [("5", 0.4, True)]),
        (network(), {"sites": ["[12]"]}, [("2", 0.2, True)]),
        (network(), {"sites": ["2", "last"]}, [("2", 0.2, True), ("5", 0.4, True)]),
        (network(), {"rates": {"5": 0.1}}, [("2", 0.2, True), ("5", 0.1, False)]),
        (network(), {"rates": {"5": 0.4}}, [("2", 0.2, True), ("5", 0.4, True)]),
        (network(), {"rates": {"5": 0.0}}, [("2", 0.2, True)]),
        (network(0.0), {"rates": {"2": 0.3}}, [("2", 0.3, False), ("5", 0.4, True)]),
        (
            network(0.0, 0.0),
            {"insert": {"relu": 0.1}},
            [("1.dropout", 0.1, False), ("4.dropout", 0.1, False)],
        ),
        (network(0.0, 0.0), {"insert": {"4": 0.1}}, [("4.dropout", 0.1, False)]),
        (
            network(0.0, 0.0),
            {"insert": {"relu": 0.1}, "sites": ["last"]},
            [("4.dropout", 0.1, False)],
        ),
    ],
    ids=lambda value: "" if isinstance(value, nn.Module) else str(value),
)
def test_the_manifest_records_the_chosen_sites(
    module: nn.Module, options: dict[str, Any], sites: list[Any]
) -> None:
    manifest = exported(module, **options).manifest
    assert [(site.name, site.rate, site.trained) for site in manifest.sites] == sites


def test_a_changed_rate_equals_a_network_with_that_rate() -> None:
    rows = {"x": ROWS.numpy()}
    changed, made = exported(network(), rates={"2": 0.5, "5": 0.1}), exported(network(0.5, 0.1))
    ours, theirs = (
        np.concatenate(list(Predictor(bundle).passes(rows, 9, seed=3))) for bundle in (changed, made)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_an_inserted_dropout_equals_a_network_with_that_dropout() -> None:
    rows = {"x": ROWS.numpy()}
    inserted = exported(network(0.0, 0.0), insert={"1": 0.3, "4": 0.3})
    made = exported(network(0.3, 0.3))
    np.testing.assert_array_equal(Predictor(inserted).predict(rows), Predictor(made).predict(rows))
    for ours, theirs in zip(inserted.manifest.sites, made.manifest.sites, strict=True):
        assert (ours.rate, ours.shape, ours.law) == (theirs.rate, theirs.shape, theirs.law)


def test_the_exported_network_keeps_its_own_rates() -> None:
    module = network()
    exported(module, rates={"*": 0.7}, insert={"relu": 0.1})
    assert [part.p for part in module if isinstance(part, nn.Dropout)] == [0.2, 0.4]
