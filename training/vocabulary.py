"""The words that options of training take; no torch is needed to know them."""

from typing import Literal

Task = Literal["classification", "regression"]

NetworkName = Literal["mlp", "cnn", "lstm", "gru", "transformer"]

Noise = Literal["constant", "predicted"]
"""Whether a regression's target is equally noisy in every row, or the network predicts its noise by row."""

Outputs = Literal["logits", "probabilities", "mean", "mean_log_variance"]
"""What a network answers with; numbers alone can't tell these apart."""
