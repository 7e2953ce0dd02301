"""Networks with every kind of randomness, one small network each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal

Layer = TypeVar("Layer", bound=nn.Module)

TIME = {0: {1: "time"}}
"""The second axis of the first input is free."""


@dataclass(frozen=True)
class Kind:
    """A kind of randomness in a network.

    Parameters
    ----------
    body
        Makes a network from rows to features (B, K).
    rows
        Shape of one row, for each input.
    sites
        Number of sites that the export must find.
    free
        Names of free sizes by axis, for each input by number.
    alternating
        Whether the entries of the rows alternate along axes that hold several entries of each row.
    vocabulary
        Number of different integers in the inputs; None for real numbers.
    """

    body: Callable[[], nn.Module]
    rows: tuple[tuple[int, ...], ...]
    sites: int = 1
    free: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    alternating: bool = False
    vocabulary: int | None = None

    def example(self, count: int, seed: int = 0) -> list[Tensor]:
        """Make ``count`` rows for each input."""
        generator = torch.Generator().manual_seed(seed)
        if self.vocabulary is not None:
            return [torch.randint(self.vocabulary, (count, *row), generator=generator) for row in self.rows]
        return [torch.randn(count, *row, generator=generator) for row in self.rows]


class Run(nn.Module):
    """A network whose forward is a function of itself and its inputs."""

    def __init__(self, run: Callable[..., Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(self, *inputs)


class Headed(nn.Module):
    """A body with a linear head: logits (B, outputs), or for one output a mean (B,)."""

    def __init__(self, body: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        answer: Tensor = self.head(self.body(x) if y is None else self.body(x, y))
        return answer.squeeze(-1) if self.head.out_features == 1 else answer


def network(kind: Kind, outputs: int) -> Headed:
    """Make the network of a kind with a head."""
    torch.manual_seed(0)
    body = kind.body()
    with torch.no_grad():
        width = body.eval()(*kind.example(2)).shape[1]
    return Headed(body, width, outputs)


def _after(dropout: nn.Module, *shape: int) -> Callable[[], nn.Module]:
    """Put a dropout after a linear layer, whose outputs are unfolded to a shape."""
    return lambda: nn.Sequential(
        nn.Linear(6, torch.Size(shape).numel()), nn.ReLU(), nn.Unflatten(1, shape), dropout, nn.Flatten()
    )


def _functional(dropout: Callable[..., Tensor], *shape: int, **options: bool) -> Callable[[], nn.Module]:
    def run(self: Any, x: Tensor) -> Tensor:
        hidden = torch.relu(self.linear(x)).unflatten(1, shape)
        return dropout(hidden, 0.3, training=self.training, **options).flatten(1)

    return lambda: Run(run, linear=nn.Linear(6, torch.Size(shape).numel()))


class Recurrent(nn.Module):
    """The last output of a recurrent network of three layers."""

    def __init__(self, cell: Callable[..., nn.RNNBase], batch_first: bool = True, **options: Any) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.layers = cell(5, 8, num_layers=3, dropout=0.3, batch_first=batch_first, **options)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layers(x if self.batch_first else x.transpose(0, 1))[0]
        return outputs[:, -1] if self.batch_first else outputs[-1]


def _recurrent(cell: Callable[..., nn.RNNBase], free: bool = True, **options: Any) -> Kind:
    return Kind(lambda: Recurrent(cell, **options), ((6, 5),), sites=2, free=TIME if free else {})


def _self_attention(**options: Any) -> Callable[[], nn.Module]:
    return lambda: Run(
        lambda self, x: self.attention(x, x, x, **options)[0].mean(1),
        attention=nn.MultiheadAttention(16, 4, dropout=0.2, batch_first=True),
    )


class Attention(nn.Module):
    """Scaled dot-product attention, written by hand."""

    def __init__(self, key_heads: int = 4, masked: bool = False, **options: Any) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(8, 8 * heads) for heads in (4, key_heads, key_heads))
        self.masked = masked
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(-1, (-1, 8)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mask = (
            (x[:, None, None, :, 0] > -1) | torch.eye(x.shape[1], dtype=torch.bool) if self.masked else None
        )
        rate = 0.2 if self.training else 0.0
        heads = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=rate, **self.options)
        return heads.transpose(1, 2).flatten(2).mean(1)


class WeightDrop(nn.Module):
    """AWD-LSTM's dropout on the weights of a module, set on the module before it runs."""

    def __init__(self, module: nn.Module, *names: str) -> None:
        super().__init__()
        self.module = module
        self.names = names
        for name in names:
            weight = getattr(module, name)
            self.register_parameter(f"{name}_raw", nn.Parameter(weight.data))
            del module._parameters[name]
            setattr(module, name, weight.data.clone())

    def steps(self, x: Tensor) -> Tensor:
        for name in self.names:
            setattr(self.module, name, F.dropout(self.get_parameter(f"{name}_raw") * 1, 0.3, self.training))
        outputs: Tensor = self.module(x)[0]
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x)[:, -1]


