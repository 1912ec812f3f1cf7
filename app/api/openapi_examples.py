"""Example JSON answers of each operation for the API description, built from the answer types."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import BaseModel

from app.api.openai_schema import GeneratedImage, GeneratedImages, OpenAiModel, OpenAiModels
from app.api.responses_schema import (
    Aliases,
    Augmented,
    Decoded,
    Edited,
    EditedImage,
    Encoded,
    Encoding,
    Frame,
    Generated,
    Health,
    Interpolated,
    ModelList,
    ModelSummary,
    ModelVersion,
    ModelVersions,
    Move,
    Reconstructed,
    Reconstruction,
    Sample,
    Score,
    Scored,
    ServerMetadata,
    TensorMetadata,
    Traversed,
    TraversedDimension,
    VersionMetadata,
)
from app.imaging.png import encode_png
from app.sampling.latents import GENERATOR
from model_store.spec import (
    MLP,
    LatentStatistics,
    Manifest,
    Metric,
    ModelSpec,
    TrainingRecord,
)

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_PNG = base64.b64encode(encode_png(np.zeros((1, 28, 28), np.uint8))).decode()
_Z, _MU, _LOGVAR = [0.5, -1.25], [0.75, -1.5], [-2.0, -0.5]
_NAME, _PROVENANCE = "mnist", {"model": "mnist@1", "weights_sha256": _SHA256}
_METRICS = {
    "test_negative_elbo": Metric(
        value=104.5,
        unit="nats per image, summed over pixels",
        protocol="mean over the 10,000 test images of MNIST; 8 draws of z per image, torch seed 0",
    )
}

_MANIFEST = Manifest.model_validate(
    {
        "name": _NAME,
        "version": 1,
        "created_at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "spec": ModelSpec(network=MLP(hidden=(400,)), latent=2),
        "training": TrainingRecord(preset="lab", dataset="MNIST", seed=0, epochs=10),
        "metrics": _METRICS,
        "latents": LatentStatistics(kl_nats=(3.5, 2.5), mean=(0.0, 0.0), std=(1.0, 1.0)),
        "files": {"exact.safetensors": {"sha256": _SHA256, "size_bytes": 2559000}},
    }
)
_CREATED = int(_MANIFEST.created_at.timestamp())
_GENERATED = Generated(
    **_PROVENANCE,
    seed=7,
    generator=GENERATOR,
    temperature=1.0,
    images=[Sample(seed=7, z=_Z, png=_PNG)],
)
_TENSOR_Z = TensorMetadata(name="z", shape=[-1, 2])
_TENSOR_IMAGE = TensorMetadata(name="image", shape=[-1, 1, 28, 28])
_VERSION_METADATA = VersionMetadata(
    name=_NAME, versions=["1"], platform="zserve_vae", inputs=[_TENSOR_Z], outputs=[_TENSOR_IMAGE]
)
_INFERRED = {
    "model_name": _NAME,
    "model_version": "1",
    "outputs": [{"name": "mu", "shape": [1, 2], "datatype": "FP32", "data": _MU}],
}

EXAMPLES: Mapping[str, BaseModel | dict[str, Any]] = {
    "generate": _GENERATED,
    "generate_by_post": _GENERATED,
    "reconstruct": Reconstructed(
        **_PROVENANCE,
        images=[
            Reconstruction(
                mu=_MU,
                logvar=_LOGVAR,
                bce_nats=80.25,
                kl_nats=2.19,
                input=_PNG,
                reconstruction=_PNG,
            )
        ],
    ),
    "interpolate": Interpolated(
        **_PROVENANCE,
        generator=GENERATOR,
        path="linear",
        seed_a=7,
        seed_b=8,
        a=_PNG,
        b=_PNG,
        frames=[Frame(t=0.0, z=_Z, png=_PNG), Frame(t=1.0, z=_MU, png=_PNG)],
    ),
    "traverse": Traversed(
        **_PROVENANCE,
        generator=GENERATOR,
        seed=7,
        z=_Z,
        dimensions=[
            TraversedDimension(dim=1, kl_nats=3.5, values=[-3.0, 3.0], images=[_PNG, _PNG])
        ],
    ),
    "edit": Edited(
        **_PROVENANCE,
        generator=GENERATOR,
        seed=7,
        moves=[Move(direction="slant", by=2.0)],
        images=[EditedImage(start=_Z, z=_MU, png=_PNG)],
    ),
    "encode": Encoded(**_PROVENANCE, images=[Encoding(mu=_MU, logvar=_LOGVAR, kl_nats=2.19)]),
    "score": Scored(
        **_PROVENANCE,
        seed=7,
        generator=GENERATOR,
        draws=64,
        images=[
            Score(
                elbo_nats=-92.5,
                reconstruction_nats=67.25,
                kl_nats=25.25,
                nll_nats=89.75,
                bits_per_dimension=0.1652,
                effective_samples=7.5,
                elbo_quantile=0.63,
                nll_quantile=0.38,
                score=0.9046,
                quantile=0.58,
                verdict="typical",
            )
        ],
    ),
    "decode": Decoded(**_PROVENANCE, images=[Sample(z=_Z, png=_PNG)]),
    "augment": Augmented(
        **_PROVENANCE,
        seed=7,
        generator=GENERATOR,
        temperature=1.0,
        mu=_MU,
        logvar=_LOGVAR,
        images=[Sample(seed=7, z=_Z, png=_PNG)],
    ),
    "openai_images": GeneratedImages(
        created=_CREATED,
        size="252x252",
        data=[GeneratedImage(b64_json=_PNG, revised_prompt="class 7 of mnist@1, seed 7")],
    ),
    "openai_models": OpenAiModels(data=[OpenAiModel(id=_NAME, created=_CREATED)]),
    "openai_model": OpenAiModel(id=_NAME, created=_CREATED),
    "mcp": {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}},
    "list_models": ModelList(
        models=[
            ModelSummary(
                name=_NAME,
                version=1,
                aliases={"production": 1},
                versions=[1],
                default=True,
                image=(1, 28, 28),
                latent=2,
                dataset="MNIST",
                classes=[],
                directions=["slant", "thickness"],
                metrics=_METRICS,
                weights_sha256=_SHA256,
                created_at=_MANIFEST.created_at,
            )
        ]
    ),
    "list_versions": ModelVersions(name=_NAME, aliases={"production": 1}, versions=[_MANIFEST]),
    "show_version": ModelVersion(
        aliases=["production"],
        figures={"samples": "/models/mnist/1/figures/samples.png"},
        card="# mnist@1\n",
        manifest=_MANIFEST,
    ),
    "show_file": {"decode": _SHA256, "encode": _SHA256, "log_likelihood": _SHA256},
    "set_alias": Aliases(name=_NAME, aliases={"production": 1}),
    "healthz": Health(status="live"),
    "readyz": Health(status="ready", model="mnist@1", device="cpu"),
    "v2_server": ServerMetadata(name="zserve", version="1", extensions=["binary_tensor_data"]),
    "v2_live": {"live": True},
    "v2_ready": {"ready": True},
    "v2_model": _VERSION_METADATA,
    "v2_version": _VERSION_METADATA,
    "v2_model_ready": {"ready": True},
    "v2_version_ready": {"ready": True},
    "v2_infer": _INFERRED,
    "v2_infer_version": _INFERRED,
}
"""Example answers by operation id."""


def example_json(example: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """Serialise an example to the JSON that a client receives."""
    if isinstance(example, dict):
        return example
    return example.model_dump(mode="json", exclude_none=isinstance(example, Health))
