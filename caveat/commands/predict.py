"""The command ``caveat predict``: asks a running service about the rows of a file."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from caveat.commands.command import Command
from caveat.models.draws.masks import MAX_SEED
from caveat.service.client import credentials
from caveat.service.client.client import Client
from caveat.service.client.rows_file import read_rows
from caveat.service.client.table import table

LAYOUT = {
    "service": {"url": "URL", "model": "NAME", "version": "VERSION", "api_key_file": "FILE"},
    "request": {"file": "FILE", "samples": "N", "seed": "N", "deterministic": None},
    "output": {"json": None},
}


class Predict(Command):
    """Ask a running service about the rows of a file, and print a line for each."""

    file: CliPositionalArg[Path] = Field(
        description="JSON (a list of rows, or a whole request), .npy, .npz (an array for each of several"
        " inputs), or .csv with the names of the features in its first line; - reads JSON from standard input"
    )
    url: str = Field("http://127.0.0.1:8000", description="where the service is")
    model: str | None = Field(None, description="name of a model; by default the service's default one")
    version: str | None = Field(
        None, description="version of the named model, or an alias; by default the highest"
    )
    samples: Annotated[int, Field(ge=2, le=MAX_SEED)] | None = Field(
        None, description="stochastic passes to make; by default as many as the service does"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal["random"] | None = Field(
        None, description="seed of the passes; by default the service's own"
    )
    api_key_file: Path | None = Field(
        None, description="file with the key to show; by default the one in CAVEAT_API_KEY, if any"
    )
    deterministic: bool = Field(False, description="ask for a prediction without its uncertainty")
    json_: bool = Field(False, validation_alias="json", description="print the answer as it came")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"--url {self.url} is no URL; expected one such as http://{self.url}")
        if self.version is not None and self.model is None:
            raise ValueError("--version is of a --model: name it too")
        if self.deterministic and not (self.samples is None and self.seed is None):
            raise ValueError("--deterministic makes no passes: leave --samples and --seed out")
        return self

    def cli_cmd(self) -> None:
        """Ask, and print what comes back."""
        headers = credentials.headers(self.api_key_file)
        with Client(self.url, headers, self.model, self.version) as client:
            content = read_rows(self.file, client.features)
            request = content if isinstance(content, dict) and "inputs" in content else {"inputs": content}
            asked = {"samples": self.samples, "seed": self.seed}
            request |= {name: value for name, value in asked.items() if value is not None}
            verb = "predict" if self.deterministic else "predict/uncertainty"
            answer, text = client.ask(verb, request)
            print(text if self.json_ else table(answer, client.targets(answer)))
