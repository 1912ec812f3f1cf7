"""Graphs of ONNX that were made elsewhere: read with suspicion, written again, and run.

    graph      a graph as values
    reading    the bytes of a file -> a graph, or GraphError
    operators  the operators that may be run
    writing    a graph -> bytes of which every field was read and checked
    pair       the two graphs of a version, checked without running them
    sessions   ONNX Runtime with bounds of memory and time
    network    an encoder and a decoder as a VAE, between numpy arrays

ONNX Runtime never gets the bytes of a stranger, only those that `writing` made of the graph that was
read. So nothing that `reading` does not know reaches it: no custom operator, no path of external data,
no subgraph, no function.
"""
