"""What the commands of ``caveat`` share."""

import sys
from collections.abc import Iterable, Mapping

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

Layout = Mapping[str, Mapping[str, str | None]]
"""Groups of fields by title; for each field what stands for its value in the help, None for its choices."""

READING = {
    "separator": "MARK",
    "decimal": None,
    "encoding": "NAME",
    "numeric": "NAMES",
    "dates": "NAMES",
    "labels": None,
}
"""The group of `caveat.training.data.options.HeldOutOptions`."""


class Command(BaseSettings):
    """A command whose options come from its flags alone, never from the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out every source but the flags."""
        return (init_settings,)


def say(notes: Iterable[str]) -> None:
    """Write notes for a person on standard error."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
