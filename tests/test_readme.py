"""The README's request, sent as it stands there, gets the answer that stands there."""

import json
import re
from pathlib import Path

import numpy as np

from models.predictor import Predictor
from models.store import BUNDLED, find, load
from service.answers import uncertainty
from service.request import uncertainty_request
from service.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_request_gets_the_answer() -> None:
    request = re.search(r"predict/uncertainty .* -d '(.*?)'\n```", README, re.DOTALL)
    shown = re.search(r"```json\n(\{\"model\".*?\})\n```", README, re.DOTALL)
    assert request is not None
    assert shown is not None
    predictor = Predictor(load(find(BUNDLED / "digits")))
    answer = uncertainty(predictor, request[1].encode(), uncertainty_request(Settings()), max_rows=10)
    found, expected = json.loads(answer.content), json.loads(shown[1])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, list) and name != "label":
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
        else:
            assert found[name] == value, name


def test_the_settings_table_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `[^`]+` \| `CAVEAT_(\w+)` \| ([^|]+?) \|$", README, re.MULTILINE))
    assert set(rows) == {name.upper() for name in Settings.model_fields}
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for name, shown in rows.items():
        default = defaults[name.lower()]
        assert default is None or shown.startswith(str(default)), name
