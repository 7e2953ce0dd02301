"""Write the table of settings in operations.md: ``python docs/settings.py``."""

import re
from pathlib import Path

from pydantic.fields import FieldInfo

from caveat.service.settings import Settings

FILE = Path(__file__).with_name("operations.md")

TABLE = re.compile(r"^\| flag \|.*?\n(?=\n)", re.MULTILINE | re.DOTALL)


def table() -> str:
    """Render every setting as a row of Markdown."""
    rows = [
        f"| `{flag(name)}` | `CAVEAT_{name.upper()}` | {default(field)} | {meaning(field)} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return "| flag | variable | default | what it is |\n|---|---|---|---|\n" + "".join(rows)


def flag(name: str) -> str:
    """Name a setting as on the command line, where the store alone has no flag."""
    return "STORE" if name == "store" else "--" + name.replace("_", "-")


def default(field: FieldInfo) -> str:
    """Show a default as it would be given."""
    value = field.default
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def meaning(field: FieldInfo) -> str:
    """Show a description, which Markdown must not take for HTML or for columns."""
    assert field.description is not None
    return field.description.replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(TABLE.sub(lambda _: table(), FILE.read_text()))
