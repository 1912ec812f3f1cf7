"""Load models and run them in batches, without HTTP, settings or environment variables.

    model_cache      which versions are in memory; follows the store
    functions        the functions of a model, whatever runs their batches
    engine           one batch after the other
    direct           the same functions in the calling thread, without an event loop
    compression      compress and decompress images, in a thread and a model apart from the engine's
    admission        refuse what would wait too long
    fair_queue       turns of clients, models and requests
    pace             measured rates of models
    batching         choose the rows of the next batch, and return results to their requests
    warm_up          check and measure a model once: its batch sizes, and the thread it runs in
    fixed_results    hashes of this machine's results for fixed inputs
    loaded_model     one version, ready to run
    executor         the interface between all of these and a numeric library
    backend          choose the library for a version
    exact_executor   exact versions by ONNX Runtime or numpy
    graph_executor   imported graphs of ONNX by ONNX Runtime
    torch_executor   float versions, and all versions on a GPU, by PyTorch
    cuda_graphs      functions captured as CUDA graphs
    devices          choose between CPU and GPU
    store_threads    call the store from the event loop
    hooks            events that metrics listen to

Only torch_executor and cuda_graphs import PyTorch, and they are imported only if a version needs it.
"""
