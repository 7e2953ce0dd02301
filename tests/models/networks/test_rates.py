import pytest

from caveat.models.errors import CaveatError
from caveat.models.networks.rates import layer_rates


def test_one_rate_applies_to_every_hidden_layer_and_not_to_the_input() -> None:
    assert layer_rates((0.3,), layers=2) == (0.0, 0.3, 0.3)


def test_rates_of_each_layer_start_with_the_input() -> None:
    assert layer_rates([0.2, 0.5, 0.4], layers=2) == (0.2, 0.5, 0.4)


@pytest.mark.parametrize("dropout", [(), (0.1, 0.2), (0.1, 0.2, 0.3, 0.4)])
def test_another_number_of_rates_is_refused(dropout: tuple[float, ...]) -> None:
    with pytest.raises(
        CaveatError, match=f"{len(dropout)} dropout rates for 2 hidden layers; expected 1, or 3"
    ):
        layer_rates(dropout, layers=2)
