"""Publish versions with made-up numbers into a store."""

from pathlib import Path

from model_store.spec import (
    Description,
    EpochRecord,
    LatentStatistics,
    Metric,
    ModelSpec,
    TrainingRecord,
)
from model_store.store import Store
from training.fitting.trainer import initialise


def history(kl: float) -> tuple[EpochRecord, ...]:
    parts = {"loss": 90.0 + kl, "reconstruction": 90.0, "kl": kl}
    sides = {f"{side}_{part}": n for side in ("train", "test") for part, n in parts.items()}
    return tuple(EpochRecord(epoch=epoch, **sides) for epoch in (1, 2))


def publish(root: Path, name: str, spec: ModelSpec, beta: float, numbers: dict[str, float]) -> None:
    description = Description(
        spec=spec,
        training=TrainingRecord(
            preset=name,
            dataset="strokes",
            seed=0,
            epochs=2,
            settings={"objective": {"beta": beta}},
            history=history(numbers["test_kl"]),
        ),
        metrics={k: Metric(value=v, unit="nats", protocol="made up") for k, v in numbers.items()},
        latents=LatentStatistics(kl_nats=(0.5, 2.0, 1.0), mean=(0.0,) * 3, std=(1.0,) * 3),
    )
    weights = initialise(spec, seed=0).state_dict()
    Store(root).publish(name, description, weights, card=lambda ref: f"# {ref}\n")


def publish_two_betas(root: Path, spec: ModelSpec) -> None:
    one = {"test_kl": 20.0, "test_reconstruction": 80.0, "test_negative_elbo": 100.0}
    four = {"test_kl": 8.0, "test_reconstruction": 95.0, "test_negative_elbo": 103.0}
    publish(root, "plain", spec, 1.0, one | {"active_units": 3.0})
    publish(root, "heavy", spec, 4.0, four)
