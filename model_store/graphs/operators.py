"""The operators of ONNX that an imported graph may have.

They compute values from values. Left out are those that run a subgraph (If, Loop, Scan), that draw
random numbers, that handle strings, sequences or optional values, and that make a large value out of
a few numbers (ConstantOfShape, Expand, Tile, Range, OneHot, EyeLike).
"""

from model_store.errors import GraphError
from model_store.graphs.graph import OnnxGraph

ALLOWED = frozenset(
    (  # noqa: SIM905 - easier to read than a hundred strings
        # layers
        "AveragePool BatchNormalization Conv ConvTranspose Dropout Flatten Gemm GlobalAveragePool "
        "GlobalMaxPool GroupNormalization InstanceNormalization LRN LayerNormalization "
        "LpNormalization MatMul MaxPool MeanVarianceNormalization RMSNormalization "
        # activations
        "Celu Clip Elu Erf Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu "
        "Sigmoid Softmax Softplus Softsign Swish Tanh ThresholdedRelu "
        # arithmetic
        "Abs Add Ceil Cos Div Exp Floor Log Max Mean Min Mod Mul Neg Pow Reciprocal Round Sign Sin "
        "Sqrt Sub Sum "
        # comparisons
        "And Equal Greater GreaterOrEqual Less LessOrEqual Not Or Where "
        # reductions
        "ArgMax ArgMin ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare "
        # shapes
        "Cast Concat Constant DepthToSpace Gather Identity Pad Reshape Resize Shape Slice "
        "SpaceToDepth Split Squeeze Transpose Unsqueeze Upsample"
    ).split()
)


def check_graph(graph: OnnxGraph) -> None:
    """Raise GraphError unless all operators of a graph are allowed."""
    others = sorted({node.operator for node in graph.nodes} - ALLOWED)
    if others:
        raise GraphError(
            f"it has the operator {others[0][:80]}, which is not run; export encoder and decoder alone, "
            "for inference, without sampling and without loops"
        )
