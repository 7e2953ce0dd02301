"""Authorisation: where API keys are set, requests need one; admin routes always need an admin key."""

from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from caveat.service.keys import Keys
from caveat.service.rest import routes
from caveat.service.rest.problems import RequestError, respond
from caveat.service.rest.routes import Access
from caveat.service.rest.scope import path_of
from caveat.service.settings import Settings

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class Guard:
    """ASGI middleware that refuses requests without a key for their path, before their bodies are read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._for_all = settings.api_keys is None
        self._admin_keys = settings.admin_keys
        self._keys = all_keys(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        try:
            if scope["type"] == "http":
                self.check(scope, routes.access(path_of(scope)))
        except RequestError as refusal:
            response = await respond(Request(scope), refusal)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def check(self, scope: Scope, access: Access) -> int | None:
        """Refuse a request without a key for its route; else give the number of its key.

        Where no keys are set for clients, and for routes that need none, there is no number.

        Parameters
        ----------
        access
            Who may ask the route.

        Raises
        ------
        RequestError
            401 if the request has no key or an unknown one; 403 if its key does not open this route, or no
            admin keys are set.
        """
        if access == "admins":
            self._check_admin(shown(scope))
        elif not (access == "anyone" or self._for_all):
            number = self._keys.find(key := shown(scope))
            if number is None:
                raise _unauthorized(key)
            return number
        return None

    def _check_admin(self, key: bytes) -> None:
        if self._admin_keys is None:
            detail = "no admin keys are set, so /admin is closed; start the service with --admin-keys"
            raise RequestError(403, detail)
        if not self._keys.hold(key):
            raise _unauthorized(key)
        if not self._admin_keys.hold(key):
            raise RequestError(403, "this key does not open /admin")


def all_keys(settings: Settings) -> Keys:
    """Give the keys of both kinds; a key's number is its place among them."""
    given = [keys for keys in (settings.api_keys, settings.admin_keys) if keys is not None]
    return Keys(known for keys in given for known in keys.hashes)


def shown(scope: Scope) -> bytes:
    """Find the bearer key of a request; empty, which opens nothing, if there is none."""
    shown: bytes = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = shown.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _unauthorized(key: bytes) -> RequestError:
    detail = "unknown key" if key else "a key is needed; send it in the header Authorization: Bearer KEY"
    return RequestError(401, detail, _CHALLENGE)
