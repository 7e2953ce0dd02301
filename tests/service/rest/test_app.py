import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.serving import ROOT, Service

PROOF = """
import asyncio, sys
from pathlib import Path
import httpx
import caveat.commands.serve, caveat.commands.predict
from caveat.service.rest.app import create_app
from caveat.service.settings import Settings

async def ask():
    app = create_app(Settings(store=Path(sys.argv[1]), default_model="linear"))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://caveat")
    async with app.lifespan(app), client:
        for path in ("/models", "/models/linear", "/docs", "/openapi.json", "/metrics"):
            assert (await client.get(path)).status_code == 200
        for path in ("/predict", "/predict/uncertainty"):
            assert (await client.post(path, json={"inputs": [[1, 2, 3]]})).status_code == 200

asyncio.run(ask())
loaded = {".".join(name.split(".")[:2]) for name in sys.modules}
print(loaded & {"torch", "sklearn", "onnx", "polars", "caveat.training"})
"""


def test_serving_never_imports_torch(bundles: Path) -> None:
    proof = subprocess.run(
        [sys.executable, "-c", PROOF, str(bundles)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert proof.stdout == "set()\n", proof.stderr


def test_health(service: Service) -> None:
    assert service.get("/health/live").json() == {"status": "live"}
    assert service.get("/health/ready").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_answers_head_requests(service: Service, path: str) -> None:
    response = service.client.head(path)
    assert (response.status_code, response.content) == (200, b"")


def test_the_root_redirects_to_the_docs(service: Service) -> None:
    response = service.get("/")
    assert (response.status_code, response.headers["Location"]) == (307, "/docs")
    assert "/" not in service.get("/openapi.json").json()["paths"]


def test_models_are_listed(service: Service) -> None:
    listed = service.get("/models").json()
    assert listed["default"] == "tabular"
    assert [(model["name"], model["versions"]) for model in listed["models"]] == [
        ("linear", [1]),
        ("tabular", [1, 2]),
    ]
    assert listed["models"][0]["task"] == "regression"


def test_a_model_is_described(service: Service) -> None:
    model = service.get("/models/tabular").json()
    assert (model["version"], model["versions"], model["default"]) == (2, [1, 2], True)
    assert model["classes"] == ["no", "yes"]
    smoker = model["inputs"][0]["features"][1]
    assert (smoker["name"], smoker["categories"]) == ("smoker", ["no", "yes"])
    assert model["sites"][0]["rate"] == 0.25
    assert len(model["digest"]) == 64
    assert service.get("/models/tabular/versions/1").json()["sites"][0]["rate"] == 0.5
    assert service.get("/models/linear").json()["default"] is False
