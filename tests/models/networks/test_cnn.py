import pytest
import torch
from torch import nn

from caveat.models.errors import CaveatError
from caveat.models.networks.cnn import CNN


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 9, 4)])
def test_images_with_or_without_channels_become_logits(shape: tuple[int, ...]) -> None:
    network = CNN(shape, 5, hidden=(4, 6), dropout=(0.5,))
    assert network(torch.zeros(7, *shape)).shape == (7, 5)


@pytest.mark.parametrize("rows", [1, 7])
def test_a_single_output_has_no_axis(rows: int) -> None:
    assert CNN((4, 4), None, hidden=(4,), dropout=(0.5,))(torch.zeros(rows, 4, 4)).shape == (rows,)


def test_a_channel_is_dropped_as_a_whole() -> None:
    network = CNN((8, 8), 2, hidden=(64,), dropout=(0.5,))
    maps = network.layers[:4](torch.rand(1, 1, 8, 8) + 1)[0].flatten(1)
    dropped = (maps == 0).all(dim=1)
    assert 10 < dropped.sum() < 54
    assert (maps[~dropped] != 0).any(dim=1).all()


def test_rates_start_with_the_inputs_pixels() -> None:
    network = CNN((8, 8), 2, hidden=(4, 6), dropout=(0.2, 0.0, 0.4))
    kinds = [
        (type(part), part.p) for part in network.modules() if isinstance(part, nn.Dropout | nn.Dropout2d)
    ]
    assert kinds == [(nn.Dropout, 0.2), (nn.Dropout2d, 0.4)]


def test_the_smallest_image_trains_on_a_single_row() -> None:
    network = CNN((4, 5), 2, hidden=(4, 6), dropout=(0.5,)).train()
    network(torch.rand(1, 4, 5)).sum().backward()
    with pytest.raises(CaveatError, match=r"3 x 5 pixels .* for 2 convolutions.* expected at least 4 pixels"):
        CNN((3, 5), 2, hidden=(4, 6), dropout=(0.5,))
