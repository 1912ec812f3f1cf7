"""The JSON documents of the Open Inference Protocol v2, for the API description.

`app.api.v2_codec` reads and writes them without these models, because tensors can be large.
"""

from typing import Literal

from pydantic import BaseModel, Field

ParameterValue = bool | int | float | str


class ProtocolError(BaseModel):
    """Answer to a request below /v2 that is refused."""

    error: str = Field(description="Description of this occurrence.")


class Live(BaseModel):
    """Answer of /v2/health/live."""

    live: bool


class Ready(BaseModel):
    """Answer of the paths that end in /ready."""

    ready: bool


class InputTensor(BaseModel):
    """An input of an inference request."""

    name: Literal["z", "image"]
    shape: list[int] = Field(
        description="Sizes of all dimensions, that of the batch first.", max_length=8
    )
    datatype: Literal["FP32"]
    data: list[float] | None = Field(
        default=None,
        description="All numbers, the last dimension fastest; they may also be nested in arrays as the "
        "shape says. Absent if the numbers follow the JSON as raw bytes.",
    )
    parameters: dict[str, ParameterValue] = Field(
        default={}, description="`binary_data_size`: number of raw bytes after the JSON."
    )


class RequestedOutput(BaseModel):
    """An output that an inference request asks for."""

    name: Literal["image", "mu", "logvar"]
    parameters: dict[str, ParameterValue] = Field(
        default={}, description="`binary_data`: true to get raw bytes after the JSON."
    )


class InferenceRequest(BaseModel):
    """Body of an inference request."""

    id: str | None = Field(default=None, description="Text that the answer repeats.")
    parameters: dict[str, ParameterValue] = Field(
        default={},
        description="`binary_data_output`: true to get all outputs as raw bytes after the JSON.",
    )
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = Field(default=[], description="All outputs if empty.")


class OutputTensor(BaseModel):
    """An output of an inference."""

    name: str
    datatype: Literal["FP32"]
    shape: list[int]
    data: list[float] = Field(default=[], description="All numbers, the last dimension fastest.")
    parameters: dict[str, ParameterValue] = {}


class InferenceResponse(BaseModel):
    """Answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
