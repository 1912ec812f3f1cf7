"""Equal query strings are validated once."""

from app.api.queries import DecodeQuery, GenerateQuery
from app.api.query_route import read_query


def test_equal_query_strings_share_one_query() -> None:
    query = read_query(b"n=3&seed=7", GenerateQuery)
    assert query == GenerateQuery(n=3, seed=7)
    assert read_query(b"n=3&seed=7", GenerateQuery) is query


def test_endpoints_do_not_share_queries() -> None:
    assert isinstance(read_query(b"columns=3", GenerateQuery), GenerateQuery)
    assert isinstance(read_query(b"columns=3", DecodeQuery), DecodeQuery)


def test_long_query_strings_are_not_kept() -> None:
    text = b"label=" + b"x" * 300
    query = read_query(text, GenerateQuery)
    assert read_query(text, GenerateQuery) == query
    assert read_query(text, GenerateQuery) is not query
