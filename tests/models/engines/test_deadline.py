import threading
import time

import numpy as np
import pytest

from caveat.models.bundles.bundle import PREDICT, pack
from caveat.models.engines.deadline import Deadline
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression
from tests.models.damage.graphs import as_long_as_its_rows_say


@pytest.fixture(scope="module")
def slow() -> Predictor:
    bundle = linear_regression()
    return Predictor(pack(bundle.manifest, {**bundle.files, PREDICT: as_long_as_its_rows_say()}), threads=1)


def rows(largest: float) -> dict[str, np.ndarray]:
    return {"x": np.array([[1, 2, largest]], np.float32)}


LONG = 1e7
"""Steps that take seconds."""


def test_a_run_ends_at_its_deadline_and_others_go_on(slow: Predictor) -> None:
    with pytest.raises(TimeoutError), Deadline().until(time.perf_counter() + 0.2):
        slow.predict(rows(LONG))
    assert slow.predict(rows(3)).shape == (1,)
    with Deadline().until(time.perf_counter() + 1000):
        assert slow.predict(rows(4)).shape == (1,)


def test_the_deadline_is_that_of_one_thread(slow: Predictor) -> None:
    ended: list[object] = []

    def long() -> None:
        with Deadline().until(time.perf_counter() + 0.2):
            try:
                slow.predict(rows(LONG))
            except TimeoutError as error:
                ended.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    with Deadline().until(time.perf_counter() + 1000):
        while thread.is_alive():
            ended.append(slow.predict(rows(1000)).shape)
    assert [each for each in ended if isinstance(each, TimeoutError)]
    assert {each for each in ended if not isinstance(each, TimeoutError)} == {(1,)}


def test_an_inner_deadline_gives_way_to_the_outer_one(slow: Predictor) -> None:
    with Deadline().until(time.perf_counter() + 0.2):
        with Deadline().until(time.perf_counter() + 1000):
            assert slow.predict(rows(3)).shape == (1,)
        with pytest.raises(TimeoutError):
            slow.predict(rows(LONG))


def test_another_thread_can_end_a_run(slow: Predictor) -> None:
    deadline = Deadline()
    timer = threading.Timer(0.2, deadline.expire)
    timer.start()
    with deadline.until(time.perf_counter() + 1000), pytest.raises(TimeoutError):
        slow.predict(rows(LONG))
    timer.join()


def test_runs_are_watched_again_after_a_pause_without_any(
    slow: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caveat.models.engines.deadline._IDLE", 1)
    for _ in range(2):
        with pytest.raises(TimeoutError), Deadline().until(time.perf_counter() + 0.1):
            slow.predict(rows(LONG))
        time.sleep(0.3)


def test_a_run_that_begins_late_in_its_block_is_watched(
    slow: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caveat.models.engines.deadline._IDLE", 1)
    with Deadline().until(time.perf_counter() + 0.4):
        time.sleep(0.3)
        with pytest.raises(TimeoutError):
            slow.predict(rows(LONG))


def test_what_has_expired_begins_no_further_run(slow: Predictor) -> None:
    deadline = Deadline()
    deadline.expire()
    with pytest.raises(TimeoutError), deadline.until(time.perf_counter() + 1000):
        slow.predict(rows(LONG))


def test_an_inner_deadline_is_no_later_than_the_outer_one(slow: Predictor) -> None:
    with (
        pytest.raises(TimeoutError),
        Deadline().until(time.perf_counter() + 0.2),
        Deadline().until(time.perf_counter() + 1000),
    ):
        slow.predict(rows(LONG))


def test_deadlines_that_are_made_all_the_while_do_not_end_the_watch(slow: Predictor) -> None:
    over = threading.Event()

    def make() -> None:
        while not over.is_set():
            Deadline()

    maker = threading.Thread(target=make)
    maker.start()
    for _ in range(10):
        with pytest.raises(TimeoutError), Deadline().until(time.perf_counter() + 0.1):
            slow.predict(rows(LONG))
    over.set()
    maker.join()
