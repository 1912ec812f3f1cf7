"""Waits, overload and fairness in virtual time, with the theory of queues as the oracle."""

from collections import deque

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.inference.admission import Admission, Usage, wait_s
from app.inference.fair_queue import Backlog
from tests.unit.simulated_queue import (
    Arrival,
    Outcome,
    Server,
    a_model,
    merged,
    percentile,
    poisson,
)

SECONDS = 20.0
ONSET_S = 3.0
"""Time after the first refusal until an overload is steady: the queue of its onset is computed."""


def share(outcomes: list[Outcome], client: str) -> float:
    """Return the share of a client's requests that were answered."""
    own = [each for each in outcomes if each.arrival.client == client]
    return sum(each.ended is not None for each in own) / len(own)


# --- the estimate of a wait ---


def test_jobs_of_one_client_and_size_are_computed_in_turn_so_all_of_them_are_before_a_new_one() -> (
    None
):
    assert wait_s(Backlog(6.0, 3, 6.0, 0), work_s=2.0, turn_s=2.0) == 6.0


def test_a_small_request_waits_for_two_batches_of_a_large_one_and_not_for_its_end() -> None:
    assert wait_s(Backlog(100.0, 1, 100.0, 0), work_s=0.1, turn_s=1.0) == 2.0


def test_a_request_of_just_over_one_batch_takes_two_turns_and_so_does_each_job_before_it() -> None:
    assert wait_s(Backlog(100.0, 2, 100.0, 0), work_s=9.0, turn_s=8.0) == (2 * 2 + 1) * 8.0


def test_an_error_of_rounding_is_not_a_turn() -> None:
    assert wait_s(Backlog(100.0, 3, 100.0, 0), work_s=0.1 * 3, turn_s=0.1) == pytest.approx(1.0)


def test_a_client_with_nothing_waiting_is_not_behind_the_work_of_another() -> None:
    assert wait_s(Backlog(0.0, 0, 100.0, 1), work_s=0.1, turn_s=1.0) == pytest.approx(1.1)


@given(
    waiting=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 60)), min_size=1, max_size=20
    ),
    client=st.sampled_from("abcde"),
    rows=st.integers(1, 60),
    batches_before=st.integers(0, 10),
)
@example(waiting=[("a", 24), ("a", 19)], client="a", rows=9, batches_before=0)
def test_an_estimate_is_too_low_by_at_most_one_turn_per_client(
    waiting: list[tuple[str, int]], client: str, rows: int, batches_before: int
) -> None:
    server = Server(row_s=1.0, target_s=None, model=a_model(8))
    for name, size in waiting:
        server.ask(Arrival(0.0, name, size))
    server.advance(0.0)
    for _ in range(batches_before):
        server.advance(server.ends)
    backlog, now, running_s = server.queue.backlog(client), server.ends, 0.0
    if server.running:
        now, running_s = server.ends - 1.0, 1.0
    estimate = wait_s(backlog, float(rows), 8.0)
    assert estimate <= backlog.total_s
    outcome = server.ask(Arrival(now, client, rows))
    server.advance(float("inf"))
    bound = min(backlog.total_s, estimate + 8.0 * (backlog.other_clients + 1))
    assert outcome.seconds <= running_s + bound + rows + 1e-9


# --- requests below the capacity ---


def test_the_simulated_queue_has_the_mean_wait_of_pollaczek_and_khinchine() -> None:
    server = Server(row_s=0.01)
    outcomes = server.run(poisson(80, 200))
    assert all(each.ended is not None for each in outcomes)
    load = server.busy_s / 200
    mean_wait = sum(each.seconds for each in outcomes) / len(outcomes) - 0.01
    assert mean_wait == pytest.approx(load / (2 * (1 - load)) * 0.01, rel=0.15)


def test_a_burst_that_can_be_answered_within_the_target_is_admitted_whole() -> None:
    burst = [Arrival(i * 1e-6) for i in range(199)]
    outcomes = Server(row_s=0.01).run([*burst, Arrival(2.5)])
    assert all(each.ended is not None for each in outcomes)
    assert percentile(outcomes, 100) <= 2.0


def test_of_a_larger_burst_as_much_is_admitted_as_can_be_answered_within_the_target() -> None:
    outcomes = Server(row_s=0.01).run(Arrival(i * 1e-6) for i in range(1000))
    assert sum(each.ended is not None for each in outcomes) == pytest.approx(200, abs=2)
    assert percentile(outcomes, 100) <= 2.001


def test_clients_that_wait_for_their_answers_are_never_refused_within_the_target() -> None:
    server = Server(row_s=0.01)
    queue = deque(server.ask(Arrival(0.0)) for _ in range(150))
    server.advance(0.0)
    for _ in range(1000):
        now = server.ends
        server.advance(now)
        while queue and queue[0].ended is not None:
            queue.popleft()
            queue.append(server.ask(Arrival(now)))
        assert len(queue) == 150
    assert not server.admission.overloaded


def test_a_request_larger_than_the_target_is_admitted_if_it_need_not_wait() -> None:
    outcomes = Server(row_s=0.01, model=a_model(16)).run([Arrival(0.0, rows=1000)])
    assert outcomes[0].ended == pytest.approx(10.0)


# --- overload ---


@pytest.mark.parametrize("factor", [1.5, 5.0, 20.0])
def test_an_overload_leaves_goodput_and_the_waits_of_the_admitted_as_they_are(
    factor: float,
) -> None:
    quiet = Server(row_s=0.01).run(poisson(80, SECONDS))
    server = Server(row_s=0.01)
    outcomes = server.run(poisson(100 * factor, SECONDS))
    onset_s = ONSET_S + 2.0 / (factor - 1.0)
    done = [e for e in outcomes if e.ended is not None and onset_s <= e.ended < SECONDS]
    assert len(done) * 0.01 >= 0.99 * (SECONDS - onset_s)
    assert percentile(outcomes, 99, onset_s) <= 2 * percentile(quiet, 99)
    assert percentile(outcomes, 100) <= 2.0 + 1e-9
    assert server.admission.overloaded


