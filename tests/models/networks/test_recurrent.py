import pytest
import torch
from torch import nn

from caveat.models.networks.recurrent import Recurrent, StepsDropout

CELLS = pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])


@CELLS
def test_sequences_of_any_length_become_logits(cell: type[nn.LSTM]) -> None:
    network = Recurrent(cell, (6, 3), 5, hidden=(8, 4), dropout=(0.5,))
    for length in (1, 6, 11):
        assert network(torch.zeros(7, length, 3)).shape == (7, 5)


@CELLS
@pytest.mark.parametrize("rows", [1, 7])
def test_a_single_output_has_no_axis(cell: type[nn.LSTM], rows: int) -> None:
    assert Recurrent(cell, (6, 3), None, hidden=(8,), dropout=(0.5,))(torch.zeros(rows, 6, 3)).shape == (
        rows,
    )


def test_a_feature_is_dropped_at_every_step_or_at_none() -> None:
    kept = StepsDropout(0.5)(torch.ones(4, 9, 50)) != 0
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert 60 < kept[:, 0].sum() < 140
    assert not torch.equal(kept[0, 0], kept[1, 0])


@CELLS
def test_the_network_equals_the_last_step_of_pytorchs_stacked_layers(cell: type[nn.LSTM]) -> None:
    network = Recurrent(cell, (6, 3), 2, hidden=(8, 8), dropout=(0.5,)).eval()
    stacked = cell(3, 8, num_layers=2, batch_first=True)
    weights = {
        name.replace("l0", f"l{layer}"): weight
        for layer, part in enumerate(network.layers)
        for name, weight in part.state_dict().items()
    }
    stacked.load_state_dict(weights)
    rows = torch.randn(5, 6, 3)
    torch.testing.assert_close(network(rows), network.output(stacked(rows)[0][:, -1]))


def test_rates_start_with_the_inputs_features() -> None:
    network = Recurrent(nn.GRU, (6, 3), 2, hidden=(8, 4), dropout=(0.1, 0.2, 0.3))
    assert [part.p for part in network.modules() if isinstance(part, nn.Dropout1d | nn.Dropout)] == [
        0.1,
        0.2,
        0.3,
    ]
