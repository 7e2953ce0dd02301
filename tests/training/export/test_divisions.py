"""Divisions of integers answer as in PyTorch, and end no process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from caveat.models.bundles import store
from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle
from caveat.models.errors import InputError
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from tests.service.serving import serving

MOST = 2**63 - 1


def floor_in_place(a: Tensor, b: Tensor) -> Tensor:
    a = a.clone()
    a //= b
    return a


def remainder_in_place(a: Tensor, b: Tensor) -> Tensor:
    return a.clone().remainder_(b)


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "fmod": torch.fmod,
    "floor": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "//=": floor_in_place,
    "remainder_": remainder_in_place,
    "100 //": lambda a, b: 100 // b,
    "100 %": lambda a, b: 100 % b,
    "// 3": lambda a, b: a // 3,
    "// -1": lambda a, b: a // -1,
    "trunc -7": lambda a, b: torch.div(a, -7, rounding_mode="trunc"),
    "int32 //": lambda a, b: a.int() // b.int(),
    "int32 %": lambda a, b: a.int() % b.int(),
    "int8 //": lambda a, b: (a % 100).to(torch.int8) // (b % 7 + 1).to(torch.int8),
    "uint8 %": lambda a, b: (a % 100).to(torch.uint8) % (b % 7 + 1).to(torch.uint8),
}


class Divides(nn.Module):
    """Answers with the last digits of each way to divide, and of a division by what is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, cents: Tensor, per: Tensor) -> Tensor:
        exact = torch.cat([way(cents, per).long() % 1009 for way in WAYS.values()], 1)
        kept = self.drop(torch.ones_like(cents, dtype=torch.float32)).long()  # 1, or 0 and 2 in a pass
        drawn = cents // (per * 2 - kept + (kept == 2 * per).long())
        return torch.cat([exact.float(), (drawn % 1009).float()], 1)


EXAMPLE = {
    "cents": np.array([[700], [900], [-37], [12345]]),
    "per": np.array([[2], [3], [5], [-7]]),
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return export(Divides(), EXAMPLE, task="regression", outputs="mean", name="divides")


VALUES = [-MOST, -(2**31), -(2**31) + 1, -1009, -7, -1, 0, 1, 6, 100, 2**31 - 1, 2**24 + 1, 10**15 + 7, MOST]
DIVISORS = [-MOST, -7, -2, -1, 1, 2, 3, 2**24 + 1, MOST]


def test_every_way_to_divide_answers_as_in_pytorch(bundle: Bundle) -> None:
    pairs = np.array([(a, b) for a in VALUES for b in DIVISORS if (a, b) != (-(2**31), -1)])
    inputs = {"cents": pairs[:, :1], "per": pairs[:, 1:]}
    expected = Divides().eval()(*map(torch.from_numpy, inputs.values())).numpy()
    np.testing.assert_array_equal(Predictor(bundle).predict(inputs), expected)


@pytest.mark.parametrize("file", [PREDICT, PASSES])
def test_only_divisions_by_what_is_not_constant_are_guarded(bundle: Bundle, file: str) -> None:
    graph = onnx.load_from_string(bytes(bundle.files[file])).graph
    constants = {value.name for value in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    guarded = {node.output[0] for node in graph.node if node.op_type == "Where"}
    divisors = {node.input[1] for node in graph.node if node.op_type in ("Div", "Mod")}
    assert divisors & constants
    assert divisors & guarded


def test_a_division_by_zero_is_the_requests_fault(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="other integers"):
        Predictor(bundle).predict({"cents": np.array([[7]]), "per": np.array([[0]])})


KILLER = """
import sys
from pathlib import Path
import numpy as np
from caveat.models.bundles import store
from caveat.models.predictor import Predictor
predictor = Predictor(store.load(Path(sys.argv[1])))
for least in (-(2**63), -(2**31)):
    inputs = {"cents": np.array([[least]]), "per": np.array([[-1]])}
    print(predictor.predict(inputs).shape, predictor.some_passes(inputs, 0, "independent", 0, 9).shape)
"""


def test_the_least_integers_divided_by_minus_one_end_no_process(bundle: Bundle, tmp_path: Path) -> None:
    folder = store.add(tmp_path, bundle)
    ran = subprocess.run([sys.executable, "-c", KILLER, folder], timeout=120, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["(1,", "17)", "(9,", "1,", "17)"] * 2


def test_a_request_can_not_kill_the_service(bundle: Bundle, tmp_path: Path) -> None:
    store.add(tmp_path, bundle)
    with serving(tmp_path) as service:
        for least, status in ((-(2**63), 422), (-(2**31), 200), (1 - 2**63, 200)):
            for path in ("/predict", "/predict/uncertainty"):
                answer = service.ask(path, inputs={"cents": [[least]], "per": [[-1]]})
                assert answer.status_code == status, answer.text
        zero = service.ask("/predict", inputs={"cents": [[1]], "per": [[0]]})
        assert zero.status_code == 422
        assert service.process.poll() is None
        assert service.get("/health/ready").status_code == 200
