"""The public face: what is documented, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import caveat


def test_what_is_public_is_listed_once_and_documented() -> None:
    assert caveat.__doc__ is not None
    documented = re.findall(r"^- `(\w+)`:", caveat.__doc__, re.MULTILINE)
    assert sorted([*documented, "__version__"]) == sorted(caveat.__all__)
    for name in documented:
        assert getattr(caveat, name).__doc__
    assert set(caveat.__all__) <= set(dir(caveat))


def test_what_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'caveat' has no attribute 'judge'"):
        caveat.judge  # noqa: B018


def test_a_network_goes_from_export_to_an_estimate(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 2))
    rows = torch.rand(4, 3).numpy()
    bundle = caveat.export(network, rows, task="classification", outputs="logits", name="tiny")
    folder = caveat.add(str(tmp_path), bundle)
    for path in (folder, folder.parent, str(folder.parent)):
        predictor = caveat.Predictor(caveat.load(path))
        for given in (rows, rows.tolist(), {"x": rows}, {"x": rows.tolist()}):
            answer = caveat.estimate(predictor, given)
            assert answer["mean"].shape == (4, 2)
            assert answer["passes"].tolist() == [100] * 4


def test_without_torch_export_names_the_extra_and_the_rest_works() -> None:
    code = """
import sys
from pathlib import Path
sys.modules["torch"] = None
import caveat
assert caveat.load and caveat.Predictor and caveat.add and caveat.estimate and caveat.Bundle
try:
    caveat.export
except ImportError as error:
    assert "needs torch, which the extra 'training' brings: pip install '.[training]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
