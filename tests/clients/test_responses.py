"""Replies that do not come from zserve."""

import pytest

from tests.clients.conftest import Script
from zserve_client import Client, ServerError, UnexpectedAnswerError
from zserve_client._responses import Reply, check, read_image, read_json, square_columns

WEB_SERVER = Reply("/models", 200, {"content-type": "text/html"}, b"<h1>It works!</h1>")


@pytest.mark.parametrize("read", [read_json, read_image])
def test_the_page_of_another_server_is_recognised(read):
    with pytest.raises(UnexpectedAnswerError, match="is this the address of a zserve service"):
        read(WEB_SERVER)


def test_every_kind_of_method_recognises_another_server(scripted: Script):
    scripted.answers = [(200, {"Content-Type": "text/html"}, b"<h1>It works!</h1>")]
    with Client(scripted.url) as client:
        for call in (client.models, client.ready, client.generate, client.wait_until_ready):
            with pytest.raises(
                UnexpectedAnswerError, match="is this the address of a zserve service"
            ):
                call()


def test_the_text_of_a_proxy_is_kept():
    with pytest.raises(ServerError, match="HTTP status 502: <h1>Bad Gateway</h1>"):
        check(Reply("/generate", 502, {}, b"<h1>Bad\n Gateway</h1>"))


def test_an_error_without_a_body_names_its_status():
    with pytest.raises(ServerError, match="HTTP status 500"):
        check(Reply("/generate", 500, {}, b""))


def test_a_grid_has_as_many_columns_as_the_smallest_square():
    for n in range(1, 200):
        columns = square_columns(n)
        assert (columns - 1) ** 2 < n <= columns**2
