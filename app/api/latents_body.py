"""Read latents from a JSON body, at a cost that its length bounds."""

import codecs

import msgspec
import numpy as np
from starlette.requests import Request

from app.api.json_numbers import (
    NotNumbersError,
    RaggedError,
    array_shape,
    has_more_values,
    read_numbers,
)
from app.api.request_body import content_type_of, unsupported_body
from app.errors import LimitError, MalformedBodyError, ParameterError
from app.off_loop import LARGE_TEXT_BYTES, call
from app.typing import Floats

_OTHER_VALUES = 4096
"""Values beyond the rows that are tolerated until the body is parsed and its rows are counted."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    z: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Body)
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)
"""Checks that a text is JSON, without an object for any of its parts."""


async def read_latents(request: Request, latent: int, *, max_rows: int) -> Floats:
    """Read z from a JSON body {"z": [[...], ...]}; (batch, latent), finite.

    A body with many more than `max_rows` rows is refused before it is parsed. Raises
    UnsupportedBodyError, MalformedBodyError, ParameterError.
    """
    remedy = f'send JSON such as {{"z": [[...], ...]}}, with {latent} finite numbers in each row'
    content_type = content_type_of(request)
    if content_type != "application/json":
        raise unsupported_body(content_type, f"{remedy}, as application/json")
    body = (await request.body()).removeprefix(codecs.BOM_UTF8)
    large = len(body) >= LARGE_TEXT_BYTES
    return await call(lambda: _parse(body, latent, max_rows, remedy), off_loop=large)


def _parse(body: bytes, latent: int, max_rows: int, remedy: str) -> Floats:
    """Parse {"z": [[...], ...]} with `latent` numbers in each row; (batch, latent), finite.

    Raises MalformedBodyError, ParameterError.
    """
    most = (max_rows + 1) * latent + _OTHER_VALUES
    if has_more_values(body, most):
        raise LimitError(f"the body has more than {most} values", limit=most, remedy=remedy)
    text = _text_of_z(body, remedy)
    try:
        shape = array_shape(text)
        if len(shape) == 2 and shape[1] == latent:
            values = read_numbers(text, shape[0] * latent)
        else:
            raise _wrong_shape(shape, latent, remedy)
    except RaggedError as error:
        raise ParameterError(
            f"the rows of z are not all of {latent} numbers, the latent dimensions of the model",
            limit=latent,
            remedy=remedy,
        ) from error
    except NotNumbersError as error:
        raise ParameterError(f"z is {error}", remedy=remedy) from error
    except OverflowError as error:
        raise _too_large(remedy) from error
    with np.errstate(over="ignore"):
        z = values.astype(np.float32).reshape(shape)
    if not np.isfinite(z).all():
        raise _too_large(remedy)
    return z


def _text_of_z(body: bytes, remedy: str) -> msgspec.Raw:
    try:
        return _DECODER.decode(body).z
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        malformed = _malformation(body)
        if malformed is None:
            raise ParameterError(f"the body: {str(error)[:200]}", remedy=remedy) from error
        if b"NaN" in body or b"Infinity" in body:
            raise ParameterError("z has numbers that are not finite", remedy=remedy) from error
        raise MalformedBodyError(
            f"the body is not valid JSON: {malformed[:200]}", remedy=remedy
        ) from error


def _malformation(body: bytes) -> str | None:
    """Return why a body is not JSON; None if it is JSON."""
    try:
        _ANY_JSON.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return str(error)
    return None


def _wrong_shape(shape: tuple[int, ...], latent: int, remedy: str) -> ParameterError:
    if len(shape) == 2:
        detail = f"z.0 has {shape[1]} numbers, the model has {latent} latent dimensions"
        return ParameterError(detail, limit=latent, remedy=remedy)
    return ParameterError(
        f"z has the shape {list(shape)}, two dimensions are expected", remedy=remedy
    )


def _too_large(remedy: str) -> ParameterError:
    return ParameterError("z has numbers that are too large for float32", remedy=remedy)
