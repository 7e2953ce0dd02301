"""What the commands of ``caveat`` share."""

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


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
