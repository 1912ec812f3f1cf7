import numpy as np
import pytest
import safetensors.torch
import torch

from model_store.store.tensors import parse_safetensors, to_arrays, to_safetensors

VALUES = [0.0, -0.0, 1.0, -1.5, 3.0e38, 1.0e-38, 0.1, float("inf"), float("nan")]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32, torch.float64, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    ],
)  # fmt: skip
def test_every_type_is_read_as_torch_reads_it(dtype: torch.dtype):
    finite = torch.tensor([0.0, 1.0, 2.0, 100.0, 3.0, 1.0])
    tensor = (finite if not dtype.is_floating_point else torch.tensor(VALUES[:6])).to(dtype)
    array = parse_safetensors(safetensors.torch.save({"x": tensor.reshape(2, 3)}))["x"]
    expected = tensor.float() if dtype == torch.bfloat16 else tensor
    assert array.shape == (2, 3)
    assert np.array_equal(array, expected.reshape(2, 3).numpy())
    assert array.dtype == expected.numpy().dtype


def test_every_bfloat16_is_widened_without_loss():
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    read = parse_safetensors(safetensors.torch.save({"x": every}))["x"]
    assert np.array_equal(read, every.float().numpy(), equal_nan=True)
    assert np.array_equal(to_arrays({"x": every})["x"], read, equal_nan=True)


def test_scalars_keep_their_shape():
    content = safetensors.torch.save({"n": torch.tensor(7)})
    read = parse_safetensors(content)
    assert read["n"].shape == ()
    assert to_safetensors(read) == content


def test_an_array_with_another_order_in_memory_is_written_by_rows():
    columns = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert np.array_equal(parse_safetensors(to_safetensors({"x": columns}))["x"], columns)


def test_a_type_that_the_network_cannot_compute_in_is_named():
    content = safetensors.torch.save({"x": torch.zeros(2, dtype=torch.float8_e4m3fn)})
    with pytest.raises(ValueError, match="tensor x is of type F8_E4M3"):
        parse_safetensors(content)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 8, (10**9).to_bytes(8, "little")])
def test_bytes_that_are_no_safetensors_are_a_value_error(content: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - the reason is the library's own
        parse_safetensors(content)
