"""The two clients are one client."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import zserve_client
from zserve_client import AsyncClient, Client


def public(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        name: method
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def test_both_have_the_same_methods():
    assert public(Client).keys() == public(AsyncClient).keys()
    assert {
        "generate",
        "reconstruct",
        "interpolate",
        "traverse",
        "encode",
        "decode",
        "augment",
    } <= (public(Client).keys())


@pytest.mark.parametrize("name", public(Client))
def test_a_method_has_the_same_signature_in_both(name: str):
    assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name))


@pytest.mark.parametrize("name", [name for name in public(Client) if name != "__init__"])
def test_a_method_is_awaited_in_the_one_and_not_in_the_other(name: str):
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name))
    assert not inspect.iscoroutinefunction(getattr(Client, name))
    assert getattr(AsyncClient, name).__doc__ == f"See Client.{name}."
    assert getattr(Client, name).__doc__


def test_everything_that_is_offered_is_there_and_in_order():
    assert zserve_client.__all__ == sorted(zserve_client.__all__)
    assert all(hasattr(zserve_client, name) for name in zserve_client.__all__)
