import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models import predictor as predictors
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import PREDICT, pack
from caveat.models.bundles.manifest import Site
from caveat.models.draws import cache, masks
from caveat.models.estimates.answer import estimate, predicted
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.models.tasks.decisions import NOTHING, Decisions
from caveat.service.desk.batching import batcher as batchers
from caveat.service.desk.batching.batcher import Batcher
from caveat.service.desk.batching.group import Group, Member
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.waiting import late
from caveat.service.desk.refusals import ClosingError, LateError
from tests.bundles import calibrated, linear_regression, tabular
from tests.models.damage.graphs import as_long_as_its_rows_say

LINEAR = Predictor(linear_regression(), threads=1, kept_seed=0)
TABULAR = Predictor(calibrated(tabular()), threads=1, kept_seed=0)


def rows(predictor: Predictor, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).uniform(0, 2, (count, 3)).astype(np.float32)
    if predictor is TABULAR:
        values[:, 1] = values[:, 1] > 1
    return {"x": values}


def alone(job: Job) -> Columns:
    if job.asked is None:
        return predicted(job.predictor, job.inputs)
    asked = job.asked
    columns = estimate(job.predictor, job.inputs, asked.samples, asked.seed, asked.sampler, asked.tolerance)
    return {**columns, **job.predictor.task.decide(asked.decisions, columns, job.predictor.calibration)}


def served(work: Callable[[Batcher], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        batcher = Batcher()
        try:
            return await asyncio.wait_for(work(batcher), 60)
        finally:
            batcher.close()

    return asyncio.run(main())


def test_finished_rows_are_scored_once() -> None:
    async def main() -> None:
        job = Job(TABULAR, rows(TABULAR, 20), Asked(3000, 0, tolerance=0.01))
        group = Group([Member(job, job.take(20))])
        scored = 0
        while not scored:
            group.step()
            scored = sum(len(scores.columns["predictive_entropy"]) for scores in group.scores)
        assert 0 < scored < 20
        job.fail(RuntimeError())
        assert (group.step(), group.scores) == ([], ())

    asyncio.run(main())


def same(found: Columns, expected: Columns) -> None:
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column, name)


QUESTIONS = st.tuples(
    st.sampled_from([LINEAR, TABULAR]),
    st.integers(1, 40),
    st.one_of(
        st.none(),
        st.builds(
            Asked,
            samples=st.integers(2, 200),
            seed=st.integers(0, 2),
            sampler=st.sampled_from(["stratified", "independent"]),
            tolerance=st.sampled_from([0.0, 0.05]),
            decisions=st.sampled_from([NOTHING, Decisions(coverage=0.9), Decisions(0.8, (), 0.5)]),
        ),
    ),
    st.integers(0, 3),
)


@given(
    questions=st.lists(QUESTIONS, min_size=1, max_size=12),
    working_set=st.sampled_from([100, 3000, 2**23]),
    on_loop=st.booleans(),
    leaving=st.sets(st.integers(0, 11)),
)
@settings(deadline=None, max_examples=60)
def test_every_row_gets_the_same_bits_as_alone(
    questions: Sequence[tuple[Predictor, int, Asked | None, int]],
    working_set: int,
    on_loop: bool,
    leaving: set[int],
) -> None:
    """In any mix and any chunks, on the event loop or off it, whichever jobs are cancelled midway."""

    async def work(batcher: Batcher) -> None:
        jobs: list[Job] = []
        for predictor, count, asked, turns in questions:
            job = Job(predictor, rows(predictor, count, seed=len(jobs)), asked)
            batcher.submit(job)
            jobs.append(job)
            for _ in range(turns):
                await asyncio.sleep(0)
        for number in leaving & set(range(len(jobs))):
            jobs[number].answer.cancel()
        for number, job in enumerate(jobs):
            if number not in leaving:
                same(await job.answer, alone(job))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictors, "WORKING_SET", working_set)
        patch.setattr(batchers, "_SHORT", 1.0 if on_loop else 0.0)
        served(work)


