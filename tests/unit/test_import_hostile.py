"""Graphs that must not be run are refused, each with its reason; nothing is published."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from model_store.__main__ import main
from model_store.errors import CorruptVersionError, GraphError
from model_store.graphs.network import GraphNetwork
from model_store.graphs.pair import DECODER, ENCODER
from model_store.graphs.reading import MAX_FIELDS, MAX_NODES, read_graph
from model_store.graphs.sessions import GraphSession
from model_store.protobuf import content as bytes_field
from model_store.protobuf import integer, tag
from model_store.spec import ModelRef, ModelSpec
from model_store.store import Store
from model_store.store.tensors import to_safetensors
from tests.unit.models import replace_file
from tests.unit.onnx_models import LATENT, Array, changed, decoder, encoder, model, write

Change = Callable[[onnx.ModelProto], None]


def refused(tmp_path: Path, capsys: Any, encoder_file: bytes, decoder_file: bytes) -> str:
    """Import a pair that must be refused, and return the message."""
    store = tmp_path / "store"
    assert (
        main(["import", "--store", str(store), *write(tmp_path, encoder_file, decoder_file)]) == 1
    )
    assert Store(store).names() == ()
    return str(capsys.readouterr().err)


def custom_operator(proto: onnx.ModelProto) -> None:
    proto.opset_import.append(helper.make_opsetid("evil.example", 1))
    proto.graph.node[-1].domain = "evil.example"
    proto.graph.node[-1].op_type = "RunCommand"


def external_data(location: str) -> Change:
    def change(proto: onnx.ModelProto) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "192")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def huge_constant(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [2**40, 2**20]


def negative_size(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [-3, -16]


def loop(proto: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["again"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )
    node = helper.make_node("Loop", ["", "", "image"], ["forever"], body=body)
    proto.graph.node.append(node)


def own_function(proto: onnx.ModelProto) -> None:
    function = helper.make_function(
        "own", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], []
    )
    proto.functions.append(function)


def not_a_number(proto: onnx.ModelProto) -> None:
    array = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    array.flat[0] = np.nan
    name = proto.graph.initializer[0].name
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, name))


def twice_the_same_name(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Identity", ["logits"], ["flat"]))


def from_nowhere(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "nowhere"


def random_numbers(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].op_type = "RandomNormalLike"


def sparse(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.add()


def text_constant(proto: onnx.ModelProto) -> None:
    text = numpy_helper.from_array(np.array(["text"], object), "dec_b")
    proto.graph.initializer[1].CopyFrom(text)


def old_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 1


def fixed_batch(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def two_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["n", 1]))


def two_outputs(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, 4, 4])
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (custom_operator, "custom operator evil.example.RunCommand"),
        (external_data("../../etc/passwd"), "keeps weights in '../../etc/passwd'"),
        (external_data("/etc/passwd"), "keeps weights in '/etc/passwd'"),
        (external_data("missing.data"), "cannot read 'missing.data' beside the graph"),
        (huge_constant, "bytes, expected|numbers, expected"),
        (negative_size, "negative size"),
        (loop, "is of type 5, such as a graph"),
        (own_function, "functions of its own"),
        (not_a_number, "NaN or infinite"),
        (twice_the_same_name, "for the second time"),
        (from_nowhere, "'nowhere', which nothing made"),
        (random_numbers, "operator RandomNormalLike, which is not run"),
        (sparse, "sparse constants"),
        (text_constant, "is of type 8, which is not supported"),
        (old_opset, "opset 1; 7 to 25 are read"),
        (fixed_batch, "fixed batch size"),
        (two_inputs, "2 inputs, expected one"),
        (two_outputs, "2 outputs, expected one"),
    ],
)
def test_a_decoder_is_refused_with_its_reason(
    change: Change, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(tmp_path, capsys, encoder(), changed(decoder(), change))
    assert "decoder.onnx: " in message
    assert any(part in message for part in reason.split("|")), message


def test_a_link_beside_the_graph_is_not_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_bytes(bytes(192))
    (tmp_path / "dec.data").symlink_to(tmp_path / "secret")
    message = refused(tmp_path, capsys, encoder(), changed(decoder(), external_data("dec.data")))
    assert "cannot read 'dec.data' beside the graph" in message


def test_a_pipe_beside_the_graph_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "dec.data")
    message = refused(tmp_path, capsys, encoder(), changed(decoder(), external_data("dec.data")))
    assert "not a regular file" in message


def test_an_encoder_of_other_latents_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["mu"])]
    wrong = model(nodes, {"x": ("n", 1, 4, 4)}, {"mu": ("n", 16)}, {})
    message = refused(tmp_path, capsys, wrong, decoder())
    assert f"expected mu and ln sigma^2 of {LATENT} latent dimensions" in message


def test_exchanged_files_are_refused_with_the_likely_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Sigmoid", ["z"], ["x"])]
    of_latents = model(nodes, {"z": ("n", 5)}, {"x": ("n", 5)}, {})
    message = refused(tmp_path, capsys, of_latents, encoder())
    assert "exchange the files of --encoder and --decoder" in message


def test_a_decoder_of_other_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(tmp_path, capsys, encoder(), decoder(shape=(1, 2, 8)))
    assert "expected images of (1, 4, 4)" in message


def test_a_decoder_that_overflows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def overflow(proto: onnx.ModelProto) -> None:
        proto.graph.node[-1].op_type = "Exp"
        array = np.full((LATENT, 16), 3e5, np.float32)
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "dec_w"))

    assert "NaN or infinity" in refused(tmp_path, capsys, encoder(), changed(decoder(), overflow))


def test_a_graph_that_mixes_the_images_of_a_batch_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["z"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["z", "mean"], ["centred"]),
        helper.make_node("Gemm", ["centred", "w"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["image"]),
    ]
    constants: dict[str, Array] = {
        "w": np.ones((LATENT, 16), np.float32),
        "shape": np.array([-1, 1, 4, 4], np.int64),
    }
    mixing = model(nodes, {"z": ("n", LATENT)}, {"image": ("n", 1, 4, 4)}, constants)
    assert "the rest of the batch" in refused(tmp_path, capsys, encoder(), mixing)


def test_a_constant_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [helper.make_node("Identity", ["c"], ["image"])]
    constant = model(
        nodes,
        {"z": ("n", LATENT)},
        {"image": ("n", 1, 4, 4)},
        {"c": np.zeros((16, 1, 4, 4), np.float32)},
    )
    assert "do not depend on its input" in refused(tmp_path, capsys, encoder(), constant)


def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"", b"\x80\x04pickle", b"PK\x03\x04", encoder()[:-7]):
        assert "is not a file of ONNX" in refused(tmp_path, capsys, content, decoder())


def test_what_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = write(tmp_path, encoder(), decoder())
    (tmp_path / "enc.onnx").unlink()
    assert main(["import", "--store", str(tmp_path / "store"), *arguments]) == 1
    assert "cannot read" in capsys.readouterr().err
    os.mkfifo(tmp_path / "other")
    with pytest.raises(SystemExit):
        main(["import", "--name", "mine", "--encoder", str(tmp_path / "other")])


# --- bounds ------------------------------------------------------------------------------------


def test_the_number_of_fields_and_of_nodes_is_bounded() -> None:
    empty_nodes = bytes_field(7, bytes_field(1, b"") * (MAX_NODES + 1)) + bytes_field(
        8, integer(2, 17)
    )
    with pytest.raises(GraphError, match="more than 2,048 nodes"):
        read_graph(empty_nodes)
    with pytest.raises(GraphError, match="more than 131,072 fields"):
        read_graph(integer(1, 9) * (MAX_FIELDS + 1))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 20,
        tag(7, 2) + b"\xff\xff\xff\xff\x7f",
        tag(7, 3),
        tag(0, 0) + b"\x01",
        bytes_field(8, integer(2, 17)) + bytes_field(7, tag(1, 2) + b"\x05ab"),
        tag(7, 0) + b"\x01",
    ],
)
def test_bytes_that_are_no_messages_are_refused(content: bytes) -> None:
    with pytest.raises(GraphError, match="not a file of ONNX"):
        read_graph(content)


def test_memory_of_a_run_is_bounded() -> None:
    nodes = [
        helper.make_node("Reshape", ["z", "as_map"], ["map"]),
        helper.make_node("Resize", ["map", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("ReduceMean", ["large"], ["image"], axes=[2, 3], keepdims=1),
    ]
    constants: dict[str, Array] = {
        "as_map": np.array([-1, 1, 1, LATENT], np.int64),
        "scales": np.array([1, 1, 2**15, 2**14], np.float32),
    }
    large = model(nodes, {"z": ("n", LATENT)}, {"image": ("n", 1, 1, 1)}, constants)
    session = GraphSession(read_graph(large))
    with pytest.raises(GraphError, match="cannot be run"):
        session.run({"z": np.zeros((1, LATENT), np.float32)})


def test_time_of_a_run_is_bounded() -> None:
    size = 700
    nodes = [helper.make_node("MatMul", ["w", "w"], ["v0"])]
    nodes += [helper.make_node("MatMul", [f"v{i}", "w"], [f"v{i + 1}"]) for i in range(600)]
    nodes.append(helper.make_node("ReduceSum", ["v600"], ["sum"], keepdims=0))
    nodes.append(helper.make_node("Add", ["z", "sum"], ["image"]))
    slow = model(
        nodes,
        {"z": ("n", LATENT)},
        {"image": ("n", LATENT)},
        {"w": np.zeros((size, size), np.float32)},
    )
    session = GraphSession(read_graph(slow))
    with pytest.raises(GraphError, match="longer than"):
        session.run({"z": np.zeros((1, LATENT), np.float32)}, limit_s=0.01)


# --- in the store ------------------------------------------------------------------------------


def test_a_hostile_graph_in_the_store_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert main(["import", "--store", str(store), *write(tmp_path, encoder(), decoder())]) == 0
    stored = Store(store).load(ModelRef.parse("mine"))
    arrays = dict(stored.weights)
    folder = store / "mine" / "1"
    for change, reason in (
        (custom_operator, "custom operator"),
        (external_data("dec.data"), "lies in another file"),
        (random_numbers, "RandomNormalLike"),
    ):
        hostile = changed(arrays[DECODER].tobytes(), change)
        padded = np.frombuffer(hostile, np.uint8)
        manifest = (folder / "manifest.json").read_text()
        sized = re.sub(r'"decoder_bytes": ?\d+', f'"decoder_bytes": {len(padded)}', manifest)
        (folder / "manifest.json").write_text(sized)
        replace_file(folder, "weights.safetensors", to_safetensors(arrays | {DECODER: padded}))
        with pytest.raises(GraphError, match=reason):
            Store(store).load(ModelRef.parse("mine"))


def test_a_graph_that_does_not_fit_the_manifest_is_refused_before_it_serves(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert main(["import", "--store", str(store), *write(tmp_path, encoder(), decoder())]) == 0
    stored = Store(store).load(ModelRef.parse("mine"))
    other = stored.spec.model_copy(update={"latent": 2})
    graphs = [stored.weights[name].tobytes() for name in (ENCODER, DECODER)]
    with pytest.raises(
        CorruptVersionError, match=r"what the spec says|spec asks for|cannot be run"
    ):
        GraphNetwork(other, graphs[0], graphs[1])


def test_a_version_whose_graphs_do_not_run_is_not_verified(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert main(["import", "--store", str(store), *write(tmp_path, encoder(), decoder())]) == 0
    ref = ModelRef.parse("mine@1")
    assert Store(store).verify(ref).ref == ref
    folder = store / "mine" / "1"
    manifest = (folder / "manifest.json").read_text()
    weights = dict(Store(store).load(ref).weights)
    (folder / "manifest.json").write_text(re.sub(r'"height": ?4', '"height": 5', manifest))
    replace_file(folder, "weights.safetensors", to_safetensors(weights))
    with pytest.raises(GraphError, match=r"mine@1: encoder\.onnx: "):
        Store(store).verify(ref)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": {"encoder_bytes": 2**40}}, "less than or equal to 268435456"),
        ({"network": {"encoder_bytes": 0}}, "greater than 0"),
        ({"network": {"decoder_layout": "sideways"}}, "'channels_first'"),
        ({"prior": {"couplings": 2}}, "neither a flow"),
        ({"likelihood": "discretised_logistic"}, "Bernoulli pixels"),
        ({"logvar_bound": 3.0}, "nor a logvar_bound"),
    ],
)
def test_what_a_manifest_may_say_of_graphs_is_bounded(changes: dict[str, Any], reason: str) -> None:
    network = {"kind": "onnx", "encoder_bytes": 1, "decoder_bytes": 1} | changes.get("network", {})
    tree = {"latent": 3} | changes | {"network": network}
    with pytest.raises(ValidationError, match=reason):
        ModelSpec.model_validate(tree)


@pytest.mark.parametrize("name", ["../evil", "os.system; x", "a b", ""])
def test_the_names_of_a_package_are_no_paths(name: str) -> None:
    for fields in ({"name": name, "package": "p"}, {"name": "n", "package": name}):
        with pytest.raises(ValidationError):
            ModelSpec.model_validate({"latent": 3, "network": {"kind": "package"} | fields})
