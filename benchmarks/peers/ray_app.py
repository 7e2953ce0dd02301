"""Ray Serve, with its batching decorator; the passes are tiled into one batch."""

import os
import signal
import threading
from typing import Any

import mc
import ray
import torch
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=200)
class Uncertainty:
    """Answers requests of one row."""

    def __init__(self) -> None:
        self.network = mc.network()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)  # type: ignore[untyped-decorator]  # Ray is not installed here
    async def answered(self, rows: list[list[list[float]]]) -> list[dict[str, Any]]:
        """Answer rows."""
        x = torch.tensor([row[0] for row in rows])
        answers = mc.columns(mc.tiled(self.network, x, 100))
        return [mc.row(answers, index) for index in range(len(x))]

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer a request."""
        answer: dict[str, Any] = await self.answered((await request.json())["inputs"])
        return answer


if __name__ == "__main__":
    variables = {name: value for name, value in os.environ.items() if name.startswith("PEER_")}
    here = os.path.dirname(os.path.abspath(__file__))
    ray.init(runtime_env={"env_vars": {**variables, "PYTHONPATH": here}}, include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])})
    serve.run(Uncertainty.bind(), route_prefix="/ask")  # type: ignore[attr-defined]  # added by the decorator
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()
    ray.shutdown()