def test_waiting_jobs_share_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run = Predictor.run_passes

    def counted(self: Predictor, feed: Any) -> Any:
        runs.append(len(feed["x"]))
        return run(self, feed)

    monkeypatch.setattr(Predictor, "run_passes", counted)

    async def work(batcher: Batcher) -> None:
        samples = [100, 100, 30, 70]
        jobs = [Job(LINEAR, rows(LINEAR, 2), Asked(count, seed=0)) for count in samples]
        for job in jobs:
            batcher.submit(job)
        for job in jobs:
            same(await job.answer, alone(job))

    served(work)
    # Passes 0 to 30 run over all eight rows; then the job of 30 samples is done with its two rows, and so on.
    assert runs[:3] == [8, 6, 4]


def test_a_small_job_does_not_wait_for_a_large_one_whose_draws_are_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictors, "WORKING_SET", 1000)
    seeds: list[int] = []
    draw = masks.draw

    def counted(site: Site, seed: int, *rest: Any) -> Any:
        seeds.append(seed)
        return draw(site, seed, *rest)

    monkeypatch.setattr(cache, "draw", counted)

    async def work(batcher: Batcher) -> None:
        large = Job(LINEAR, rows(LINEAR, 2000), Asked(50, seed=1))
        batcher.submit(large)
        while large.waiting == large.rows:
            await asyncio.sleep(0)
        small = Job(LINEAR, rows(LINEAR, 1), Asked(2, seed=0))
        batcher.submit(small)
        await small.answer
        assert not large.answer.done()
        answer = await large.answer
        assert seeds.count(1) == 1
        same(answer, alone(large))

    served(work)


def test_an_error_of_one_job_does_not_fail_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Predictor.run_passes

    def fail_on_sevens(self: Predictor, feed: Any) -> Any:
        if (feed["x"] == 7).any():
            raise RuntimeError("seven")
        return run(self, feed)

    monkeypatch.setattr(Predictor, "run_passes", fail_on_sevens)

    async def work(batcher: Batcher) -> None:
        jobs = [Job(LINEAR, rows(LINEAR, 2), Asked(10, seed=0)) for _ in range(3)]
        jobs[1].inputs["x"][0, 0] = 7
        for job in jobs:
            batcher.submit(job)
        with pytest.raises(RuntimeError, match="seven"):
            await jobs[1].answer
        for job in (jobs[0], jobs[2]):
            same(await job.answer, alone(job))

    served(work)