class WholeWords(nn.Module):
    """AWD-LSTM's dropout of words: a mask with one unit for each word of the vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=1)

    def forward(self, tokens: Tensor) -> Tensor:
        weight = self.embed.weight
        if self.training:
            mask = weight.new_empty((weight.size(0), 1)).bernoulli_(0.7).expand_as(weight) / 0.7
            weight = mask * weight
        mean: Tensor = F.embedding(tokens, weight, self.embed.padding_idx).mean(1)
        return mean


class MovingAverage(nn.Module):
    """A centre that follows the rows in training."""

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.centre.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return x - self.centre


class TimmDropPath(nn.Module):
    """Stochastic depth per row, after timm.layers.drop.drop_path."""

    def __init__(self, rate: float, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.rate = rate
        self.scale_by_keep = scale_by_keep

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1 - self.rate
        random = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0 and self.scale_by_keep:
            random.div_(keep)
        return x * random


class TorchvisionStochasticDepth(nn.Module):
    """Stochastic depth per row or per batch, after torchvision.ops.stochastic_depth."""

    def __init__(self, rate: float, mode: str) -> None:
        super().__init__()
        self.rate = rate
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        survival = 1.0 - self.rate
        size = [x.shape[0]] + [1] * (x.ndim - 1) if self.mode == "row" else [1] * x.ndim
        noise = torch.empty(size, dtype=x.dtype, device=x.device)
        noise = noise.bernoulli_(survival)
        if survival > 0.0:
            noise.div_(survival)
        return x * noise


def _residual(branch: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Run(
        lambda self, x: x + self.branch(torch.relu(self.linear(x))), linear=nn.Linear(6, 6), branch=branch
    )


def _noise(run: Callable[[Tensor], Tensor]) -> Kind:
    """Make a kind whose hand-written noise changes hidden units in training mode."""
    return Kind(
        lambda: Run(
            lambda self, x: run(self.linear(x)) if self.training else self.linear(x), linear=nn.Linear(6, 6)
        ),
        ((6,),),
    )


def _convolutional(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(3, 8, 3), *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())


def _functional_norm(self: Any, x: Tensor) -> Tensor:
    norm = self.norm
    hidden = F.batch_norm(
        self.linear(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, training=self.training
    )
    return F.dropout(hidden, 0.4, self.training)


def _pre_and_post_residual(self: Any, x: Tensor) -> Tensor:
    x = x + self.first(torch.relu(self.a(x)))
    x = self.second(x + torch.relu(self.b(x)))
    return torch.cat([x, self.third(x)], 1)


def _twice(self: Any, x: Tensor) -> Tensor:
    mask = F.dropout(torch.ones_like(x), 0.3, self.training)
    answer: Tensor = self.b(torch.relu(self.a(x * mask)) * mask)
    return answer


def _in_place_sum(self: Any, x: Tensor) -> Tensor:
    x = x.clone()
    x += F.dropout(torch.relu(self.linear(x)), 0.3, self.training, inplace=True)
    x.mul_(2.0)
    return x


def _masked_tokens(self: Any, tokens: Tensor) -> Tensor:
    real = (tokens != 0).unsqueeze(-1)
    hidden = self.drop(self.embed(tokens)) * real
    summed: Tensor = hidden.sum(1)
    return summed / real.sum(1).clamp(min=1)


def _drop_tokens(self: Any, tokens: Tensor) -> Tensor:
    keep = F.dropout(torch.ones(*tokens.shape, 1), 0.3, self.training)
    mean: Tensor = (self.embed(tokens) * keep).mean(1)
    return mean


def _integer_mask(self: Any, tokens: Tensor) -> Tensor:
    padded = (tokens == 0).long()
    hidden: Tensor = self.drop(self.embed(tokens)) * (1.0 - padded).unsqueeze(-1)
    return hidden.sum(1)


def _positions(self: Any, x: Tensor) -> Tensor:
    table = F.dropout(self.table, 0.3, self.training)
    return torch.einsum("bnh,tnh->bnt", self.linear(x).unflatten(-1, (2, 4)), table).flatten(1)


def _gathered_positions(self: Any, x: Tensor) -> Tensor:
    table = F.dropout(self.table, 0.3, self.training)
    places = torch.arange(3).unsqueeze(1).expand(3, 6)
    return torch.einsum("bi,ti->bt", self.linear(x), table.gather(0, places))


def _tied(self: Any, tokens: Tensor) -> Tensor:
    table = self.embed.weight * F.dropout(torch.ones(20, 1), 0.3, self.training)
    return F.linear(F.embedding(tokens, table).mean(1), table)


def _normed_table(self: Any, tokens: Tensor) -> Tensor:
    table = F.layer_norm(F.dropout(self.embed.weight, 0.3, self.training), (8,))
    return F.embedding(tokens, table).mean(1)


def _convolve(self: Any, x: Tensor) -> Tensor:
    weight = F.dropout(self.convolution.weight, 0.3, self.training)
    found: Tensor = self.convolution._conv_forward(x, weight, self.convolution.bias)
    return found.flatten(1)


def _dropped(convolution: nn.Module, *before: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*before, Run(_convolve, convolution=convolution))


def _beside_whole(dropout: nn.Module, *shape: int) -> Callable[[], nn.Module]:
    """Put a dropout of rate 1 beside another."""

    def run(self: Any, x: Tensor) -> Tensor:
        whole: Tensor = self.whole(self.a(x).unflatten(1, shape)).flatten(1)
        return self.drop(self.b(x)) + whole  # type: ignore[no-any-return]

    return lambda: Run(run, a=nn.Linear(6, 8), b=nn.Linear(6, 8), drop=nn.Dropout(0.3), whole=dropout)


def _whole_attention(self: Any, x: Tensor) -> Tensor:
    heads = x.unflatten(-1, (2, 4)).transpose(1, 2)
    rate = 1.0 if self.training else 0.0
    attended = F.scaled_dot_product_attention(heads, heads, heads, dropout_p=rate)
    return self.drop(x + attended.transpose(1, 2).flatten(2)).mean(1)  # type: ignore[no-any-return]


def _weighted_bags(self: Any, tokens: Tensor) -> Tensor:
    weights = tokens / 20
    return self.drop(self.bags(tokens, per_sample_weights=weights))  # type: ignore[no-any-return]


def _dropped_bags(self: Any, tokens: Tensor) -> Tensor:
    table = self.bags.weight * F.dropout(torch.ones(20, 1), 0.3, self.training)
    return F.embedding_bag(tokens, table, mode="mean", padding_idx=3)


def _bags(**options: Any) -> Kind:
    return Kind(
        lambda: nn.Sequential(nn.EmbeddingBag(5, 8, **options), nn.Dropout(0.3)),
        ((3,),),
        free=TIME,
        vocabulary=5,
    )


def _weight_drop(make: Callable[..., nn.RNNBase], *names: str, **options: Any) -> Kind:
    return Kind(
        lambda: WeightDrop(make(5, 4, batch_first=True, **options), *names),
        ((6, 5),),
        sites=len(names),
    )


class _Dropping(nn.Module):
    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, weight: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(weight)
        return dropped


def _parametrized(layer: Layer, dropout: nn.Module) -> Layer:
    nn.utils.parametrize.register_parametrization(layer, "weight", _Dropping(dropout))
    return layer


def _sampled_weights(self: Any, x: Tensor) -> Tensor:
    if not self.training:
        return F.linear(x, self.mean)
    return F.linear(x, Normal(self.mean, F.softplus(self.spread)).rsample())


def _heads_in_rows(self: Any, x: Tensor) -> Tensor:
    heads = x.unflatten(-1, (2, 4)).transpose(1, 2).flatten(0, 1)  # (rows x heads, time, 4)
    weights = F.dropout((heads @ heads.mT).softmax(-1), 0.2, self.training)
    together: Tensor = (weights @ heads).unflatten(0, (x.shape[0], 2)).transpose(1, 2).flatten(2)
    return together.mean(1)


def _time_by_rows(self: Any, x: Tensor) -> Tensor:
    steps = x.transpose(0, 1)
    flat = F.dropout(torch.relu(self.linear(steps.flatten(0, 1))), 0.3, self.training)
    mean: Tensor = flat.unflatten(0, (steps.shape[0], steps.shape[1])).mean(0)
    return mean


def _rows_by_time(self: Any, x: Tensor) -> Tensor:
    flat = F.dropout(torch.relu(self.linear(x.flatten(0, 1))), 0.3, self.training)
    mean: Tensor = flat.unflatten(0, (x.shape[0], x.shape[1])).mean(1)
    return mean


def _encode(self: Any, x: Tensor) -> Tensor:
    mean: Tensor = self.encoder(x).mean(1)
    return mean


def _encode_sequence_first(self: Any, x: Tensor) -> Tensor:
    mean: Tensor = self.encoder(x.transpose(0, 1)).mean(0)
    return mean


def _decode(self: Any, x: Tensor, y: Tensor) -> Tensor:
    mean: Tensor = self.decoder(x, y).mean(1)
    return mean


def _translate(self: Any, source: Tensor, target: Tensor) -> Tensor:
    mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
    mean: Tensor = self.transformer(source, target, tgt_mask=mask).mean(1)
    return mean


def _layer(kind: Callable[..., Layer], **options: Any) -> Layer:
    return kind(16, 4, 32, **{"batch_first": True, "dropout": 0.2, **options})


SELF_ATTENTION = ((5, 16),)
ATTENTION = ((5, 8),)
IMAGE = ((3, 8, 8),)

KINDS: dict[str, Kind] = {
    "Dropout": Kind(_after(nn.Dropout(0.3), 8), ((6,),)),
    "Dropout1d": Kind(_after(nn.Dropout1d(0.3), 4, 3), ((6,),)),
    "Dropout2d": Kind(_after(nn.Dropout2d(0.3), 4, 3, 2), ((6,),)),
    "Dropout3d": Kind(_after(nn.Dropout3d(0.3), 4, 3, 2, 2), ((6,),)),
    "AlphaDropout": Kind(_after(nn.AlphaDropout(0.3), 8), ((6,),)),
    "FeatureAlphaDropout": Kind(_after(nn.FeatureAlphaDropout(0.3), 4, 3, 2), ((6,),)),
    "Dropout in place": Kind(_after(nn.Dropout(0.3, inplace=True), 8), ((6,),)),
    "Dropout2d in place": Kind(_after(nn.Dropout2d(0.3, inplace=True), 4, 3, 2), ((6,),)),
    "AlphaDropout in place": Kind(_after(nn.AlphaDropout(0.3, inplace=True), 8), ((6,),)),
    "F.dropout": Kind(_functional(F.dropout, 8), ((6,),)),
    "F.dropout1d": Kind(_functional(F.dropout1d, 4, 3), ((6,),)),
    "F.dropout2d": Kind(_functional(F.dropout2d, 4, 3, 2), ((6,),)),
    "F.dropout3d": Kind(_functional(F.dropout3d, 4, 3, 2, 2), ((6,),)),
    "F.alpha_dropout": Kind(_functional(F.alpha_dropout, 8), ((6,),)),
    "F.feature_alpha_dropout": Kind(_functional(F.feature_alpha_dropout, 4, 3, 2), ((6,),)),
    "F.dropout in place": Kind(_functional(F.dropout, 8, inplace=True), ((6,),)),
    "F.dropout3d in place": Kind(_functional(F.dropout3d, 4, 3, 2, 2, inplace=True), ((6,),)),
    "F.feature_alpha_dropout in place": Kind(
        _functional(F.feature_alpha_dropout, 4, 3, 2, inplace=True), ((6,),)
    ),
    "LSTM": _recurrent(nn.LSTM),
    "LSTM sequence first": _recurrent(nn.LSTM, batch_first=False),
    "LSTM bidirectional": _recurrent(nn.LSTM, bidirectional=True),
    "LSTM projected": _recurrent(nn.LSTM, free=False, proj_size=4),
    "LSTM projected bidirectional": _recurrent(nn.LSTM, free=False, proj_size=4, bidirectional=True),
    "LSTM without bias": _recurrent(nn.LSTM, bias=False),
    "GRU": _recurrent(nn.GRU),
    "GRU bidirectional sequence first": _recurrent(nn.GRU, batch_first=False, bidirectional=True),
    "RNN tanh": _recurrent(nn.RNN),
    "RNN relu without bias": _recurrent(nn.RNN, nonlinearity="relu", bias=False, bidirectional=True),
    "MultiheadAttention": Kind(_self_attention(need_weights=False), SELF_ATTENTION, free=TIME),
    "MultiheadAttention with weights": Kind(_self_attention(need_weights=True), SELF_ATTENTION, free=TIME),
    "attention": Kind(Attention, ATTENTION, free=TIME),
    "attention with a mask": Kind(lambda: Attention(masked=True), ATTENTION, free=TIME),
    "attention causal": Kind(lambda: Attention(is_causal=True), ATTENTION, free=TIME),
    "attention with grouped heads": Kind(lambda: Attention(2, enable_gqa=True), ATTENTION, free=TIME),
    "attention scaled": Kind(lambda: Attention(scale=0.7), ATTENTION),
    "TransformerEncoderLayer": Kind(
        lambda: Run(_encode, encoder=_layer(nn.TransformerEncoderLayer)), SELF_ATTENTION, 4, TIME
    ),
    "TransformerEncoder": Kind(
        lambda: Run(
            _encode,
            encoder=nn.TransformerEncoder(
                _layer(nn.TransformerEncoderLayer, norm_first=True), 2, enable_nested_tensor=False
            ),
        ),
        SELF_ATTENTION,
        8,
        TIME,
    ),
    "TransformerEncoder sequence first": Kind(
        lambda: Run(
            _encode_sequence_first,
            encoder=nn.TransformerEncoder(
                _layer(nn.TransformerEncoderLayer, batch_first=False), 1, enable_nested_tensor=False
            ),
        ),
        SELF_ATTENTION,
        4,
        TIME,
    ),
    "TransformerDecoder": Kind(
        lambda: Run(_decode, decoder=nn.TransformerDecoder(_layer(nn.TransformerDecoderLayer), 1)),
        ((4, 16), (5, 16)),
        6,
    ),
    "Transformer": Kind(
        lambda: Run(_translate, transformer=nn.Transformer(16, 4, 1, 1, 32, batch_first=True)),
        ((6, 16), (4, 16)),
        10,
    ),
    "stochastic depth by row, timm": Kind(_residual(TimmDropPath(0.3)), ((6,),)),
    "stochastic depth by row, timm, unscaled": Kind(_residual(TimmDropPath(0.3, False)), ((6,),)),
    "stochastic depth by row, torchvision": Kind(_residual(TorchvisionStochasticDepth(0.3, "row")), ((6,),)),
    "stochastic depth by batch, torchvision": Kind(
        _residual(TorchvisionStochasticDepth(0.3, "batch")), ((6,),)
    ),
    "Gaussian dropout": _noise(lambda x: x * (1 + 0.5 * torch.randn_like(x))),
    "torch.bernoulli": _noise(lambda x: x * torch.bernoulli(torch.full_like(x, 0.6))),
    "torch.bernoulli of probabilities": _noise(lambda x: torch.bernoulli(torch.sigmoid(x))),
    "bernoulli_": _noise(lambda x: x * torch.empty_like(x).bernoulli_(0.6)),
    "bernoulli_ with a tensor": _noise(lambda x: x * torch.empty_like(x).bernoulli_(torch.full((6,), 0.6))),
    "torch.rand": _noise(lambda x: x * (torch.rand(x.shape) > 0.3)),
    "torch.rand_like": _noise(lambda x: x * torch.floor(0.7 + torch.rand_like(x))),
    "torch.rand by row": _noise(lambda x: x * torch.rand(x.shape[0], 1)),
    "torch.randn": _noise(lambda x: x + 0.5 * torch.randn(x.shape)),
    "torch.randn_like": _noise(lambda x: x + torch.randn_like(x)),
    "torch.normal of numbers": _noise(lambda x: x * torch.normal(1.0, 0.5, x.shape)),
    "torch.normal of tensors": _noise(lambda x: torch.normal(x, F.softplus(x))),
    "torch.normal around a tensor": _noise(lambda x: torch.normal(x, 0.5)),
    "torch.normal of a spread": _noise(lambda x: torch.normal(0.0, F.softplus(x))),
    "normal_": _noise(lambda x: x * torch.empty_like(x).normal_(1.0, 0.5)),
    "uniform_": _noise(lambda x: x * torch.empty_like(x).uniform_(0.5, 1.5)),
    "variational over time, by row": Kind(
        lambda: Run(
            lambda self, x: (x * F.dropout(torch.ones(x.shape[0], 1, x.shape[2]), 0.3, self.training)).mean(1)
        ),
        ((4, 5),),
        free=TIME,
    ),
    "variational over time, by batch": Kind(
        lambda: Run(
            lambda self, x: (x * F.dropout(torch.ones(1, 1, x.shape[2]), 0.3, self.training)).mean(1)
        ),
        ((4, 5),),
        free=TIME,
    ),
    "dropout on weights": Kind(
        lambda: Run(
            lambda self, x: F.linear(x, F.dropout(self.weight, 0.5, self.training), self.bias),
            weight=nn.Parameter(torch.randn(6, 6)),
            bias=nn.Parameter(torch.randn(6)),
        ),
        ((6,),),
    ),
    "dropout on a table for all rows": Kind(
        lambda: Run(_positions, table=nn.Parameter(torch.randn(7, 2, 4)), linear=nn.Linear(6, 8)), ((6,),)
    ),
    "dropout on gathered positions": Kind(
        lambda: Run(_gathered_positions, table=nn.Parameter(torch.randn(7, 6)), linear=nn.Linear(6, 6)),
        ((6,),),
    ),
    "an integer mask": Kind(
        lambda: Run(_integer_mask, embed=nn.Embedding(20, 8), drop=nn.Dropout(0.3)),
        ((7,),),
        free=TIME,
        vocabulary=20,
    ),
    "bags of tokens": Kind(
        lambda: nn.Sequential(nn.EmbeddingBag(20, 8), nn.Dropout(0.3)), ((7,),), free=TIME, vocabulary=20
    ),
    "a normal distribution": _noise(lambda x: x * Normal(1.0, 0.5).sample(x.shape)),
    "a Bernoulli distribution": _noise(lambda x: x * Bernoulli(0.4).sample(x.shape)),
    "a distribution of weights": Kind(
        lambda: Run(
            _sampled_weights, mean=nn.Parameter(torch.randn(6, 6)), spread=nn.Parameter(torch.randn(6, 6))
        ),
        ((6,),),
    ),
    "heads in rows": Kind(lambda: Run(_heads_in_rows), ((5, 8),), free=TIME),
    "rows by time": Kind(lambda: Run(_rows_by_time, linear=nn.Linear(5, 8)), ((4, 5),), free=TIME),
    "time by rows": Kind(
        lambda: Run(_time_by_rows, linear=nn.Linear(5, 8)), ((4, 5),), free=TIME, alternating=True
    ),
    "batch norm": Kind(_convolutional(nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.3)), IMAGE),
    "batch norm after dropout": Kind(_convolutional(nn.Dropout(0.3), nn.BatchNorm2d(8)), IMAGE),
    "SyncBatchNorm": Kind(_convolutional(nn.SyncBatchNorm(8), nn.Dropout2d(0.3)), IMAGE),
    "functional batch norm": Kind(
        lambda: Run(_functional_norm, linear=nn.Linear(6, 8), norm=nn.BatchNorm1d(8)), ((6,),)
    ),
    "around residual connections": Kind(
        lambda: Run(
            _pre_and_post_residual,
            a=nn.Linear(6, 6),
            b=nn.Linear(6, 6),
            first=nn.Dropout(0.3),
            second=nn.Dropout(0.2),
            third=nn.AlphaDropout(0.4),
        ),
        ((6,),),
        3,
    ),
    "a draw used twice": Kind(lambda: Run(_twice, a=nn.Linear(6, 6), b=nn.Linear(6, 4)), ((6,),)),
    "sums in place": Kind(lambda: Run(_in_place_sum, linear=nn.Linear(6, 6)), ((6,),)),
    "embedding": Kind(
        lambda: Run(_masked_tokens, embed=nn.Embedding(20, 8), drop=nn.Dropout(0.3)),
        ((7,),),
        free=TIME,
        vocabulary=20,
    ),
    "whole tokens": Kind(
        lambda: Run(_drop_tokens, embed=nn.Embedding(20, 8)), ((7,),), free=TIME, vocabulary=20
    ),
    "spectral norm": Kind(
        lambda: nn.Sequential(
            nn.utils.spectral_norm(nn.Linear(6, 8)),
            nn.Dropout(0.3),
            nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)),
        ),
        ((6,),),
    ),
    "spectral norm of an LSTM": Kind(
        lambda: Run(
            lambda self, x: self.layers(x)[0][:, -1],
            layers=nn.utils.spectral_norm(nn.LSTM(5, 8, 2, dropout=0.3, batch_first=True), "weight_hh_l0"),
        ),
        ((6, 5),),
    ),
    "spectral norm of a convolution": Kind(
        _convolutional(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 4, 3)),
            nn.Dropout2d(0.3),
            nn.utils.spectral_norm(nn.ConvTranspose2d(4, 4, 2)),
        ),
        IMAGE,
    ),
    "orthogonal weights": Kind(
        lambda: nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(6, 6)), nn.Dropout(0.3)),
        ((6,),),
    ),
    "dropped parametrized weights": Kind(
        lambda: _parametrized(nn.Linear(6, 6), nn.Dropout(0.3)),
        ((6,),),
    ),
    "instance norm with running statistics": Kind(
        _convolutional(nn.InstanceNorm2d(8, track_running_stats=True), nn.Dropout(0.3)), IMAGE
    ),
    "Dropout of rate 1": Kind(_beside_whole(nn.Dropout(1.0), 8), ((6,),)),
    "Dropout of rate 1 in place": Kind(_beside_whole(nn.Dropout(1.0, inplace=True), 8), ((6,),)),
    "Dropout2d of rate 1": Kind(_beside_whole(nn.Dropout2d(1.0), 4, 2, 1), ((6,),)),
    "AlphaDropout of rate 1": Kind(_beside_whole(nn.AlphaDropout(1.0), 8), ((6,),)),
    "FeatureAlphaDropout of rate 1": Kind(_beside_whole(nn.FeatureAlphaDropout(1.0), 4, 2, 1), ((6,),)),
    "Dropout of rate 0": Kind(_beside_whole(nn.Dropout(0.0), 8), ((6,),)),
    "attention of rate 1": Kind(lambda: Run(_whole_attention, drop=nn.Dropout(0.3)), ((5, 8),), free=TIME),
    "MultiheadAttention of rate 1": Kind(
        lambda: Run(
            lambda self, x: self.drop(x + self.attention(x, x, x)[0]).mean(1),
            attention=nn.MultiheadAttention(16, 4, dropout=1.0, batch_first=True),
            drop=nn.Dropout(0.3),
        ),
        SELF_ATTENTION,
    ),
    "LSTM of rate 1": Kind(
        lambda: Run(
            lambda self, x: self.drop(self.layers(x)[0][:, -1]),
            layers=nn.LSTM(5, 8, 2, dropout=1.0, batch_first=True),
            drop=nn.Dropout(0.3),
        ),
        ((6, 5),),
    ),
    "bags with padding": _bags(padding_idx=0),
    "bags with padding, summed": _bags(padding_idx=-1, mode="sum"),
    "bags with padding, largest": _bags(padding_idx=2, mode="max"),
    "bags of a largest norm": _bags(max_norm=0.5),
    "bags with weights and padding": Kind(
        lambda: Run(
            _weighted_bags, bags=nn.EmbeddingBag(20, 8, mode="sum", padding_idx=3), drop=nn.Dropout(0.3)
        ),
        ((7,),),
        vocabulary=20,
    ),
    "an embedding of a largest norm": Kind(
        lambda: nn.Sequential(nn.Embedding(20, 8, max_norm=0.5), nn.Flatten(), nn.Dropout(0.3)),
        ((7,),),
        vocabulary=20,
    ),
    "whole words": Kind(WholeWords, ((7,),), free=TIME, vocabulary=20),
    "whole words, tied": Kind(lambda: Run(_tied, embed=nn.Embedding(20, 8)), ((7,),), vocabulary=20),
    "whole words in bags": Kind(
        lambda: Run(_dropped_bags, bags=nn.EmbeddingBag(20, 8)), ((7,),), vocabulary=20
    ),
    "whole words, then units": Kind(
        lambda: nn.Sequential(WholeWords(), nn.Dropout(0.2)), ((7,),), sites=2, vocabulary=20
    ),
    "dropout on a normed table": Kind(
        lambda: Run(_normed_table, embed=nn.Embedding(20, 8)), ((7,),), vocabulary=20
    ),
    "weight drop, LSTM": _weight_drop(nn.LSTM, "weight_hh_l0"),
    "weight drop, LSTM bidirectional": _weight_drop(
        nn.LSTM, "weight_hh_l0", "weight_hh_l0_reverse", "weight_ih_l0", bidirectional=True
    ),
    "weight drop, GRU": _weight_drop(nn.GRU, "weight_hh_l0", "bias_hh_l0"),
    "weight drop, RNN without bias": _weight_drop(nn.RNN, "weight_hh_l0", bias=False),
    "weight drop, RNN relu": _weight_drop(nn.RNN, "weight_ih_l0", nonlinearity="relu"),
    "weight drop, convolution": Kind(_dropped(nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2)), IMAGE),
    "weight drop, grouped convolution after dropout": Kind(
        _dropped(nn.Conv2d(8, 4, 3, groups=2, padding="same"), nn.Conv2d(3, 8, 3), nn.Dropout(0.2)),
        IMAGE,
        sites=2,
    ),
    "weight drop, Conv1d": Kind(_dropped(nn.Conv1d(1, 4, 4, bias=False), nn.Unflatten(1, (1, 6))), ((6,),)),
}
