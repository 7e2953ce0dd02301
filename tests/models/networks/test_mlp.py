import pytest
import torch
from torch import nn

from caveat.models.errors import CaveatError
from caveat.models.networks.mlp import MLP


def rates(network: nn.Module) -> list[float]:
    return [module.p for module in network.modules() if isinstance(module, nn.Dropout)]


def test_one_rate_applies_to_every_hidden_layer_and_not_to_the_input() -> None:
    assert rates(MLP((4,), 3, hidden=(8, 8), dropout=(0.3,))) == [0.3, 0.3]


def test_rates_of_each_layer_start_with_the_input() -> None:
    network = MLP((4,), 3, hidden=(8, 6), dropout=(0.2, 0.5, 0.4))
    assert rates(network) == [0.2, 0.5, 0.4]
    assert isinstance(network.layers[1], nn.Dropout)


def test_a_rate_of_zero_makes_no_dropout() -> None:
    assert rates(MLP((4,), 3, hidden=(8, 6), dropout=(0.0, 0.0, 0.4))) == [0.4]


@pytest.mark.parametrize("dropout", [(), (0.1, 0.2), (0.1, 0.2, 0.3, 0.4)])
def test_another_number_of_rates_is_refused(dropout: tuple[float, ...]) -> None:
    with pytest.raises(
        CaveatError, match=f"{len(dropout)} dropout rates for 2 hidden layers; expected 1, or 3"
    ):
        MLP((4,), 3, hidden=(8, 8), dropout=dropout)


def test_rows_of_any_shape_become_logits() -> None:
    assert MLP((2, 3, 4), 5, hidden=(8,), dropout=(0.5,))(torch.zeros(7, 2, 3, 4)).shape == (7, 5)


@pytest.mark.parametrize("rows", [1, 7])
def test_a_single_output_has_no_axis(rows: int) -> None:
    assert MLP((3,), None, hidden=(8,), dropout=(0.5,))(torch.zeros(rows, 3)).shape == (rows,)


def test_the_network_is_relu_layers() -> None:
    network = MLP((3,), 2, hidden=(4,), dropout=(0.5,)).eval()
    rows = torch.randn(5, 3)
    first, last = (network.layers.get_submodule(name) for name in ("hidden1", "output"))
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    expected = (rows @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(network(rows), expected)
