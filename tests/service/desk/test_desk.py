"""The desk answers without any protocol."""

import asyncio
import gc
import shutil
import weakref
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.desk import Desk
from caveat.service.desk.refusals import ClosingError, FullError, LateError, LeftError, NotReadyError
from caveat.service.desk.versions.catalogue import UnknownModelError
from caveat.service.settings import Settings
from tests.bundles import linear_regression

POINTS = [[1, 2, 3], [0.5, -1, 2]]
ENDLESS = Asked(10**9, 0)


def soon() -> float:
    return perf_counter() + 60


def test_it_finds_answers_and_tells_what_is_ready(bundles: Path) -> None:
    desk = Desk(Settings(store=bundles))

    async def main() -> None:
        async with desk.running():
            with pytest.raises(NotReadyError, match="not loaded yet"):
                desk.find("linear")
            desk.load()
            desk.check_ready("linear")
            for name, version in (("none", None), ("linear", 7), ("linear", "champion"), (None, None)):
                with pytest.raises(UnknownModelError):
                    desk.find(name, version)
            with pytest.raises(InputError, match="version: expected a valid integer or an alias"):
                desk.find("linear", "1.5")
            predictor = desk.find("linear", "1")
            inputs = predictor.encode(POINTS)
            once = await desk.answer(predictor, inputs, None, soon())
            assert once["mean"].tolist() == [6.5, 9.0]
            answer = await desk.answer(predictor, inputs, Asked(50, 3), soon())
            expected = estimate(Predictor(linear_regression()), POINTS, 50, 3, "stratified")
            for name in expected:
                np.testing.assert_array_equal(answer[name], expected[name])
        with pytest.raises(ClosingError):
            desk.check_ready()
        with pytest.raises(ClosingError):
            await desk.answer(predictor, inputs, None, soon())

    asyncio.run(main())


def test_it_refuses_what_is_too_much_too_late_or_for_nobody(bundles: Path) -> None:
    desk = Desk(Settings(store=bundles, max_pending=1, drain=0.1, timeout=1e9))

    async def left() -> None:
        await asyncio.sleep(0.05)

    async def main() -> None:
        async with desk.running():
            desk.load()
            predictor = desk.find("linear")
            inputs = predictor.encode(POINTS)
            with pytest.raises(LateError, match="no answer in time"):
                await desk.answer(predictor, inputs, ENDLESS, perf_counter() + 0.05)
            with pytest.raises(LeftError):
                await desk.answer(predictor, inputs, ENDLESS, soon(), until_left=left)
            waiting = asyncio.create_task(desk.answer(predictor, inputs, ENDLESS, soon()))
            while not desk.admission.requests:
                await asyncio.sleep(0)
            with pytest.raises(FullError, match="1 request is waiting already"):
                await desk.answer(predictor, inputs, None, soon())
        with pytest.raises(ClosingError):  # what has no answer when the time to drain is over
            await waiting
        assert (desk.admission.requests, desk.admission.passes) == (0, 0)

    asyncio.run(main())


def test_a_client_that_can_not_be_watched_gets_its_answer(bundles: Path) -> None:
    desk = Desk(Settings(store=bundles))

    async def broken() -> None:
        raise RuntimeError("no such thing")

    async def main() -> None:
        async with desk.running():
            desk.load()
            predictor = desk.find("linear")
            asked = Asked(10**6, 0)
            answer = await desk.answer(predictor, predictor.encode(POINTS), asked, soon(), until_left=broken)
            assert answer["passes"].tolist() == [10**6] * 2

    asyncio.run(main())


def test_it_watches_its_store_and_reports_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("caveat.service.desk.monitoring.log.lines", lines.extend)
    store.add(tmp_path, linear_regression())
    desk = Desk(Settings(store=tmp_path, poll=0.05))

    def told() -> int:
        return len([line for line in lines if "linear 2 is loaded" in line])

    async def main() -> None:
        before = told()
        async with desk.running():
            desk.load()
            store.add(tmp_path, linear_regression(bias=2.0))
            async with asyncio.timeout(60):
                while told() == before:
                    await asyncio.sleep(0.01)
            assert list(desk.catalogue.versions("linear")) == [1, 2]

    for _ in range(2):  # it may run again, in another event loop
        asyncio.run(main())
        desk.rollout.catalogue = None
        shutil.rmtree(tmp_path / "linear" / "2")
    assert told() == 2


def test_garbage_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of bad requests leaves cycles, which Python collects only after millions of objects."""

    class Kept:
        def __init__(self) -> None:
            self.itself = self

    async def main() -> None:
        gone = weakref.ref(Kept())
        async with Desk(Settings(store=None)).running():
            while gone() is not None:
                await asyncio.sleep(0.01)

    monkeypatch.setattr("caveat.service.desk.desk._TIDY", 0.05)
    gc.disable()
    try:
        asyncio.run(asyncio.wait_for(main(), 60))
    finally:
        gc.enable()
