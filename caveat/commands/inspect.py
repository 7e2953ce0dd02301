"""The command ``caveat inspect``: what a bundle states of itself, or what a store holds, for a person."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg

from caveat.commands.command import Command
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.description import describe, listing

LAYOUT = {"bundle or store": {"path": "PATH"}}


class Inspect(Command):
    """Verify a bundle and print what it states of itself, or list what a store holds."""

    path: CliPositionalArg[Path] = Field(
        description="folder of a bundle, of a model, which stands for its highest version, or of a store"
    )

    def cli_cmd(self) -> None:
        """Load, which verifies every digest, and print."""
        if store.is_store(self.path):
            print(listing(self.path))
        else:
            print(describe(Bundle.load(store.find(self.path)).manifest))
