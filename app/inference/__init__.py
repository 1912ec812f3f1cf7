"""Load models and run them in batches. Knows no HTTP, no settings and no environment variable.

    model_cache      which versions are in memory; follows the store
    engine           a bounded queue; one batch after the other
    batching         which rows go into the next batch, and their results back to the requests
    warm_up          measure a model once: which batch sizes and which thread
    loaded_model     one version, ready to run
    executor         the interface between all of these and a numeric library
    torch_executor   that interface by PyTorch
    cuda_graphs      functions captured as CUDA graphs
    devices          choose between CPU and GPU
    hooks            events that metrics listen to

Only torch_executor and cuda_graphs know PyTorch: another library is another Backend.
"""
