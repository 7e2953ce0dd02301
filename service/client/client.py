"""Asks a running service."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson
from pydantic import ValidationError

from caveat.models.bundles.features import Feature
from caveat.models.errors import CaveatError
from caveat.service.client.rows_file import Features
from caveat.service.client.table import form_of

_TIMEOUT = httpx.Timeout(5, read=None)  # how long an answer takes is up to samples and rows


class Client:
    """A running service, and the model of it that is asked.

    Parameters
    ----------
    url
        Where the service is.
    headers
        Sent with every request, such as the key.
    model, version
        Name of a model, and its version or an alias; by default the service's default model, and the highest.

    Raises
    ------
    CaveatError
        If the URL is none.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], model: str | None = None, version: str | None = None
    ) -> None:
        self._model = model
        self._path = "" if model is None else f"/models/{quote(model, safe='')}"
        if version is not None:
            self._path += f"/versions/{quote(version, safe='')}"
        try:
            self._client = httpx.Client(base_url=url, timeout=_TIMEOUT, headers=headers)
        except httpx.InvalidURL as error:
            raise CaveatError(f"--url {url} is no URL: {error}") from None

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, verb: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Ask the model.

        Parameters
        ----------
        verb
            ``predict`` or ``predict/uncertainty``.
        request
            Its body.

        Returns
        -------
        answer, text
            The answer, read and as it came.

        Raises
        ------
        CaveatError
            If there is no answer, or the service refuses; the message is the service's own.
        """
        try:
            response = _call(self._client, "POST", f"{self._path}/{verb}", request)
        except UnknownError as error:
            hint = "" if self._model else " (name a model with --model)"
            raise CaveatError(f"{error}{hint}") from None
        answer = _document(response)
        if not {"model", "version"} <= answer.keys():
            raise _stranger(self._client)
        return answer, response.text

    def targets(self, answer: Mapping[str, Any]) -> list[str] | None:
        """Ask what the targets of an answer are called, if its rows have several."""
        form = form_of(answer)
        if form is None or "targets" not in form.column(form.main).axes:
            return None
        path = f"/models/{quote(answer['model'], safe='')}/versions/{answer['version']}"
        targets: list[str] = _document(_call(self._client, "GET", path))["targets"]
        return targets

    def features(self) -> Features:
        """Ask which features the model has, and what each takes.

        Raises
        ------
        CaveatError
            If it has none, or there is no such model.
        """
        try:
            path = self._path
            if self._model is None:
                name = _document(_call(self._client, "GET", "/models"))["default"]
                if name is None:
                    raise CaveatError("the service has no default model; name one with --model")
                path = f"/models/{quote(name, safe='')}"
            model = _document(_call(self._client, "GET", path))
            features = [feature for spec in model["inputs"] for feature in spec["features"] or ()]
            if not features:
                raise CaveatError(f"{model['name']} takes no named features; send its rows as JSON or .npy")
            return {feature["name"]: Feature.model_validate(feature) for feature in features}
        except (KeyError, TypeError, ValidationError):
            raise _stranger(self._client) from None


class UnknownError(CaveatError):
    """What was asked for is not there."""


def _call(client: httpx.Client, method: str, path: str, request: object = None) -> httpx.Response:
    try:
        content = None if request is None else orjson.dumps(request)
    except orjson.JSONEncodeError as error:
        raise CaveatError(f"the rows can't be written as JSON: {error}") from None
    try:
        response = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    except httpx.HTTPError as error:
        raise CaveatError(f"no answer from {client.base_url}: {error}") from None
    if response.is_success:
        return response
    problem = _document(response)
    if not {"status", "title", "detail"} <= problem.keys():
        raise _stranger(client)
    kind = UnknownError if problem["status"] == 404 else CaveatError
    hint = " (give one with --api-key-file, or in CAVEAT_API_KEY)" if problem["status"] == 401 else ""
    raise kind(f"{problem['status']} {problem['title']}: {problem['detail']}{hint}")


def _document(response: httpx.Response) -> dict[str, Any]:
    """Read an answer as the JSON object that every answer of the service is."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CaveatError(
            f"{response.url} answered {response.status_code} without a JSON object; is it a Caveat service?"
        )
    return content


def _stranger(client: httpx.Client) -> CaveatError:
    return CaveatError(f"{client.base_url} does not answer as a Caveat service does; is --url right?")
