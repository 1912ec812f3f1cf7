"""Codecs with the tiny exact networks of tests.unit.arithmetic.networks."""

import functools
import hashlib

from model_store.arithmetic import file
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.flow import MakeExecutor
from model_store.arithmetic.model import ExactModel
from model_store.compression.codec import Codec, Identity
from model_store.compression.pixels import CountedPixels, LogisticPixels, LogWeights, PixelModel
from tests.unit.arithmetic.networks import SPECS, exact_network, images
from training.quantisation.pixel_table import count_pixels


def exact_model(kind: str, make: MakeExecutor = lambda f, _: NumpyExecutor(f)) -> ExactModel:
    return ExactModel(exact_network(kind), SPECS[kind], make)


@functools.cache
def table(kind: str) -> LogWeights:
    return count_pixels(exact_model(kind), images(kind, 200, seed=5))


@functools.cache
def pixel_model(kind: str) -> PixelModel:
    log_scale = exact_network(kind).log_scale
    return CountedPixels(table(kind)) if log_scale is None else LogisticPixels(log_scale)


def codec(kind: str, make: MakeExecutor = lambda f, _: NumpyExecutor(f)) -> Codec:
    network = hashlib.sha256(file.to_bytes(exact_network(kind))).hexdigest()
    return Codec(exact_model(kind, make), pixel_model(kind), Identity(f"{kind}@1", network))
