import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inference.batching import BatchSlice, Job
from app.inference.fair_queue import Backlog, FairQueue
from tests.unit.simulated_queue import a_job, a_model

ONE = a_model(1)
BATCHES_OF_16 = a_model(16)


def dispatched(queue: FairQueue, batches: int) -> list[BatchSlice]:
    return [part for _ in range(batches) for part in queue.next_batch(64)]


def rows_by_client(slices: list[BatchSlice]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for part in slices:
        rows[part.job.client] = rows.get(part.job.client, 0) + part.stop - part.start
    return rows


def test_two_clients_get_equal_time_though_one_sent_a_hundred_times_as_much() -> None:
    queue = FairQueue()
    for _ in range(1000):
        queue.add(a_job(ONE, "many"))
    for _ in range(10):
        queue.add(a_job(ONE, "few"))
    assert rows_by_client(dispatched(queue, 20)) == {"many": 10, "few": 10}


def test_clients_share_time_and_not_turns() -> None:
    slow, quick = a_model(1), a_model(1)
    queue = FairQueue()
    for _ in range(100):
        queue.add(a_job(slow, "slow", row_s=3.0))
        queue.add(a_job(quick, "quick", row_s=1.0))
    rows = rows_by_client(dispatched(queue, 80))
    assert abs(3 * rows["slow"] - rows["quick"]) <= 3


def test_models_of_one_client_share_its_time() -> None:
    slow, quick = a_model(1), a_model(1)
    queue = FairQueue()
    for _ in range(100):
        queue.add(a_job(slow, row_s=3.0))
    for _ in range(100):
        queue.add(a_job(quick, row_s=1.0))
    models = [part.job.model for part in dispatched(queue, 80)]
    assert abs(3 * models.count(slow) - models.count(quick)) <= 3


def test_a_client_that_uses_two_models_gets_no_more_than_one_that_uses_one() -> None:
    first, second = a_model(1), a_model(1)
    queue = FairQueue()
    for _ in range(50):
        queue.add(a_job(first, "two models"))
        queue.add(a_job(second, "two models"))
        queue.add(a_job(first, "one model"))
    assert rows_by_client(dispatched(queue, 40)) == {"two models": 20, "one model": 20}


def test_time_without_requests_earns_nothing() -> None:
    queue = FairQueue()
    for _ in range(200):
        queue.add(a_job(ONE, "steady"))
    dispatched(queue, 100)
    for _ in range(100):
        queue.add(a_job(ONE, "late"))
    assert rows_by_client(dispatched(queue, 20)) == {"steady": 10, "late": 10}


def test_a_small_request_of_another_client_is_in_the_next_batch_but_one() -> None:
    queue = FairQueue()
    queue.add(a_job(BATCHES_OF_16, "large", rows=256))
    queue.next_batch(64)
    small = a_job(BATCHES_OF_16, "small")
    queue.add(small)
    assert small in [part.job for part in dispatched(queue, 2)]


def test_rows_of_other_clients_fill_up_a_batch() -> None:
    queue = FairQueue()
    for i in range(20):
        queue.add(a_job(BATCHES_OF_16, f"client {i}"))
    assert [len(queue.next_batch(64)) for _ in range(3)] == [16, 4, 0]


def test_jobs_that_are_withdrawn_are_not_computed_and_no_longer_count() -> None:
    queue = FairQueue()
    jobs = [a_job(BATCHES_OF_16, "a", rows=20) for _ in range(3)]
    for job in jobs:
        queue.add(job)
    assert queue.backlog("a") == Backlog(60.0, 3, 60.0, 0)
    queue.next_batch(64)
    assert queue.backlog("b") == Backlog(0.0, 0, 44.0, 1)
    for job in jobs:
        job.answer.cancel()
        queue.withdraw(job)
        queue.withdraw(job)
    assert queue.backlog("a") == Backlog(0.0, 0, 0.0, 0)
    assert queue.next_batch(64) == []
    assert not queue.clients


_jobs = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(1, 40), st.booleans()),
    max_size=30,
)


@given(jobs=_jobs, max_requests=st.integers(1, 5))
def test_every_row_is_in_exactly_one_batch_and_the_backlog_is_what_is_left(
    jobs: list[tuple[str, int, int, bool]], max_requests: int
) -> None:
    models = (a_model(16), a_model(4))
    queue = FairQueue()
    added: list[Job] = []
    rows: dict[Job, list[int]] = {}
    for client, model, size, batch_after in jobs:
        added.append(a_job(models[model], client, size))
        queue.add(added[-1])
        if batch_after:
            _record(queue.next_batch(max_requests), rows)
        left = sum(job.rows - len(rows.get(job, ())) for job in added)
        assert queue.backlog("nobody").total_s == pytest.approx(left)
        for name in "abc":
            own = [job for job in added if job.client == name]
            waiting = [job for job in own if len(rows.get(job, ())) < job.rows]
            assert queue.backlog(name).own_jobs == len(waiting)
    while slices := queue.next_batch(max_requests):
        _record(slices, rows)
    assert all(rows[job] == list(range(job.rows)) for job in added)


def _record(slices: list[BatchSlice], rows: dict[Job, list[int]]) -> None:
    assert len({(part.job.model, part.job.function) for part in slices}) <= 1
    if slices:
        assert sum(part.stop - part.start for part in slices) <= slices[0].job.model.max_batch
    for part in slices:
        rows.setdefault(part.job, []).extend(range(part.start, part.stop))
