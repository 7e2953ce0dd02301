"""docs/operations.md says of the settings what the code does."""

import runpy
from pathlib import Path

from caveat.service.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


def test_the_settings_table_is_that_of_the_code() -> None:
    table = runpy.run_path(str(DOCS / "settings.py"))["table"]()
    assert table.count("\n") == 2 + len(Settings.model_fields)
    assert table in (DOCS / "operations.md").read_text(), "run python docs/settings.py"
