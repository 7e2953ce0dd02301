"""Administration of a running service: updating from the store, and moving aliases."""

from typing import Annotated

import orjson
from anyio import to_thread
from fastapi import FastAPI, Path, Request
from pydantic import ValidationError

from caveat.models.bundles import aliases
from caveat.models.bundles.aliases import AliasError
from caveat.models.errors import CaveatError, InputError
from caveat.service.documentation.operations import PARAMETERS, problems, ref
from caveat.service.documentation.schemas import Aliases, Pointer, Reloaded, failing, versions
from caveat.service.endpoints import Endpoints, Name
from caveat.service.errors import RequestError
from caveat.service.versions.outcome import Outcome
from caveat.service.versions.rollout import Action
from caveat.service.versions.watch import report

Alias = Annotated[str, Path(description=PARAMETERS["alias"][1])]

_LONGEST = 4096
"""Bytes of a request's body at most."""


class Admin:
    """The handlers of the admin routes."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def reload(self) -> Reloaded:
        """Update from the store: load new versions, drop those that are gone, retry those that failed."""
        outcome = await self._everywhere("retry")
        return Reloaded(
            loaded=versions(outcome.loaded),
            dropped=versions(outcome.dropped),
            failing=failing(outcome.failing),
        )

    async def point(self, request: Request, name: Name, alias: Alias) -> Aliases:
        """Point an alias at a version, in the store and in every worker."""
        if not aliases.sound(alias):
            expected = "a name of lower-case letters, digits, - and _ that is not a number"
            raise InputError("alias", expected, alias[:80])
        version = await _version(request)
        self._endpoints.find(name, version)
        return await self._changed(name, alias, version)

    async def unpoint(self, name: Name, alias: Alias) -> Aliases:
        """Remove an alias, in the store and in every worker."""
        self._endpoints.find(name, alias)
        return await self._changed(name, alias, None)

    async def _changed(self, name: str, alias: str, version: int | None) -> Aliases:
        if self._endpoints.settings.store is None:
            raise RequestError(409, "the bundled models take no aliases; serve a store of your own")
        folder = self._endpoints.rollout.store / name
        try:
            await to_thread.run_sync(aliases.point, folder, alias, version)
        except AliasError as error:
            raise RequestError(409, str(error)) from None
        await self._everywhere("point")
        found = self._endpoints.catalogue().aliases_of(name)
        if found.get(alias) != version:
            raise RequestError(409, f"{alias} stands for {found.get(alias)}: the store changed meanwhile")
        return Aliases(name=name, aliases=found)

    async def _everywhere(self, action: Action) -> Outcome:
        self._endpoints.catalogue()  # refuses with 503 while the models are loading
        try:
            outcome = await self._endpoints.relay.everywhere(action)
        except CaveatError as error:
            raise RequestError(504, str(error)) from None
        report(outcome.news)
        if outcome.trouble:
            raise RequestError(409, f"nothing has changed: {outcome.trouble}")
        return outcome


async def _version(request: Request) -> int:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LONGEST:
            raise RequestError(413, f'the body is longer than {_LONGEST} bytes; expected {{"version": 3}}')
    try:
        return Pointer.model_validate(orjson.loads(raw)).version
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"not JSON: {error}") from None
    except ValidationError:
        raise InputError(
            "body", '{"version": 3}, with a version\'s number', raw[:80].decode(errors="replace")
        ) from None


def add_routes(app: FastAPI, admin: Admin) -> None:
    """Add the routes for operators."""
    app.add_api_route(
        "/admin/reload",
        admin.reload,
        methods=["POST"],
        tags=["Operate"],
        summary="Update from the store now",
        responses=problems(409, 500, 503, 504),
    )
    alias = "/admin/models/{name}/aliases/{alias}"
    app.add_api_route(
        alias,
        admin.point,
        methods=["PUT"],
        tags=["Operate"],
        summary="Point an alias at a version",
        responses=problems(400, 404, 409, 413, 422, 500, 503, 504),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ref("Pointer")}},
            }
        },
    )
    app.add_api_route(
        alias,
        admin.unpoint,
        methods=["DELETE"],
        tags=["Operate"],
        summary="Remove an alias",
        responses=problems(404, 409, 422, 500, 503, 504),
    )
