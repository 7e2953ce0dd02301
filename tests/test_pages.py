"""What the pages of the repository refer to is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PAGES = sorted(page for folder in (".", "docs", "examples") for page in (ROOT / folder).glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        file = page.parent / path if path else page
        assert file.is_file(), link
        assert not heading or heading in anchors(file), link


def anchors(page: Path) -> list[str]:
    """List what a page's headings are called in links to them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_the_programs_that_give_the_figures_are_there() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bbenchmarks/[\w/]+\.py\b", text))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]


@pytest.mark.parametrize("package", ["caveat.models", "caveat.service"])
def test_the_figure_of_the_house_is_that_of_the_contracts(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == [package])
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    drawn = [cell.strip().removeprefix("-> ") for line in lines for cell in re.split(r" {3,}\|?|^ *\|", line)]
    assert [cell for cell in drawn if cell in layers] == layers
