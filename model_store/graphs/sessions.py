"""Run graphs by ONNX Runtime on the CPU, with bounds of memory and time.

Constants are not folded when a graph is loaded, because folding would use memory that is not counted.
"""

import functools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from model_store.arithmetic.executors.onnx_runtime import onnxruntime
from model_store.errors import GraphError
from model_store.graphs.graph import Array, OnnxGraph
from model_store.graphs.operators import check_graph
from model_store.graphs.writing import write_graph

MAX_MEMORY_BYTES = 2**30
"""Largest memory of the values of all graphs of a process together."""
_MESSAGE = 200
"""Characters of an error of ONNX Runtime that are shown."""


class GraphSession:
    """One graph, ready to run in one thread or several; raises GraphError if it cannot be loaded."""

    def __init__(self, graph: OnnxGraph, threads: int = 1) -> None:
        check_graph(graph)
        _share_bounded_memory()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", "1")
        with _as_graph_error("it cannot be loaded"):
            self._session = onnxruntime.InferenceSession(
                write_graph(graph),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["ConstantFolding"],
            )
        self._outputs = [value.name for value in graph.outputs]

    def run(self, inputs: Mapping[str, Array], limit_s: float | None = None) -> list[Array]:
        """Return the outputs of the graph, in its order; raises GraphError if the run fails.

        After `limit_s` seconds no further operator is started, and GraphError is raised; None sets no limit.
        """
        with _as_graph_error("it cannot be run"):
            if limit_s is None:
                return [np.asarray(each) for each in self._session.run(self._outputs, inputs)]
            run_options = onnxruntime.RunOptions()
            with _terminated_after(run_options, limit_s):
                results = self._session.run(self._outputs, inputs, run_options)
            return [np.asarray(each) for each in results]


@contextmanager
def _terminated_after(run_options: "onnxruntime.RunOptions", limit_s: float) -> Iterator[None]:
    """Stop the run inside of the block from another thread, once it has taken `limit_s` seconds."""

    def terminate() -> None:
        run_options.terminate = True

    timer = threading.Timer(limit_s, terminate)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if run_options.terminate:
            raise GraphError(f"it takes longer than {limit_s:g} s") from error
        raise
    finally:
        timer.cancel()


@contextmanager
def _as_graph_error(what: str) -> Iterator[None]:
    """Turn the exceptions of ONNX Runtime, which have no common base, into GraphError."""
    try:
        yield
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(f"{what}: {str(error).strip()[:_MESSAGE]}") from error


@functools.cache
def _share_bounded_memory() -> None:
    """Give the graphs of this process one arena of bounded size."""
    arena = onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES, "arena_extend_strategy": 1})
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    onnxruntime.create_and_register_allocator(memory, arena)
