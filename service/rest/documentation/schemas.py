"""The schemas of what operators ask and get."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from caveat.service.desk.description import Failing
from caveat.service.desk.versions.catalogue import Place


class Health(BaseModel):
    """State of the service."""

    status: Literal["live", "ready"]


class Unlogged(Health):
    """State of a service that answers, but whose log can't be written."""

    log: str = Field(description="Why the log can't be written, such as a full disk.")


class Pointer(BaseModel):
    """The version that an alias is to stand for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = Field(ge=1, description="A version that GET /models lists.")


class Aliases(BaseModel):
    """The aliases of a model, the same in every worker."""

    name: str
    aliases: dict[str, int]


class Version(BaseModel):
    """A version of a model."""

    name: str
    version: int


def versions(places: Iterable[Place]) -> list[Version]:
    """List versions of models."""
    return [Version(name=name, version=version) for name, version in sorted(places)]


class Reloaded(BaseModel):
    """The result of a reload, over all workers."""

    loaded: list[Version]
    dropped: list[Version]
    failing: list[Failing] = Field(description="What the service can't serve as the store has it.")
