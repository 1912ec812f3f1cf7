"""Snapshots of a training: when they are taken, what they hold, and that they change nothing."""

from pathlib import Path

import pytest
import torch

from model_store.snapshots import MAX_IMAGE_VALUES, Snapshots, from_bytes
from model_store.spec import MLP, Family, Flow, ImageShape, ModelRef, ModelSpec
from model_store.store import Store
from model_store.vae import VAE
from tests.training.conftest import bars, call
from training.config import Objective, Optimiser
from training.data.images import Images, as_floats
from training.fitting.events import EpochDone
from training.fitting.trainer import Trainer, initialise
from training.runs.snapshots import (
    RECONSTRUCTIONS,
    SAMPLES,
    SEED,
    SNAPSHOTS,
    SnapshotRecorder,
    moments,
)

SHORT = Optimiser(epochs=2, batch_size=8)


def trained(
    spec: ModelSpec,
    train: Images,
    test: Images,
    optimiser: Optimiser = SHORT,
    *,
    recorder: SnapshotRecorder | None = None,
) -> Trainer:
    """Train from nothing, and let a recorder take its snapshots as a run does."""
    trainer = Trainer(initialise(spec, seed=0), Objective(), optimiser, seed=0)
    if recorder:
        recorder.before_training(trainer.vae)
    for event in trainer.fit(train, test):
        if recorder is None:
            continue
        if isinstance(event, EpochDone):
            recorder.after_epoch(trainer.trained, event.epoch)
        else:
            recorder.in_epoch(trainer.vae, event)
    return trainer


def recorder_for(train: Images, test: Images, optimiser: Optimiser = SHORT) -> SnapshotRecorder:
    return SnapshotRecorder(train, test, Objective(), optimiser)


def finished(recorder: SnapshotRecorder, vae: VAE, epoch: int = 2) -> Snapshots:
    snapshots = recorder.finish(vae, epoch)
    assert snapshots is not None
    return snapshots


@pytest.mark.parametrize(
    ("epochs", "batches"), [(30, 469), (10, 235), (60, 469), (1, 469), (12, 4), (300, 40), (2, 1)]
)
def test_moments_begin_early_grow_geometrically_and_end_with_the_last_epoch(
    epochs: int, batches: int
):
    times = moments(epochs, batches)
    assert len(times) < SNAPSHOTS
    assert times == tuple(sorted(set(times)))
    assert times[-1] == epochs
    assert times[0] == (32 / batches if batches > 32 else 1)
    assert all(time == int(time) for time in times if time > 1)
    if epochs >= 10 and batches > 200:
        assert len(times) >= 15
        assert sum(time < 1 for time in times) >= 4


def test_a_run_has_snapshots_before_within_and_after_its_first_epoch(spec: ModelSpec):
    train, test = bars(512), bars(60, seed=1)
    recorder = recorder_for(train, test)
    trainer = trained(spec, train, test, recorder=recorder)
    snapshots = finished(recorder, trainer.trained)
    assert snapshots.epochs == (0.0, 0.5, 1.0, 2.0)
    sums = [a + b for a, b in zip(snapshots.reconstruction_nats, snapshots.kl_nats, strict=True)]
    assert sums[0] > 500  # 28 * 28 * ln 2 = 543
    assert sums == sorted(sums, reverse=True)


