"""`caveat serve` on a damaged bundle ends soon, in little memory, with one line that says what is wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from caveat.models.bundles.bundle import CARD
from tests.models.damage.calibrations import CALIBRATIONS
from tests.models.damage.damage import Damage, edit, seal, sound
from tests.models.damage.files import FILES
from tests.models.damage.manifests import MANIFESTS
from tests.models.damage.refused_graphs import ANSWERS, GRAPHS
from tests.service.serving import serving

SHOWN = {
    name: of[name]
    for of, names in (
        (
            FILES,
            (
                "a file is a pipe",
                "the graphs are swapped",
                "the version is a link",
                "the manifest is cut off",
            ),
        ),
        (MANIFESTS, ("a manifest of 100 MB", "a later schema", "a class with a line's end")),
        (GRAPHS, ("weights at 'secret' in a branch", "10^12 values by Expand", "10^10 values by a product")),
        (ANSWERS, ("NaN on the example",)),
        (CALIBRATIONS, ("an archive that unpacks to 200 MB",)),
    )
    for name in names
}


MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""
"""Runs a command in a small parent: a child's peak memory is counted from that of its parent."""


@pytest.mark.parametrize("damage", SHOWN.values(), ids=list(SHOWN))
def test_it_ends_with_a_one_line_error(tmp_path: Path, damage: Damage) -> None:
    damage.do(sound(tmp_path))
    serve = [sys.executable, "-m", "caveat", "serve", "--port", "0", str(tmp_path / "store")]
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, *serve],
        cwd=tmp_path / "outside",
        capture_output=True,
        text=True,
        timeout=60,
    )
    code, memory = map(int, ended.stdout.split())
    assert code == 1
    assert re.fullmatch(rf"caveat serve: .*(?:{damage.words}).*\n", ended.stderr)
    assert memory < 300e6


def test_scripts_in_a_card_and_in_names_do_not_run(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    script = "<script>alert(1)</script>"
    seal(folder, card_html=script.encode())
    edit(folder, classes=["no", script], description=script)
    with serving(folder.parents[1]) as service:
        shown = service.get("/models/tabular/card")
        assert shown.content == (folder / CARD).read_bytes()
        policy = shown.headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy
        assert not [rule for rule in policy if rule.startswith("script-src")]
        for path in ("/models/tabular", "/models", "/openapi.json"):
            assert service.get(path).headers["content-type"] == "application/json"
        assert script not in service.get("/docs").text
