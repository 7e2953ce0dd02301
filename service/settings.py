"""The settings of the service: flags of ``caveat serve``, and environment variables."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, CliPositionalArg, NoDecode, SettingsConfigDict

from caveat.models.bundles.manifest import Name
from caveat.models.draws.masks import MAX_SEED
from caveat.models.engines.engine import Precision
from caveat.models.engines.onnx_runtime import CPU
from caveat.service.keys import KeysSetting


class Settings(BaseSettings):
    """Every setting of the service; a flag overrides the environment, which overrides the default."""

    model_config = SettingsConfigDict(env_prefix="CAVEAT_", env_ignore_empty=True)

    store: CliPositionalArg[Path | None] = Field(
        None,
        description="folder of bundles, <store>/<name>/<version>/; by default those that ship with Caveat",
    )
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 listens on every network of this machine"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="port to listen on; 0 takes a free one"
    )
    poll: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        2.0, description="seconds between polls of the store; 0 updates only on POST /admin/reload"
    )
    default_model: Name | None = Field(
        None, description="model that /predict asks; optional when the store holds only one"
    )
    max_rows: Annotated[int, Field(ge=1)] = Field(4096, description="rows that one request may hold")
    max_samples: Annotated[int, Field(ge=2)] = Field(
        10_000, description="passes that one request may ask for"
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(
        32 * 2**20, description="bytes that the body of a request may hold"
    )
    max_pending: Annotated[int, Field(ge=1)] = Field(
        128, description="requests that may wait or run at once; further ones get a 429"
    )
    max_pending_passes: Annotated[int, Field(ge=1)] = Field(
        50_000_000,
        description="rows x samples that may wait or run at once; a request that is alone may exceed this",
    )
    timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="seconds that a request may wait and run; then it gets a 504"
    )
    client_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="seconds that a client has to send its request, and to read its answer"
    )
    drain: Annotated[float, Field(ge=0)] = Field(
        30.0, description="seconds that a stop waits for admitted requests to be answered"
    )
    default_seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        0, description="seed of a request that gives none"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        1, description="processes that share the port; more answer more requests, and each holds all models"
    )
    threads: Annotated[int, Field(ge=0)] = Field(
        0,
        description="threads that one run of a network may use; 0 divides the cores among the workers, or"
        " takes one thread where runs are too short for more",
    )
    precision: Precision = Field(
        "float32",
        description="precision of matrix products; bfloat16 needs pip install '.[bfloat16]' in Caveat's"
        " folder, and answers name it",
    )
    providers: Annotated[tuple[str, ...], NoDecode, Field(min_length=1)] = Field(
        (CPU,),
        description="execution providers of ONNX Runtime, separated by commas, the preferred one first:"
        " CUDAExecutionProvider,CPUExecutionProvider runs on a GPU, in float32",
    )

    api_keys: KeysSetting | None = Field(
        None,
        description="path of a file with the keys of clients, one per line, or keys separated by commas;"
        " without keys, the service answers everyone who reaches it",
    )
    admin_keys: KeysSetting | None = Field(
        None, description="the same for the keys that open /admin; without keys, /admin is closed"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate and its intermediate certificates, to serve HTTPS"
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key of the certificate")

    @field_validator("providers", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.precision != "float32" and self.providers != (CPU,):
            raise ValueError(f"--providers is for float32; {self.precision} runs on the CPU")
        return self

    @model_validator(mode="after")
    def _whole_identity(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("--tls-certificate and --tls-key need each other")
        return self
