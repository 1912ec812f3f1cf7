import pytest

from app.inference.pace import UNMEASURED_S, Pace, Slowdown


def test_a_function_that_was_never_measured_takes_a_moment() -> None:
    assert Pace().seconds_per_row("decode") == UNMEASURED_S


def test_the_first_batch_is_the_measurement_and_later_ones_move_it() -> None:
    pace = Pace()
    pace.record("decode", 16, 16, 1.6)
    assert pace.seconds_per_row("decode") == pytest.approx(0.1)
    for _ in range(100):
        pace.record("decode", 16, 16, 3.2)
    assert pace.seconds_per_row("decode") == pytest.approx(0.2, rel=1e-3)


def test_a_single_row_whose_fixed_costs_dominate_hardly_counts() -> None:
    pace = Pace({"decode": 0.1})
    pace.record("decode", 1, 64, 0.9)
    assert pace.seconds_per_row("decode") < 0.102


def test_functions_are_measured_separately() -> None:
    pace = Pace({"decode": 0.1, "encode": 0.3})
    pace.record("decode", 16, 16, 3.2)
    assert pace.seconds_per_row("encode") == 0.3


def test_a_slowdown_is_the_elapsed_time_per_second_of_computation() -> None:
    slowdown = Slowdown()
    assert slowdown.factor == 1.0
    for _ in range(100):
        slowdown.record(0.003, 0.001)
    assert slowdown.factor == pytest.approx(3.0)
    for _ in range(100):
        slowdown.record(0.001, 0.001)
    assert slowdown.factor == pytest.approx(1.0, rel=1e-3)


def test_a_batch_that_took_no_measurable_time_is_no_reason_to_divide_by_zero() -> None:
    slowdown = Slowdown()
    slowdown.record(0.0, 0.0)
    assert slowdown.factor == 1.0
