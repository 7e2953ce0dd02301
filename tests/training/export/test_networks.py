"""Constructs of networks from well-known packages, each as a small network."""

from collections import namedtuple

import pytest
import torch
from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.export.export import export


class LayerScale(nn.Module):
    """A residual branch so small that rounding outweighs its dropout, as in untrained ConvNeXts."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x + 1e-6 * self.drop(self.branch(x))
        logits: Tensor = self.head(torch.nn.functional.layer_norm(hidden, (8,)))
        return logits


class SharedTable(nn.Module):
    """A table without rows under dropout, repeated for every row and head, as DeBERTa's positions."""

    def __init__(self, per_row: int, interleaved: bool) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(4, 5))
        self.drop = nn.Dropout(0.3)
        self.per_row = per_row
        self.interleaved = interleaved

    def forward(self, x: Tensor) -> Tensor:
        rows, heads = x.shape[0], self.per_row
        apart = x.reshape(rows, heads, 1, 5)
        folded = (apart.transpose(0, 1) if self.interleaved else apart).reshape(rows * heads, 1, 5)
        table = self.drop(self.table).unsqueeze(0).repeat(rows * heads, 1, 1)
        scores = torch.bmm(folded, table.transpose(1, 2))
        if self.interleaved:
            return scores.reshape(heads, rows, 4).mean(0)
        return scores.reshape(rows, heads, 4).mean(1)


class DropsPatches(nn.Module):
    """Stochastic depth on patches folded into the rows, with uninitialised memory, as in timm."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.reshape(x.shape[0] * 4, 3, 5)
        if self.training:
            keep = patches.new_empty(patches.shape[0], 1, 1).bernoulli_(0.8)
            patches = patches + self.mix(patches) * keep.div_(0.8)
        else:
            patches = patches + self.mix(patches)
        mean: Tensor = patches.reshape(x.shape[0], 4, 15).mean(1)
        return mean


class Len(nn.Module):
    """The number of rows by ``len``, as in rtdl's FT-Transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(x).reshape(len(x), -1, 8).mean(1))
        return logits


class Auxiliary(nn.Module):
    """A second output in training only, as in GoogLeNet and Inception."""

    Both = namedtuple("Both", "logits aux")

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.head(self.drop(x))
        return self.Both(logits, 2 * logits) if self.training else logits


class SelectsByMask(nn.Module):
    """The last token of every row, selected by a mask, as in BART and T5."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.drop_chosen = nn.Dropout(rate)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.drop(x)
        ends = torch.arange(x.shape[1]) == x.shape[1] - 1
        chosen = hidden[ends.expand(x.shape[0], -1), :]
        if self.drop_chosen.p:
            chosen = self.drop_chosen(chosen)
        logits: Tensor = self.head(chosen.view(x.shape[0], -1, 8)[:, -1])
        return logits


@pytest.mark.parametrize(
    ("network", "example"),
    [
        pytest.param(LayerScale(), torch.randn(3, 8), id="layer scale"),
        pytest.param(DropsPatches(), torch.randn(3, 60), id="patches"),
        pytest.param(SelectsByMask(), torch.randn(3, 4, 8), id="selection by mask"),
        pytest.param(Len(), torch.randn(3, 16), id="len"),
        pytest.param(SharedTable(1, interleaved=False), torch.randn(3, 5), id="one table per row"),
        pytest.param(SharedTable(2, interleaved=False), torch.randn(3, 10), id="two contiguous tables"),
        pytest.param(SharedTable(2, interleaved=True), torch.randn(3, 10), id="two interleaved tables"),
    ],
)
def test_a_network_is_exported(network: nn.Module, example: Tensor) -> None:
    """The export itself compares the bundle with PyTorch."""
    export(network, example, task="classification", outputs="logits", name="n")


class OneHead(nn.Module):
    """Attention of a single head, whose queries, keys and values have no axis of heads."""

    def __init__(self, rate: float, masked: bool) -> None:
        super().__init__()
        self.rate = rate
        self.masked = masked
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        mask = x @ x.mT > -1 if self.masked else None
        rate = self.rate if self.training else 0.0
        x = nn.functional.scaled_dot_product_attention(x, x, x, mask, rate, is_causal=not self.masked)
        logits: Tensor = self.head(x.mean(1))
        return logits


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_attention_without_an_axis_of_heads_is_exported(rate: float, masked: bool) -> None:
    torch.manual_seed(0)
    free = {"x": {1: "length"}}
    bundle = export(
        OneHead(rate, masked),
        torch.randn(3, 5, 4),
        task="classification",
        outputs="logits",
        name="one",
        free=free,
    )
    assert len(bundle.manifest.sites) == 1 + bool(rate)
    assert bundle.manifest.inputs[0].sizes["length"] == (1, None)


@pytest.mark.parametrize("output", ["logits", 0])
def test_an_output_of_training_mode_alone_is_ignored(output: str | int) -> None:
    export(
        Auxiliary(),
        torch.randn(3, 8),
        task="classification",
        outputs="logits",
        name="n",
        output=output,
    )


def test_named_outputs_are_listed_by_name() -> None:
    with pytest.raises(ExportError, match=r"several outputs: logits, aux; say which"):
        export(Auxiliary(), torch.randn(3, 8), task="classification", outputs="logits", name="n")


def test_draws_for_entries_selected_by_a_mask_are_refused_with_their_place() -> None:
    with pytest.raises(ExportError, match=r"the number of draws .*test_networks.py.*drop_chosen.*afterwards"):
        export(SelectsByMask(0.3), torch.randn(3, 4, 8), task="classification", outputs="logits", name="n")


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_weight_that_is_computed_before_each_run_is_exported() -> None:
    torch.manual_seed(0)
    normalised = torch.nn.utils.weight_norm(nn.Linear(5, 8))
    network = nn.Sequential(normalised, nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    bundle = export(network, torch.rand(4, 5), task="classification", outputs="logits", name="normed")
    assert [site.name for site in bundle.manifest.sites] == ["2"]
