"""A convolutional network with batch norm, and dropout of whole channels."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from caveat.models.errors import CaveatError
from caveat.models.networks.rates import layer_rates


class CNN(nn.Module):
    """Convolutions of 3 x 3 pixels, each with batch norm, ReLU and dropout of channels.

    Between two convolutions, max pooling halves the image; after the last, each channel's mean goes
    to the output. A channel is dropped as a whole (Tompson et al., CVPR 2015), since its neighbouring
    pixels say nearly the same.

    Parameters
    ----------
    shape
        Shape of one image: (H, W), or (C, H, W).
    outputs
        Number of logits, or None for a single value per row.
    hidden
        Channels of each convolution.
    dropout
        Dropout rates of channels, see `caveat.models.networks.rates.layer_rates`; the input's rate is of
        single pixels. A rate of 0 adds no dropout.

    Raises
    ------
    CaveatError
        If the image is too small for so many convolutions.

    Examples
    --------
    >>> CNN(shape=(8, 8), outputs=10, hidden=(32,), dropout=(0.2,))
    CNN(
      (layers): Sequential(
        (convolution1): Conv2d(1, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
        (norm1): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        (relu1): ReLU()
        (dropout1): Dropout2d(p=0.2, inplace=False)
        (mean): AdaptiveAvgPool2d(output_size=1)
        (flatten): Flatten(start_dim=1, end_dim=-1)
        (output): Linear(in_features=32, out_features=10, bias=True)
      )
    )
    """

    def __init__(
        self, shape: Sequence[int], outputs: int | None, hidden: Sequence[int], dropout: Sequence[float]
    ) -> None:
        super().__init__()
        rates = layer_rates(dropout, len(hidden))
        *colours, height, width = shape
        # The last convolution gets at least 2 x 2 pixels: batch norm needs several, even for one image.
        if min(height, width) < 2 ** len(hidden):
            raise CaveatError(
                f"images of {height} x {width} pixels are too small for {len(hidden)} convolutions, which "
                f"halve them in between; expected at least {2 ** len(hidden)} pixels each way, channels first"
            )
        channels = colours[0] if colours else 1
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if rates[0] > 0:
            layers["dropout0"] = nn.Dropout(rates[0])
        for number, (maps, rate) in enumerate(zip(hidden, rates[1:], strict=True), start=1):
            if number > 1:
                layers[f"pool{number}"] = nn.MaxPool2d(2)
            layers[f"convolution{number}"] = nn.Conv2d(channels, maps, kernel_size=3, padding=1, bias=False)
            layers[f"norm{number}"] = nn.BatchNorm2d(maps)
            layers[f"relu{number}"] = nn.ReLU()
            if rate > 0:
                layers[f"dropout{number}"] = nn.Dropout2d(rate)
            channels = maps
        layers["mean"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["output"] = nn.Linear(channels, outputs or 1)
        self.layers = nn.Sequential(layers)
        self.single = outputs is None

    def forward(self, rows: Tensor) -> Tensor:
        """Map images (B, H, W) or (B, C, H, W) to logits (B, outputs), or to single values (B,)."""
        images = rows.unsqueeze(1) if rows.ndim == 3 else rows
        values: Tensor = self.layers(images)
        return values.squeeze(-1) if self.single else values