def test_jobs_whose_clients_left_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictors, "WORKING_SET", 1000)
    runs = 0
    run = Predictor.run_passes

    def counted(self: Predictor, feed: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(self, feed)

    monkeypatch.setattr(Predictor, "run_passes", counted)

    async def work(batcher: Batcher) -> None:
        left = Job(LINEAR, rows(LINEAR, 1), Asked(10_000, seed=1))
        batcher.submit(left)
        while runs < 3:
            await asyncio.sleep(0)
        left.answer.cancel()
        job = Job(LINEAR, rows(LINEAR, 1), Asked(10_000, seed=1))
        batcher.submit(job)
        same(await job.answer, alone(job))

    served(work)
    needed = 10_000 // (1000 // (4 + 3))
    assert (
        needed < runs / 2 < needed + 10
    )  # half of the runs are those of `alone`; the cancelled job cost little


@pytest.mark.parametrize("part", ["load", "step", "receive"])
@pytest.mark.parametrize("short", [0.0, 1.0])
def test_a_fault_in_a_turn_fails_its_jobs_and_no_later_ones(
    part: str, short: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the fault is in filling the turn, in running it, or in handing out its pieces."""

    def broken(*_: object) -> Any:
        raise RuntimeError(part)

    monkeypatch.setattr(batchers, "_SHORT", short)

    async def work(batcher: Batcher) -> None:
        warm = Job(LINEAR, rows(LINEAR, 1), Asked(10, seed=0))
        batcher.submit(warm)  # the batcher learns the pace
        await warm.answer
        jobs = [Job(LINEAR, rows(LINEAR, 2), Asked(10, seed=0)) for _ in range(2)]
        with monkeypatch.context() as patch:
            if part == "load":
                monkeypatch.delattr(jobs[0], "load")
            else:
                owner, name = {"step": (batchers, "_step"), "receive": (Job, "receive")}[part]
                patch.setattr(owner, name, broken)
            for job in jobs:
                batcher.submit(job)
            first, _ = await asyncio.gather(*(job.answer for job in jobs), return_exceptions=True)
            assert isinstance(first, RuntimeError | AttributeError)
        later = Job(LINEAR, rows(LINEAR, 2), Asked(10, seed=0))
        batcher.submit(later)
        same(await later.answer, alone(later))

    served(work)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[batchers.StepResult]:
    """Record the runs, each of which seems to take 0.2 ms and 4 ns per value."""
    runs: list[batchers.StepResult] = []
    step = batchers._step

    def timed(group: Group, *limits: Any) -> list[batchers.StepResult]:
        outcomes = [replace(each, seconds=2e-4 + 4e-9 * each.load) for each in step(group, *limits)]
        runs.extend(outcomes)
        return outcomes

    monkeypatch.setattr(batchers, "_step", timed)
    return runs


async def small_one(batcher: Batcher) -> Job:
    job = Job(LINEAR, rows(LINEAR, 1), Asked(100, seed=0))
    batcher.submit(job)
    await job.answer
    return job


def test_turns_of_a_large_job_are_short_also_after_small_jobs(runs: list[batchers.StepResult]) -> None:
    """A small job's run takes mostly the fixed time of a run, and shows little of the time per value."""

    async def work(batcher: Batcher) -> None:
        for _ in range(20):
            await small_one(batcher)
        large = Job(LINEAR, rows(LINEAR, 2500), Asked(1000, seed=0))
        batcher.submit(large)
        while not large.gone:
            await small_one(batcher)

    served(work)
    seconds = [run.seconds for run in runs if run.load > 10_000]
    assert len(seconds) > 10
    assert 5e-4 < max(seconds[1:]) <= 1.01 * batchers._SHORT  # the first ran before its pace was known


def test_a_job_that_arrives_during_a_turn_is_in_the_next(
    runs: list[batchers.StepResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = batchers._step
    arrived: list[tuple[int, asyncio.Task[Job]]] = []

    async def work(batcher: Batcher) -> None:
        await small_one(batcher)  # the batcher learns the pace
        loop = asyncio.get_running_loop()

        def step_as_one_arrives(group: Group, *limits: Any) -> list[batchers.StepResult]:
            if len(runs) == 4:  # as bytes would, which the event loop finds after this turn and then reads
                loop.call_soon(lambda: arrived.append((len(runs), loop.create_task(small_one(batcher)))))
            return step(group, *limits)

        monkeypatch.setattr(batchers, "_step", step_as_one_arrives)
        large = Job(LINEAR, rows(LINEAR, 2500), Asked(1000, seed=0))
        batcher.submit(large)
        await large.answer
        ((count, task),) = arrived
        small = await task
        assert len(runs) > count + 3
        assert small in [job for job, _ in runs[count].pieces]

    served(work)


@pytest.mark.parametrize(("arrivals", "together"), [(1, 1), (3, 3), (20, 4)])
def test_a_job_that_arrives_while_others_are_read_joins_their_turn_if_there_is_room(
    runs: list[batchers.StepResult], monkeypatch: pytest.MonkeyPatch, arrivals: int, together: int
) -> None:
    step = batchers._step

    async def work(batcher: Batcher) -> None:
        loop = asyncio.get_running_loop()
        await small_one(batcher)  # takes more than a fifth of a turn
        tasks: list[asyncio.Task[Job]] = []

        def one_arrives() -> None:  # one per iteration of the loop
            tasks.append(loop.create_task(small_one(batcher)))
            if len(tasks) < arrivals:
                loop.call_soon(one_arrives)

        def step_as_the_first_arrives(group: Group, *limits: Any) -> list[batchers.StepResult]:
            if len(runs) == 1:
                loop.call_soon(one_arrives)
            return step(group, *limits)

        monkeypatch.setattr(batchers, "_step", step_as_the_first_arrives)
        await small_one(batcher)
        while len(tasks) < arrivals:
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    served(work)
    assert len(runs[2].pieces) == together


def test_without_further_jobs_a_turn_starts_in_the_next_iteration(runs: list[batchers.StepResult]) -> None:
    async def work(batcher: Batcher) -> None:
        await small_one(batcher)
        for _ in range(3):  # until the batcher no longer waits for jobs after its last turn
            await asyncio.sleep(0)
        batcher.submit(Job(LINEAR, rows(LINEAR, 1), Asked(100, seed=0)))
        await asyncio.sleep(0)
        assert len(runs) == 2

    served(work)


def test_with_more_jobs_than_fit_into_a_turn_the_next_turn_starts_at_once(
    runs: list[batchers.StepResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = batchers._step
    seen: list[int] = []

    async def work(batcher: Batcher) -> None:
        await small_one(batcher)
        loop = asyncio.get_running_loop()

        def step_as_time_goes_on(group: Group, *limits: Any) -> list[batchers.StepResult]:
            if len(runs) == 1:
                loop.call_soon(lambda: loop.call_soon(lambda: seen.append(len(runs))))
            return step(group, *limits)

        monkeypatch.setattr(batchers, "_step", step_as_time_goes_on)
        await asyncio.gather(*(small_one(batcher) for _ in range(300)))

    served(work)
    assert len(runs) > 3
    assert seen == [3]  # two iterations later, the next turn has run as well


def test_a_trickle_of_jobs_starts_once_it_fills_a_turn(runs: list[batchers.StepResult]) -> None:
    """Jobs that arrive one per iteration start as soon as they fill a turn, whichever turn came before."""

    async def work(batcher: Batcher) -> None:
        await small_one(batcher)  # runs on the thread, because the pace is not known yet
        await small_one(batcher)
        jobs = []
        while len(runs) == 2:
            jobs.append(Job(LINEAR, rows(LINEAR, 1), Asked(100, seed=0)))
            batcher.submit(jobs[-1])
            await asyncio.sleep(0)
        assert len(jobs) < 8
        for job in jobs:
            await job.answer

    served(work)


@pytest.fixture(scope="module")
def slow() -> Predictor:
    """Make a model of which one row may take seconds, and another one no time."""
    bundle = linear_regression()
    return Predictor(pack(bundle.manifest, {**bundle.files, PREDICT: as_long_as_its_rows_say()}), threads=1)


LONG = {"x": np.array([[1, 1, 1e7]], np.float32)}
MOMENT = {"x": np.array([[1, 1, 1]], np.float32)}


def test_a_run_that_blocks_the_event_loop_goes_on_beside_it_and_ends_when_it_is_due(slow: Predictor) -> None:
    async def work(batcher: Batcher) -> None:
        for _ in range(50):  # until such jobs run on the event loop
            job = Job(slow, MOMENT, None)
            batcher.submit(job)
            await job.answer
        late = Job(slow, LONG, None, due=perf_counter() + 1)
        batcher.submit(late)
        turns = 0
        while not late.gone:
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(LateError, match="no answer in time"):
            await late.answer
        assert turns > 10
        again = Job(slow, MOMENT, None)
        batcher.submit(again)
        same(await again.answer, alone(again))

    served(work)


def test_a_run_is_made_for_the_last_of_its_jobs(slow: Predictor) -> None:
    async def work(batcher: Batcher) -> None:
        inputs = {"x": np.array([[1, 1, 2e5]], np.float32)}
        jobs = [Job(slow, inputs, None, due=perf_counter() + due) for due in (0, 1000)]
        for job in jobs:
            batcher.submit(job)
        jobs[0].fail(late())
        same(await jobs[1].answer, alone(jobs[1]))

    served(work)


def test_closing_ends_the_run(slow: Predictor) -> None:
    async def work(batcher: Batcher) -> None:
        job = Job(slow, LONG, None)
        batcher.submit(job)
        await asyncio.sleep(0.3)
        batcher.close()
        with pytest.raises(ClosingError):
            await job.answer

    served(work)
