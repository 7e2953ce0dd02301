"""The words that options of training take; no torch is needed to know them."""

from typing import Literal

Task = Literal["classification", "regression"]

NetworkName = Literal["mlp", "cnn", "lstm", "gru", "transformer"]

Noise = Literal["constant", "predicted"]
"""Whether the noise of a regression's target is the same in every row, or predicted for each row."""

Outputs = Literal["logits", "probabilities", "mean", "mean_log_variance"]
"""The kind of a network's outputs, which the numbers alone do not show."""
