"""The README holds: its answer is the service's, and its blocks run as they stand, in their order."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.service.serving import serving

ROOT = Path(__file__).parents[1]

README = (ROOT / "README.md").read_text()

BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)

STAND_INS = {
    "make serve": "caveat serve",  # test_packaging.py runs make
    ". .venv/bin/activate": "true",  # the environment of the tests has what these two bring
    "pip install --editable '.[training]'": "true",
}


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


def test_its_digit_has_its_label_in_every_set_and_a_low_credibility() -> None:
    request = re.search(r"predict/uncertainty .* -d '(.*?)'\n```", README, re.DOTALL)
    assert request is not None
    asked = json.loads(request[1])
    with serving() as service:
        for coverage in (0.5, 0.8, 0.9, 0.95, 0.99):
            answer = service.ask("/predict/uncertainty", **asked | {"coverage": coverage}).json()
            assert set(answer["label"]) <= set(answer["prediction_set"][0])
    assert answer["credibility"][0] < 0.05


def test_the_network_is_that_of_the_example() -> None:
    (shown,) = (block for _, block in BLOCKS if "class Net" in block)
    assert shown[shown.index("class Net") :] in (ROOT / "examples" / "fraud.py").read_text()


@pytest.mark.slow
def test_its_blocks_run_as_they_stand(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    lines = "".join(block for _, block in BLOCKS).splitlines()
    assert STAND_INS.keys() <= set(lines)
    port, printed = "", ""
    with ExitStack() as service:
        for language, block in BLOCKS:
            if language == "python":
                printed += run([sys.executable, "-c", block.replace(":8000", port)], tmp_path)
                continue
            commands = [STAND_INS.get(line, line) for line in block.splitlines()]
            if any(command.startswith("caveat serve") for command in commands):
                (command,) = commands
                service.close()  # Ctrl+C
                port = service.enter_context(served(command, tmp_path))
                continue
            script = "\n".join(commands).replace(":8000", port)
            script = script.replace("caveat predict", f"caveat predict --url http://localhost{port}")
            printed += run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    shown = re.search(r"^```\n(houses version 1, .*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert shown is not None
    for line in shown[1].splitlines()[:2]:  # the numbers below are those of one machine
        assert line.split() in [found.split() for found in printed.splitlines()]


def run(command: list[str], folder: Path) -> str:
    """Run a block to its end; give what it prints."""
    ended = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, f"{command[-1]}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@contextmanager
def served(command: str, folder: Path) -> Iterator[str]:
    """Run a service on a free port until the block ends; give the port as in a URL."""
    process = subprocess.Popen(
        [*command.split(), "--port", "0"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"at http://127.0.0.1(:\d+)", process.stdout.readline())
            assert found is not None
            yield found[1]
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    """Put the commands of this environment before all others."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
