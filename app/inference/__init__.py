"""Load models and run them in batches. Knows no HTTP, no settings and no environment variable.

    model_cache      which versions are in memory; follows the store
    engine           a bounded queue; one batch after the other
    batching         which rows go into the next batch, and their results back to the requests
    warm_up          check and measure a model once: which batch sizes and which thread
    fixed_results    hashes of what this machine computes
    loaded_model     one version, ready to run
    executor         the interface between all of these and a numeric library
    backend          choose the library for a version
    exact_executor   exact versions by ONNX Runtime or numpy
    torch_executor   float versions, and all versions on a GPU, by PyTorch
    cuda_graphs      functions captured as CUDA graphs
    devices          choose between CPU and GPU
    hooks            events that metrics listen to

Only torch_executor and cuda_graphs import PyTorch, and they are imported only if a version needs it.
"""