def test_a_queue_that_is_full_before_the_target_is_an_overload_too() -> None:
    quiet = Server(row_s=0.01).run(poisson(80, SECONDS))
    server = Server(row_s=0.01, most_rows=100)
    outcomes = server.run(poisson(200, SECONDS))
    done = [e for e in outcomes if e.ended is not None and ONSET_S <= e.ended < SECONDS]
    assert len(done) * 0.01 >= 0.99 * (SECONDS - ONSET_S)
    assert percentile(outcomes, 99, ONSET_S) <= 2 * percentile(quiet, 99)
    assert server.admission.overloaded


def test_a_large_request_that_does_not_fit_is_no_overload_while_usual_ones_do() -> None:
    server = Server(row_s=0.01, most_rows=100)
    usual = [Arrival(i * 1e-6) for i in range(50)]
    outcomes = server.run([*usual, Arrival(1e-3, rows=60), Arrival(2e-3)])
    assert [each.ended is not None for each in outcomes] == [True] * 50 + [False, True]
    assert not server.admission.overloaded


def test_an_overload_by_many_clients_with_one_request_each_is_no_different() -> None:
    quiet = Server(row_s=0.01).run(poisson(80, SECONDS))
    stream = poisson(500, SECONDS)
    outcomes = Server(row_s=0.01).run(
        Arrival(each.at, f"client {i}") for i, each in enumerate(stream)
    )
    done = [e for e in outcomes if e.ended is not None and ONSET_S <= e.ended < SECONDS]
    assert len(done) * 0.01 >= 0.99 * (SECONDS - ONSET_S)
    assert percentile(outcomes, 99, ONSET_S) <= 2 * percentile(quiet, 99)


def test_an_overload_ends_when_few_requests_are_refused() -> None:
    server = Server(row_s=0.01)
    before = poisson(500, 10.0)
    after = [Arrival(10.0 + each.at) for each in poisson(70, 20.0, seed=1)]
    outcomes = server.run([*before, *after])
    assert not server.admission.overloaded
    assert all(each.ended is not None for each in outcomes if each.arrival.at > 14.0)


def test_an_overload_is_over_after_a_pause_so_the_next_burst_is_admitted_whole() -> None:
    pause = 10.0 + 2.0 + 2.0
    burst = [Arrival(pause + i * 1e-6) for i in range(150)]
    outcomes = Server(row_s=0.01).run([*poisson(500, 10.0), *burst])
    assert all(each.ended is not None for each in outcomes if each.arrival.at >= pause)


def test_small_requests_are_answered_soon_beside_large_ones_of_the_same_client() -> None:
    large = [Arrival(i * 0.25, rows=40) for i in range(80)]
    outcomes = Server(row_s=0.005, model=a_model(4)).run(merged(large, poisson(10, SECONDS)))
    small = [each for each in outcomes if each.arrival.rows == 1]
    assert percentile(small, 99) <= 0.5
    assert sum(each.ended is not None for each in small) >= 0.95 * len(small)


# --- fairness ---


def test_a_client_below_its_share_is_served_as_if_the_greedy_one_were_not_there() -> None:
    greedy = poisson(1000, SECONDS, "greedy")
    polite = poisson(10, SECONDS, "polite", seed=1)
    outcomes = Server(row_s=0.01).run(merged(greedy, polite))
    assert share(outcomes, "polite") == 1.0
    own = [each for each in outcomes if each.arrival.client == "polite"]
    assert percentile(own, 99) <= 0.1
    assert share(outcomes, "greedy") == pytest.approx(90 / 1000, rel=0.1)


def test_a_client_below_its_share_is_served_beside_ten_greedy_ones() -> None:
    greedy = [poisson(100, SECONDS, f"greedy {i}", seed=i) for i in range(10)]
    polite = poisson(2, SECONDS, "polite", seed=99)
    outcomes = Server(row_s=0.01).run(merged(polite, *greedy))
    assert share(outcomes, "polite") == 1.0
    shares = [share(outcomes, f"greedy {i}") for i in range(10)]
    assert max(shares) <= 1.4 * min(shares)


def test_two_greedy_clients_get_equal_shares_though_one_sends_four_times_as_much() -> None:
    outcomes = Server(row_s=0.01).run(
        merged(poisson(800, SECONDS, "most"), poisson(200, SECONDS, "more", seed=1))
    )
    answered = [
        sum(each.ended is not None and each.arrival.client == client for each in outcomes)
        for client in ("most", "more")
    ]
    assert answered[0] <= 1.5 * answered[1]


def test_usage_forgets_exponentially() -> None:
    usage = Usage(memory_s=2.0)
    usage.add("old", 1.0, now_s=0.0)
    usage.add("new", 1.0, now_s=0.0)
    assert not usage.is_small("old", 0.01, now_s=0.0)
    usage.add("new", 1.0, now_s=4.0)
    assert usage.is_small("old", 0.01, now_s=4.0)


def test_usage_of_ever_new_clients_takes_bounded_memory() -> None:
    usage = Usage(memory_s=2.0)
    for i in range(10_000):
        usage.add(f"client {i}", 0.01, now_s=i * 0.1)
        assert usage.clients <= Usage.MOST_CLIENTS


def test_an_admission_begins_without_overload() -> None:
    assert not Admission(2.0).overloaded
