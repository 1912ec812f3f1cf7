"""A family of tiny models with snapshots of made-up trainings, for the part Learn."""

from pathlib import Path

from model_store.spec import Family, LatentStatistics
from model_store.store import Store
from tests.api.service import SPEC
from tests.unit.models import a_card, tiny_classes, tiny_description, tiny_weights
from tests.unit.training_snapshots import snapshots

BETAS = (0.0, 1.0, 10.0)
EPOCHS = (0.0, 0.25, 1.0, 2.0, 4.0)
TEST_IMAGES = 40


def publish_family(root: Path) -> None:
    """Publish `zbeta-0`, `zbeta-1` and `zbeta-10`, and `zalone`, which has snapshots and no family."""
    tiny = tiny_description(SPEC)
    for seed, beta in enumerate(BETAS):
        family = Family(name="zbetas", beta=beta)
        training = tiny.training.model_copy(update={"family": family, "dataset": "betas"})
        kl = (0.0, 0.02, 2.0) if beta > 1 else (1.0, 2.0, 3.0)
        changes = {
            "training": training,
            "classes": ("Dress", "7"),
            "latents": LatentStatistics(kl_nats=kl, mean=(0.0,) * 3, std=(1.0,) * 3),
        }
        Store(root).publish(
            f"zbeta-{beta:g}",
            tiny.model_copy(update=changes),
            tiny_weights(seed, SPEC),
            card=a_card,
            class_latents=tiny_classes(),
            snapshots=snapshots(
                shape=(1, 28, 28),
                labels=(0, 1),
                beta=beta,
                epochs=EPOCHS,
                test_images=TEST_IMAGES,
            ),
        )
    Store(root).publish(
        "zalone",
        tiny,
        tiny_weights(7, SPEC),
        card=a_card,
        snapshots=snapshots(shape=(1, 28, 28), epochs=EPOCHS[:3], test_images=TEST_IMAGES),
    )
