import pytest

from training.progress import following, tracked


def test_a_loop_reports_the_fraction_after_each_item():
    fractions: list[float] = []
    with following(fractions.append):
        assert list(tracked("abcd")) == ["a", "b", "c", "d"]
    assert fractions == [0.25, 0.5, 0.75, 1.0]


def test_a_loop_inside_of_a_loop_reports_within_the_part_around_it():
    fractions: list[float] = []
    with following(fractions.append):
        for _ in tracked(range(2)):
            for _ in tracked(range(2)):
                pass
    assert fractions == [0.25, 0.5, 0.5, 0.75, 1.0, 1.0]


def test_loops_one_after_the_other_each_go_to_one():
    fractions: list[float] = []
    with following(fractions.append):
        list(tracked("a"))
        list(tracked("bc"))
    assert fractions == [1.0, 0.5, 1.0]


def test_a_loop_that_an_error_ends_does_not_narrow_the_next_one():
    fractions: list[float] = []
    with following(fractions.append):
        with pytest.raises(ZeroDivisionError):
            list(1 / item for item in tracked([1, 0]))  # noqa: C400 - the generator is abandoned
        list(tracked("a"))
    assert fractions[-1] == 1.0


def test_nothing_is_reported_if_nobody_follows():
    fractions: list[float] = []
    with following(fractions.append):
        pass
    assert list(tracked([])) == []
    assert list(tracked([1, 2])) == [1, 2]
    assert fractions == []
