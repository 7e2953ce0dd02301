import math

import pytest
import torch
from torch import nn

from caveat.models.errors import CaveatError
from caveat.models.networks.transformer import Positions, Transformer


@pytest.mark.parametrize("width", [1, 6, 7, 8])
def test_sequences_of_any_length_become_logits(width: int) -> None:
    network = Transformer((6, 3), 5, hidden=(width, width), dropout=(0.5,))
    for length in (1, 6, 11):
        assert network(torch.zeros(7, length, 3)).shape == (7, 5)


@pytest.mark.parametrize("rows", [1, 7])
def test_a_single_output_has_no_axis(rows: int) -> None:
    assert Transformer((6, 3), None, hidden=(8,), dropout=(0.5,))(torch.zeros(rows, 6, 3)).shape == (rows,)


def test_positions_are_sines_and_cosines() -> None:
    found = Positions(4)(torch.ones(1, 3, 4))[0, 2]
    expected = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    torch.testing.assert_close(found, 1 + torch.tensor(expected))


def test_the_order_of_the_steps_matters() -> None:
    network = Transformer((6, 3), 2, hidden=(8,), dropout=(0.5,)).eval()
    rows = torch.randn(5, 6, 3)
    assert not torch.allclose(network(rows), network(rows.flip(1)), atol=1e-3)


def test_rates_start_with_the_projected_input() -> None:
    network = Transformer((6, 3), 2, hidden=(8, 8), dropout=(0.1, 0.2, 0.3))
    assert network.dropout.p == 0.1
    for layer, rate in zip(network.layers, (0.2, 0.3), strict=True):
        assert isinstance(layer, nn.TransformerEncoderLayer)
        assert layer.self_attn.dropout == rate
        assert {part.p for part in layer.modules() if isinstance(part, nn.Dropout)} == {rate}


def test_layers_of_several_widths_are_refused() -> None:
    with pytest.raises(CaveatError, match="layers of 8, 4 units; a transformer has one width in all layers"):
        Transformer((6, 3), 2, hidden=(8, 4), dropout=(0.5,))
