import pytest
import torch
from torch import nn

from caveat.models.networks.mlp import MLP
from caveat.training.architecture import ARCHITECTURES
from caveat.training.processor import Processor, suited, work
from caveat.training.vocabulary import NetworkName


def test_threads_are_restored_after_a_block_and_after_a_failure() -> None:
    before = torch.get_num_threads()
    with Processor(before + 1).used() as device:
        assert torch.get_num_threads() == before + 1
        assert device == torch.device("cpu")
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="no"), Processor(before + 1).used():
        raise ValueError("no")
    assert torch.get_num_threads() == before


def test_a_gpu_gets_the_same_sums_in_every_run() -> None:
    with Processor(device="cuda").used():
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.deterministic


def test_the_work_of_a_batch_is_that_of_its_products() -> None:
    network = MLP((13,), None, (128, 64), (0.5,)).train()
    row = torch.zeros(1, 13)
    before = torch.random.get_rng_state()
    assert work(network, row, 100) == 100 * 2 * (13 * 128 + 128 * 64 + 64)
    assert network.training
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", ["cnn", "gru", "transformer"])
def test_the_work_of_a_row_grows_with_its_size(name: NetworkName) -> None:
    architecture = ARCHITECTURES[name]
    found = []
    for shape in ((8, 8), (32, 8)):
        network: nn.Module = architecture.build(shape, 2, architecture.hidden, (architecture.dropout,))
        found.append(work(network, torch.zeros(1, *shape), 32))
    assert 3 < found[1] / found[0] < 6
    assert found[0] > 32 * 8 * sum(value.numel() for value in network.parameters())


def test_small_steps_have_one_thread_whatever_the_machine() -> None:
    digits = work(MLP((8, 8), 10, (128,), (0.5,)), torch.zeros(1, 8, 8), 32)
    assert suited(digits, threads=64, gpu=True) == Processor()
    large = work(MLP((784,), 10, (1024, 1024), (0.5,)), torch.zeros(1, 784), 1024)
    assert suited(large, threads=64, gpu=False) == Processor(64)
    assert suited(large, threads=64, gpu=True).device == "cuda"
