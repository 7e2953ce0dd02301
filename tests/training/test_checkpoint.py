"""Weights in the forms that people have them in."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from caveat.training.checkpoint import load_weights
from caveat.training.errors import ExportError


def network(width: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.2), nn.Linear(width, 2))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight


class Configured(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.config = {"scale": 1}

    def get_extra_state(self) -> dict[str, int]:
        return self.config

    def set_extra_state(self, state: Any) -> None:
        self.config = state


@pytest.fixture
def trained() -> nn.Sequential:
    torch.manual_seed(1)
    trained = network()
    nn.init.uniform_(trained.get_buffer("1.running_mean"))
    return trained


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def optimizer(module: nn.Module) -> dict[str, Any]:
    adam = torch.optim.Adam(module.parameters())
    module(torch.rand(4, 3)).sum().backward()
    adam.step()
    return adam.state_dict()


def assert_loaded(module: nn.Module, expected: nn.Module) -> None:
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=0, atol=0)


LOSS = {"loss.weight": torch.ones(2)}
OTHER = {"0.weight": torch.zeros(9, 9)}


@pytest.mark.parametrize(
    ("wrap", "label"),
    [
        (lambda s: s, ""),
        (lambda s: {"model_state_dict": s, "epoch": 3}, "model_state_dict"),
        (lambda s: {"state_dict": s, "arch": "resnet"}, "state_dict"),
        (lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)}, "model"),
        (lambda s: {"net": s, "best": np.float64(0.9), "history": np.arange(3)}, "net"),
        (lambda s: {"weights": {"model": s}}, "weights.model"),
        (lambda s: {"state_dict": under("model.", s), "loops": {}}, "state_dict.model"),
        (lambda s: {"state_dict": under("net.", s) | LOSS}, "state_dict.net"),
        (lambda s: under("module.", s), "module"),
        (lambda s: under("_orig_mod.", s), ""),
        (lambda s: under("module._orig_mod.", s), "module"),
        (lambda s: under("_orig_mod.module.model.", s), "module.model"),
        (lambda s: {name.replace("0.", "0._orig_mod."): value for name, value in s.items()}, ""),
        (lambda s: {name.replace(".", ".module."): value for name, value in s.items()}, ""),
        (lambda s: {"model": s, "ema": s}, "model"),
        (lambda s: {"model": s, "previous": OTHER}, "model"),
        (lambda s: {name: value.numpy() for name, value in s.items()}, ""),
        (lambda s: {**s, "epoch": 3}, ""),
    ],
)
def test_weights_are_found_under_a_common_prefix(
    trained: nn.Sequential, tmp_path: Path, wrap: Callable[[Any], Any], label: str
) -> None:
    torch.save(wrap(trained.state_dict()), tmp_path / "net.ckpt")
    module = network()
    assert load_weights(module, tmp_path / "net.ckpt") == label
    assert_loaded(module, trained)


def test_an_optimizer_beside_the_weights_is_left_out(trained: nn.Sequential, tmp_path: Path) -> None:
    state = optimizer(trained)
    torch.save({"model_state_dict": trained.state_dict(), "optimizer_state_dict": state}, tmp_path / "a.pt")
    module = network()
    assert load_weights(module, tmp_path / "a.pt") == "model_state_dict"
    assert_loaded(module, trained)


def test_parts_of_a_network_may_be_saved_one_by_one(trained: nn.Sequential, tmp_path: Path) -> None:
    parts = {str(number): part.state_dict() for number, part in enumerate(trained)}
    torch.save({**parts, "optimizer": optimizer(network())}, tmp_path / "parts.pt")
    module = network()
    assert load_weights(module, tmp_path / "parts.pt") == ""
    assert_loaded(module, trained)


def test_averaged_weights_are_found(trained: nn.Sequential, tmp_path: Path) -> None:
    torch.save(AveragedModel(trained).state_dict(), tmp_path / "swa.pt")
    module = network()
    assert load_weights(module, tmp_path / "swa.pt") == "module"
    assert_loaded(module, trained)


def test_a_network_in_a_wrapper_takes_the_weights_of_what_it_wraps(
    trained: nn.Sequential, tmp_path: Path
) -> None:
    torch.save({"state_dict": under("model.", trained.state_dict())}, tmp_path / "net.pt")
    compiled: Any = torch.compile(network(), backend="eager")
    for wrapped in (nn.DataParallel(network()), compiled, nn.Sequential(network())):
        load_weights(wrapped, tmp_path / "net.pt")
        assert_loaded(next(iter(wrapped.children())), trained)


def test_several_weights_of_a_network_are_told_apart_by_a_key(trained: nn.Sequential, tmp_path: Path) -> None:
    other = network()
    torch.save({"model": trained.state_dict(), "model_ema": other.state_dict()}, tmp_path / "net.pt")
    module = network()
    with pytest.raises(ExportError, match=r"under model, model_ema; say which .* --weights-key model_ema"):
        load_weights(module, tmp_path / "net.pt")
    for key, expected in (("model", trained), ("model_ema", other)):
        assert load_weights(module, tmp_path / "net.pt", key) == key
        assert_loaded(module, expected)
    with pytest.raises(ExportError, match=r"--weights-key ema: .* under this key. The file holds model, mod"):
        load_weights(module, tmp_path / "net.pt", "ema")


def test_half_precision_and_old_names_are_read(tmp_path: Path) -> None:
    linear = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    norm = {f"layer.{name}": value.half() for name, value in linear.state_dict().items()}
    old = {
        "net.weight_g": norm["layer.parametrizations.weight.original0"],
        "net.weight_v": norm["layer.parametrizations.weight.original1"],
        "net.bias": norm["layer.bias"],
    }
    torch.save(old, tmp_path / "old.pt")
    module = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    assert load_weights(module, tmp_path / "old.pt") == "net"
    torch.testing.assert_close(module.weight, linear.weight, rtol=1e-2, atol=1e-3)


def test_a_tied_weight_is_saved_once(tmp_path: Path) -> None:
    tied, module = Tied(), Tied()
    save_file({"model.embed.weight": tied.embed.weight.detach()}, tmp_path / "tied.safetensors")
    assert load_weights(module, tmp_path / "tied.safetensors") == "model"
    assert_loaded(module, tied)


def test_what_a_module_keeps_beside_tensors_is_loaded(tmp_path: Path) -> None:
    saved = Configured()
    saved.config = {"scale": 4}
    torch.save({"model": saved.state_dict()}, tmp_path / "net.pt")
    save_file(dict(saved.layer.state_dict(prefix="layer.")), tmp_path / "net.safetensors")
    for file, scale in (("net.pt", 4), ("net.safetensors", 1)):
        module = Configured()
        load_weights(module, tmp_path / file)
        assert_loaded(module.layer, saved.layer)
        assert module.config == {"scale": scale}


def test_a_model_in_several_files_is_read_by_its_index(trained: nn.Sequential, tmp_path: Path) -> None:
    state = trained.state_dict()
    files = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(state)}
    for file in set(files.values()):
        save_file({name: value for name, value in state.items() if files[name] == file}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    module = network()
    load_weights(module, index)
    assert_loaded(module, trained)


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.ckpt", "a"])
def test_the_content_of_a_file_tells_its_format(trained: nn.Sequential, tmp_path: Path, name: str) -> None:
    for save in (save_file, torch.save):
        save(trained.state_dict(), tmp_path / name)
        module = network()
        load_weights(module, tmp_path / name)
        assert_loaded(module, trained)


def cut(save: Callable[..., Any], name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save(network().state_dict(), folder / name)
        (folder / name).write_bytes((folder / name).read_bytes()[:-300])
        return folder / name

    return make


def saved(what: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        torch.save(what, folder / "net.pt")
        return folder / "net.pt"

    return make


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def script(folder: Path) -> Path:
    torch.jit.trace(nn.Linear(3, 2), torch.rand(2, 3)).save(folder / "net.pt")
    return folder / "net.pt"


def folder_of_weights(folder: Path) -> Path:
    return cut(torch.save, "pytorch_model.bin")(folder).parent


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "said", "advised"),
    [
        (lambda folder: folder / "absent.pt", "no such file", "--weights"),
        (folder_of_weights, "is a folder", "in it: pytorch_model.bin"),
        (written("net.pt", b""), "is empty", "never written"),
        (cut(torch.save, "net.pt"), "damaged or cut short", "Copy it again"),
        (cut(save_file, "net.safetensors"), "damaged or cut short", "Copy or save it again"),
        (written("net.safetensors", b"\x08" + bytes(40)), "damaged or cut short", "Copy or save it again"),
        (written("net.pt", b"version https://git-lfs"), "neither a file of torch.save", "git lfs pull"),
        (written("config.json", b'{"layers": 3}'), "is JSON", "expected a file of torch.save"),
        (saved(network()), "torch.nn.modules.container.Sequential, which only code", "network.state_dict()"),
        (script, "TorchScript archive", "the nn.Module that it was made from"),
        (saved([torch.ones(3)]), "holds a list", "expected tensors by name"),
        (saved(torch.ones(3)), "holds a Tensor", "expected tensors by name"),
        (saved({"epoch": 3, "loss": 0.1}), "holds no tensors by name, but epoch, loss", "Save the weights"),
        (saved({}), "holds no tensors by name, but nothing", "Save the weights"),
        (
            saved({"optimizer": optimizer(network()), "epoch": 3}),
            "no weight of these names, such as optimizer.state.0",
            "The file holds optimizer, epoch",
        ),
        (
            saved({"model_state_dict": network(7).state_dict(), "epoch": 3}),
            "0.bias has shape (7,), the network's has (5,)",
            "under model_state_dict. The file holds model_state_dict, epoch",
        ),
        (
            saved({"net": network().state_dict() | {"4.weight": torch.ones(2)}}),
            "4.weight is not in the network under net",
            "The file holds net",
        ),
        (
            saved(under("model.", {k: v for k, v in network().state_dict().items() if k != "3.bias"})),
            "3.bias is missing",
            "under model",
        ),
    ],
)
def test_other_files_are_refused_with_what_they_hold(
    tmp_path: Path, make: Callable[[Path], Path], said: str, advised: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(ExportError) as refusal:
        load_weights(network(), path)
    assert said in str(refusal.value)
    assert advised in str(refusal.value)
    assert "\n" not in str(refusal.value)
