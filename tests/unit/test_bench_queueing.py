"""The queueing model of the benchmark, against theory."""

import numpy as np
import pytest

from benchmarks.serving.queue_model import BatchTime, fit, latencies


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_batches_of_one_request_are_the_queue_m_d_1(load: float):
    seconds = 0.01
    waits = latencies(load / seconds, BatchTime(0, seconds, 1), seed=1) - seconds
    assert np.mean(waits) == pytest.approx(load * seconds / (2 * (1 - load)), rel=0.05)
    assert np.mean(waits < 1e-12) == pytest.approx(1 - load, abs=0.01)  # nobody is before them


def test_a_batch_that_costs_as_much_as_one_request_carries_more_than_one_of_them():
    seconds = 0.01
    rate = 3 / seconds  # three times what batches of one could answer
    times = latencies(rate, BatchTime(seconds, 0, 64), seed=1)
    assert np.min(times) == pytest.approx(seconds)
    assert np.max(times) <= 2 * seconds + 1e-12  # the batch that runs, and the next one


def test_two_workers_at_twice_the_rate_are_as_fast_as_one():
    batch_time = BatchTime(0.001, 0.002, 4)
    one = np.percentile(latencies(200, batch_time, seed=1), [50, 99])
    two = np.percentile(latencies(400, batch_time, workers=2, seed=2), [50, 99])
    assert two == pytest.approx(one, rel=0.05)


def test_the_capacity_is_that_of_full_batches():
    assert BatchTime(0.001, 0.002, 4).capacity_per_s == pytest.approx(4 / 0.009)


def test_the_time_of_a_batch_is_fitted_to_bursts_that_need_several_batches():
    true = BatchTime(0.0005, 0.003, 4)
    bursts = {k: -(-k // 4) * true.fixed_s + k * true.each_s for k in (1, 2, 4, 8, 16)}
    fitted = fit(bursts, 4)
    assert fitted.fixed_s == pytest.approx(true.fixed_s)
    assert fitted.each_s == pytest.approx(true.each_s)


def test_no_fitted_time_is_negative():
    fitted = fit({1: 0.0025, 2: 0.006, 4: 0.013}, 4)
    assert fitted.fixed_s == 0
    assert fitted.each_s > 0
