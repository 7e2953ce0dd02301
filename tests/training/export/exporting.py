"""Networks to export, or to be refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from caveat.models.bundles.bundle import Bundle
from caveat.training.errors import ExportError
from caveat.training.export.export import export

ROWS = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
STEPS = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(20, (3, 7), generator=torch.Generator().manual_seed(0))
OPTIONS: dict[str, Any] = {"task": "classification", "outputs": "logits", "name": "foreign"}


def exported(module: nn.Module, example: Tensor = ROWS) -> Bundle:
    return export(module, example, **OPTIONS)


def refused(module: nn.Module, example: Tensor = ROWS) -> str:
    with pytest.raises(ExportError) as refusal:
        exported(module, example)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def behind(*modules: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), *modules)