def test_the_last_snapshot_is_what_the_published_network_draws(spec: ModelSpec):
    train, test = bars(512), bars(60, seed=1)
    recorder = recorder_for(train, test)
    vae = trained(spec, train, test, recorder=recorder).trained.eval()
    snapshots = finished(recorder, vae)
    u = torch.randn((SAMPLES, 3), generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        drawn = vae.mean_image(vae.decode(u)).mul(255).round().byte().numpy()
        mu = vae.encode(test.batch(torch.arange(60)))[0].numpy()
    tiles = snapshots.tiles()[-1]
    assert tiles.shape == (SAMPLES + RECONSTRUCTIONS, 1, 28, 28)
    assert abs(tiles[:SAMPLES].astype(int) - drawn).max() <= 1
    plane = mu[:, snapshots.dimensions[:2]]
    assert abs(snapshots.points_in_plane()[-1] - plane).max() < 2 * snapshots.position_step + 1e-5
    assert snapshots.labels == tuple(test.require_labels().tolist())


def test_snapshots_do_not_change_the_training(spec: ModelSpec):
    train, test = bars(512), bars(60, seed=1)
    recorder = recorder_for(train, test)
    states = [trained(spec, train, test, recorder=each).state() for each in (None, recorder)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("training", [True, False])
def test_a_snapshot_leaves_the_network_in_its_mode(vae: VAE, *, training: bool):
    vae.train(training)
    recorder_for(bars(64), bars(20, seed=1)).before_training(vae)
    assert vae.training is training


def test_a_resumed_run_continues_with_the_snapshots_of_its_checkpoint(spec: ModelSpec):
    train, test = bars(512), bars(60, seed=1)
    whole = recorder_for(train, test)
    trainer = trained(spec, train, test, recorder=whole)
    resumed = recorder_for(train, test)
    resumed.restore({**trainer.state(), **whole.state()})
    resumed.before_training(trainer.vae)  # the run has this one already
    assert finished(resumed, trainer.trained) == finished(whole, trainer.trained)


def test_a_run_that_began_before_snapshots_were_kept_has_none(spec: ModelSpec):
    train, test = bars(64), bars(20, seed=1)
    recorder = recorder_for(train, test)
    recorder.restore(trained(spec, train, test).state())
    assert recorder.finish(initialise(spec, seed=0), 2) is None


def test_snapshots_after_the_published_epoch_are_left_out(spec: ModelSpec):
    train, test = bars(512), bars(60, seed=1)
    recorder = recorder_for(train, test)
    trainer = trained(spec, train, test, recorder=recorder)
    assert finished(recorder, trainer.trained, epoch=1).epochs == (0.0, 0.5, 1.0)


def test_test_images_are_of_all_classes_even_if_the_split_is_sorted():
    labels = torch.arange(2000) // 200
    test = Images(torch.zeros(2000, 1, 28, 28, dtype=torch.uint8), labels)
    optimiser = Optimiser(epochs=1, batch_size=64)
    recorder = SnapshotRecorder(bars(64), test, Objective(), optimiser)
    spec = ModelSpec(network=MLP(hidden=(4,)), latent=2)
    vae = initialise(spec, seed=0)
    recorder.before_training(vae)
    snapshots = finished(recorder, vae, epoch=1)
    assert snapshots.test_images == 100  # so short a training affords no more
    assert snapshots.labels is not None
    assert {snapshots.labels.count(label) for label in range(10)} == {10}
    assert snapshots.reconstruction_labels == tuple(range(RECONSTRUCTIONS))


def test_large_images_in_colour_are_kept_smaller_and_a_flow_gives_places_of_its_prior():
    spec = ModelSpec(
        network=MLP(hidden=(4,)),
        latent=3,
        image=ImageShape(channels=3, height=64, width=48),
        upload="resize",
        prior=Flow(couplings=2, hidden=4),
    )
    pixels = torch.randint(0, 256, (20, 3, 64, 48), dtype=torch.uint8)
    recorder = SnapshotRecorder(Images(pixels), Images(pixels), Objective(), SHORT)
    vae = initialise(spec, seed=0)
    recorder.before_training(vae)
    snapshots = finished(recorder, vae)
    assert snapshots.image.shape == (3, 21, 16)
    assert snapshots.image.pixels <= MAX_IMAGE_VALUES
    assert snapshots.labels is None
    with torch.no_grad():
        u = vae.encode(as_floats(pixels))[0].numpy()
    plane = u[:, snapshots.dimensions[:2]]
    assert abs(snapshots.points_in_plane()[-1] - plane).max() < 2 * snapshots.position_step + 1e-5


def test_a_family_is_published_with_snapshots_and_keeps_them_when_it_is_published_again(
    tmp_path: Path, data_dir: Path, runs: Path
):
    quick = ("--threads", "1", "--evaluation", "quick", "--figures", "model")
    places = ("--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(
        "train", "--preset", "beta", "--name", "half", "--device", "cpu", "--no-tensorboard",
        "--epochs", "2", "--set", "objective.beta=0.5", "--set", "optimiser.batch_size=8",
        "--set", "model.network.hidden=[8]", *quick, *places,
    ) == 0  # fmt: skip
    assert call("publish", str(runs / "half"), *quick, *places) == 0
    assert call("republish", "half@1", *quick, *places) == 0
    store = Store(tmp_path)
    refs = [ModelRef(name="half", version=version) for version in (1, 2, 3)]
    files = [store.file(ref, "snapshots.json") for ref in refs]
    assert len(set(files)) == 1
    snapshots = from_bytes(files[0])
    assert snapshots.epochs == (0.0, 0.5, 1.0, 2.0)
    assert store.manifest(ModelRef.parse("half@3")).training.family == Family(
        name="mnist-beta", beta=0.5
    )
