"""The README's request, sent as it stands there, gets the answer that stands there."""

import json
import re
from pathlib import Path

import numpy as np

from tests.service.serving import serving

ROOT = Path(__file__).parents[1]

README = (ROOT / "README.md").read_text()


def test_the_request_gets_the_answer() -> None:
    request = re.search(r"predict/uncertainty .* -d '(.*?)'\n```", README, re.DOTALL)
    shown = re.search(r"```json\n(\{\"model\".*?\})\n```", README, re.DOTALL)
    assert request is not None
    assert shown is not None
    with serving() as service:
        answer = service.send("/predict/uncertainty", request[1].encode())
    found, expected = answer.json(), json.loads(shown[1])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, list) and name not in ("label", "prediction_set", "abstain"):
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
        else:
            assert found[name] == value, name


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
