"""Serve zserve's own app on a Ray node of this machine, with one replica.

RAY_SERVE_ENABLE_HA_PROXY=1 puts HAProxy before it, and without it Ray uses its proxy in Python.
"""

# mypy: disable-error-code="import-not-found"

import os
import signal

import ray
from ray import serve

from app.ray_serve import app

if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 1024 * 1024,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(app({"min_replicas": 1, "max_replicas": 1}))
    signal.pause()
