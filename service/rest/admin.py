"""Administration of a running service: updating from the store, and moving aliases."""

from typing import Annotated

import orjson
from fastapi import Path, Request
from pydantic import ValidationError

from caveat.models.bundles import aliases
from caveat.models.errors import InputError
from caveat.service.desk.description import failing
from caveat.service.desk.desk import Desk
from caveat.service.rest.content.keys import refuse_repeated
from caveat.service.rest.documentation.operations import PARAMETERS
from caveat.service.rest.documentation.schemas import Aliases, Pointer, Reloaded, versions
from caveat.service.rest.models import Name
from caveat.service.rest.problems import RequestError

Alias = Annotated[str, Path(description=PARAMETERS["alias"][1])]

_LONGEST = 4096
"""Bytes of a request's body at most."""


class AdminHandlers:
    """The handlers of the admin routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def reload(self) -> Reloaded:
        """Update from the store: load new versions, drop those that are gone, retry those that failed."""
        changes = await self._desk.update("retry")
        return Reloaded(
            loaded=versions(changes.loaded),
            dropped=versions(changes.dropped),
            failing=failing(changes.failing),
        )

    async def point(self, request: Request, name: Name, alias: Alias) -> Aliases:
        """Point an alias at a version, in the store and in every worker."""
        if not aliases.sound(alias):
            expected = "a name of lower-case letters, digits, - and _ that is not a number"
            raise InputError("alias", expected, alias[:80])
        version = await _version(request)
        self._desk.find(name, version)
        return Aliases(name=name, aliases=await self._desk.point(name, alias, version))

    async def unpoint(self, name: Name, alias: Alias) -> Aliases:
        """Remove an alias, in the store and in every worker."""
        self._desk.find(name, alias)
        return Aliases(name=name, aliases=await self._desk.point(name, alias, None))


async def _version(request: Request) -> int:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LONGEST:
            raise RequestError(413, f'the body is longer than {_LONGEST} bytes; expected {{"version": 3}}')
    try:
        version = Pointer.model_validate(orjson.loads(raw)).version
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"not JSON: {error}") from None
    except ValidationError:
        raise InputError(
            "body", '{"version": 3}, with a version\'s number', raw[:80].decode(errors="replace")
        ) from None
    refuse_repeated(bytes(raw), len(Pointer.model_fields))
    return version
