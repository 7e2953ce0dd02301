"""Memory of dropped versions and refused requests is freed."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from caveat.models.bundles import store
from caveat.models.errors import InputError
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.models.tasks.calibration import Calibration
from caveat.models.tasks.decisions import Decisions
from caveat.service.desk.batching.batcher import Batcher
from caveat.service.desk.batching.job import Job
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.versions.rollout import Rollout
from caveat.service.rest.app import create_app
from caveat.service.settings import Settings
from tests.bundles import calibrated, drawn, tabular
from tests.service.serving import until


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Turn the garbage collector off: it skips loaded models, which the service freezes at its start.

    Only objects without references are freed then.
    """
    gc.disable()
    yield
    gc.enable()


def test_a_version_is_freed_with_its_last_request(tmp_path: Path, uncollected: None) -> None:
    for version in (1, 2):
        store.add(tmp_path, calibrated(tabular(version=version)))
    rollout = Rollout(Settings(store=tmp_path), Metrics())
    rollout.begin()

    def asked() -> tuple[weakref.ref[Predictor], weakref.ref[Calibration], Job, Job]:
        assert rollout.catalogue
        predictor = rollout.catalogue.find("tabular", 1)
        assert predictor.calibration
        predictor.calibration.check(Decisions(0.9, (), 0.4))  # caches its results
        inputs, _ = drawn(predictor.manifest, 5, 0)
        first, second = Job(predictor, inputs, Asked(100, 0)), Job(predictor, inputs, None)
        return weakref.ref(predictor), weakref.ref(predictor.calibration), first, second

    async def main() -> None:
        held, calibration, first, second = asked()
        batcher = Batcher()
        shutil.rmtree(tmp_path / "tabular" / "1")
        outcome = await rollout.perform("update")
        assert outcome.dropped == {("tabular", 1)}
        for job in (first, second):
            batcher.submit(job)
            await job.answer
        while batcher._busy:  # until the turn has ended
            await asyncio.sleep(0)
        batcher.close()  # ends the thread, which held the last job
        batcher.turns.clear()  # as the records do several times a second
        assert held() is not None
        del first, second, job
        assert held() is None
        assert calibration() is None
        assert not batcher._sizing._paces

    asyncio.run(main())


def test_a_refused_body_is_freed_with_its_answer(tmp_path: Path, uncollected: None) -> None:
    store.add(tmp_path, calibrated(tabular()))
    app = create_app(Settings(store=tmp_path))

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.lifespan(app),
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            headers = {"Content-Type": "application/json"}
            return await client.post("/predict", headers=headers, content=b"[" * 2**20)  # parsed on a thread

    answer = asyncio.run(main())
    assert answer.status_code == 422
    until(
        lambda: not any(type(thing) is InputError for thing in gc.get_objects())
    )  # the thread may still hold it
