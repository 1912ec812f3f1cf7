"""The problem types of the service and the exceptions of the client."""

import pytest

from app.api.problems import INTERNAL, PROBLEMS, VALIDATION
from zserve_client import (
    ForbiddenError,
    InvalidRequestError,
    ServerError,
    TooLargeError,
    UnavailableError,
)
from zserve_client.errors import BY_TYPE, problem_error


@pytest.mark.parametrize("kind", [*PROBLEMS.values(), VALIDATION, INTERNAL], ids=lambda k: k.slug)
def test_every_problem_of_the_service_has_an_exception_that_fits(kind):
    error = problem_error({"type": kind.uri, "detail": "so", "remedy": "do"}, kind.status)
    assert error.type == kind.slug
    expected = {413: TooLargeError, 401: ForbiddenError, 503: UnavailableError, 500: ServerError}
    assert isinstance(error, expected.get(kind.status, type(error)))
    if kind.status == 422 and kind.slug not in BY_TYPE:
        assert isinstance(error, InvalidRequestError)


def test_every_problem_that_the_client_names_is_one_of_the_service():
    assert BY_TYPE.keys() <= {kind.slug for kind in PROBLEMS.values()}
