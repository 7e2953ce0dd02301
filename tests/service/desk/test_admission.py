"""Who is let in: small requests and /predict past large ones, and each key up to its share."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk import admission as admissions
from caveat.service.desk.admission import Admission, Visit
from caveat.service.desk.batching.job import Job
from caveat.service.desk.refusals import FullError
from caveat.service.desk.room import SMALL
from caveat.service.settings import Settings
from tests.bundles import linear_regression

LINEAR = Predictor(linear_regression(), threads=1)


class Door:
    """Lets requests in that stay until the end."""

    def __init__(self, **settings: Any) -> None:
        self.admission = Admission(Settings(**settings))
        self._stack = ExitStack()

    def let_in(self, rows: int, samples: int | None, key: int | None = None) -> Visit:
        with ExitStack() as stack:
            visit = stack.enter_context(self.admission.visit(key))
            visit.come_in()
            asked = samples and Asked(samples, 0)
            visit.begin_work(Job(LINEAR, {"x": np.zeros((rows, 3), np.float32)}, asked or None))
            self._stack.push(stack.pop_all())
        return visit

    def fill(self, rows: int, samples: int | None, key: int | None = None) -> int:
        """Let in as many as the door takes; count them."""
        for count in range(1000):
            try:
                self.let_in(rows, samples, key)
            except FullError:
                return count
        raise AssertionError("no end of it")

    def refused(self, rows: int, samples: int | None, key: int | None = None) -> str:
        with pytest.raises(FullError) as found:
            self.let_in(rows, samples, key)
        assert "try again shortly" in found.value.detail
        return found.value.detail

    def close(self) -> None:
        self._stack.close()
        assert (self.admission.requests, self.admission.passes, self.admission.bytes) == (0, 0, 0)


def tried(work: Callable[[], object]) -> None:
    async def main() -> None:  # jobs need an event loop
        work()

    asyncio.run(main())


def test_a_quarter_of_the_places_is_kept_for_small_requests_and_for_predict() -> None:
    def work() -> None:
        door = Door(max_pending=16)
        assert door.fill(100, 100) == 12
        assert "12 large requests are waiting already" in door.refused(11, 100)
        for rows, samples in ((10, 100), (1, SMALL), (1, None), (4096, None)):
            door.let_in(rows, samples)
        assert "16 requests are waiting already" in door.refused(1, None)
        door.close()

    tried(work)


def test_a_quarter_of_the_passes_is_kept_whatever_large_requests_hold() -> None:
    def work() -> None:
        door = Door(max_pending_passes=100_000)
        door.let_in(1, 1_000_000)  # the only large request may exceed the limit
        assert "1000000 passes over rows are waiting already" in door.refused(11, 100)
        assert door.fill(10, 100) == 25
        door.close()
        door = Door(max_pending_passes=100_000)
        assert door.fill(100, 50) == 15
        assert door.fill(1000, None) == 25
        door.close()

    tried(work)


def test_small_requests_may_fill_what_large_ones_leave() -> None:
    def work() -> None:
        door = Door(max_pending=16, max_pending_passes=16_000)
        assert door.fill(10, 100) == 16
        door.close()
        door = Door(max_pending_passes=16_000)
        assert door.fill(10, 100) == 16
        door.let_in(1, 100_000)  # no small ones, however many, keep out the only large one
        assert "passes over rows are waiting already" in door.refused(1, 1001)
        door.close()

    tried(work)


def test_the_only_small_request_finds_room_whatever_the_limits() -> None:
    def work() -> None:
        door = Door(max_pending_passes=10)
        for samples in (100, None):
            door.let_in(4, samples).leave()
            door.let_in(1, 100_000)
            door.let_in(4096 if samples is None else 10, samples)
            door.refused(10, 100)
            door.close()
        door = Door(max_pending_passes=4000)
        for key in range(5):
            door.let_in(1, 2, key)
        door.let_in(10, 100, key=5)  # which is more than a sixth
        door.refused(1, 2, key=5)
        door.close()

    tried(work)


def test_requests_that_are_read_off_the_event_loop_hold_no_place() -> None:
    def work() -> None:
        door = Door(max_pending=1)
        with door.admission.visit() as visit:
            visit.come_in()
            with visit.reading():
                assert door.admission.requests == 1
                held = door.let_in(1, 100)
                door.refused(1, 100)
                held.leave()
            door.refused(1, 100)
        assert door.admission.requests == 0

    tried(work)


def test_keys_that_ask_share_the_room() -> None:
    def work() -> None:
        door = Door(max_pending=16)
        assert door.fill(1, 100, key=1) == 12  # alone it has what is not kept
        assert "12 requests of this key are waiting already" in door.refused(1, 100, key=1)
        assert door.fill(1, 100, key=2) == 4
        assert "16 requests are waiting already" in door.refused(1, 100, key=3)
        door.close()
        door = Door(max_pending=16)
        held = [door.let_in(1, 100, key=1) for _ in range(12)]
        door.let_in(1, 100, key=2)
        held.pop().leave()
        door.refused(1, 100, key=1)  # which has more than half
        for _ in range(4):
            held.pop().leave()
        door.let_in(1, 100, key=1)
        door.refused(1, 100, key=1)
        door.close()

    tried(work)


def test_a_key_that_was_refused_counts_as_one_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        now = [100.0]
        monkeypatch.setattr(admissions, "perf_counter", lambda: now[0])
        door = Door(max_pending=16)
        held = [door.let_in(100, 100, key=1) for _ in range(12)]
        door.refused(100, 100, key=2)
        held.pop().leave()
        assert "11 requests of this key" in door.refused(100, 100, key=1)
        now[0] += 1  # as Retry-After told it
        door.let_in(100, 100, key=2)
        held.pop().leave()
        door.refused(100, 100, key=1)
        door.close()
        now[0] += 3
        assert door.fill(100, 100, key=1) == 12

    tried(work)


def test_no_key_holds_more_passes_than_its_share_while_others_ask() -> None:
    def work() -> None:
        door = Door(max_pending_passes=100_000)
        door.let_in(1, 100, key=1)
        assert "passes over rows of this key are waiting" in door.refused(1, 100_000, key=2)
        assert door.fill(100, 100, key=2) == 3
        assert door.fill(10, 100, key=2) == 20
        door.close()

    tried(work)


def test_a_flood_of_one_key_is_refused_unread_and_other_keys_are_not() -> None:
    def work() -> None:
        door = Door(max_pending=16)
        assert not door.admission.is_full(11, key=1)
        assert door.admission.is_full(12, key=1)
        door.fill(1, 100, key=1)
        assert not door.admission.is_full(12, key=2)
        assert door.admission.is_full(16, key=None)
        assert door.admission.is_full(32, key=2)
        door.close()

    tried(work)
