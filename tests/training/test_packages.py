"""Networks of other packages: they train, publish, resume, tune and serve like those of zserve."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from app.settings import Settings
from model_store.errors import MissingPackageError, ShapeError
from model_store.spec import ModelRef, ModelSpec, Package
from model_store.store import Store
from model_store.vae import VAE, build_vae
from tests.api.service import Service, started
from tests.training.conftest import call, strokes, write_idx
from tests.training.packages import EXAMPLES, install
from training.config import Objective, Optimiser
from training.data.images import Images
from training.fitting.trainer import Trainer, initialise

NETWORKS = "zserve-example-networks"


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the template and return its folder."""
    install(EXAMPLES / "template", tmp_path / "site", monkeypatch)
    yield EXAMPLES / "template"
    sys.modules.pop("my_network", None)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(EXAMPLES / "networks", tmp_path / "site", monkeypatch)


def conditional(latent: int = 5, **settings: int) -> ModelSpec:
    network = Package(name="conditional", package=NETWORKS, settings={"classes": 2} | settings)
    return ModelSpec(network=network, latent=latent)


def sides(count: int, seed: int) -> Images:
    """Return upright bars: in the left half with the label 0, in the right half with the label 1."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    grey = np.zeros((count, 1, 28, 28), np.uint8)
    for image, label in zip(grey, labels, strict=True):
        left = int(generator.integers(3, 10)) + 13 * int(label)
        image[0, 5:23, left : left + 3] = 230
    return Images(torch.from_numpy(grey), torch.from_numpy(labels))


# --- the template ------------------------------------------------------------------------------


def test_the_template_has_at_most_sixty_lines() -> None:
    files = ("pyproject.toml", "my_network.py", "mine.toml")
    texts = [(EXAMPLES / "template" / name).read_text() for name in files]
    assert sum(len(text.splitlines()) for text in texts) <= 60


def test_the_template_trains_publishes_and_serves(
    template: Path, tmp_path: Path, data_dir: Path
) -> None:
    store = tmp_path / "store"
    assert call(
        "train", "--preset", str(template / "mine.toml"), "--epochs", "2", "--threads", "1",
        "--data-dir", str(data_dir), "--store", str(store), "--evaluation", "quick",
        "--set", "model.network.settings.hidden=16", "--no-tensorboard", "--device", "cpu",
    ) == 0  # fmt: skip

    stored = Store(store).load(ModelRef.parse("mine"))
    assert stored.manifest.arithmetic == "float"
    assert stored.spec.network == Package(
        name="mine", package="my-network", settings={"hidden": 16}
    )
    card = Store(store).card(stored.manifest.ref)
    assert "The network is the network of a package" in card
    with started(Settings(store=store, model="mine", device="cpu", log_requests=False)) as service:
        check_that_it_serves(service, build_vae(stored.spec, stored.weights))
    common = ("--data-dir", str(data_dir), "--store", str(store), "--threads", "1")
    assert call("evaluate", "mine", *common, "--quick") == 0


def check_that_it_serves(service: Service, vae: VAE) -> None:
    z = torch.linspace(-1, 1, vae.spec.latent)[None]
    answer = service.post("/decode?format=json&pixels=true", json={"z": z.tolist()})
    assert answer.status_code == 200, answer.text
    pixels = np.array(answer.json()["images"][0]["pixels"]).reshape(-1)
    with torch.no_grad():
        expected = 255 * vae.mean_image(vae.decode(z)).flatten()
    assert np.abs(pixels - expected.numpy()).max() <= 1
    assert service.get("/generate?n=3&seed=1").status_code == 200


def test_the_template_resumes_where_it_was(template: Path) -> None:
    network = Package(name="mine", package="my-network", settings={"hidden": 8})
    spec = ModelSpec(network=network, latent=3)
    train = sides(96, seed=0)
    optimiser = Optimiser(epochs=2, batch_size=32)
    whole = Trainer(initialise(spec, 0), Objective(), optimiser, 0)
    for _ in whole.fit(train, train):
        pass
    first = Trainer(initialise(spec, 0), Objective(), optimiser.model_copy(update={"epochs": 1}), 0)
    for _ in first.fit(train, train):
        pass
    second = Trainer(initialise(spec, 1), Objective(), optimiser, 0)
    second.restore(first.state())
    for _ in second.fit(train, train):
        pass
    for name, weight in whole.vae.state_dict().items():
        assert torch.equal(weight, second.vae.state_dict()[name]), name


def test_the_template_is_tuned(template: Path, runs: Path, data_dir: Path) -> None:
    assert call(
        "tune", "--preset", str(template / "mine.toml"), "--trials", "2", "--epochs", "1",
        "--data-dir", str(data_dir), "--threads", "1", "--set", "data.train_images=64",
        "--set", "model.network.settings.hidden=8",
    ) == 0  # fmt: skip
    assert 'package = "my-network"' in (runs / "tune" / "mine.toml").read_text()


# --- packages that are missing -----------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path, data_dir: Path) -> Path:
    """Return a store with a version of the template, which is not installed any more."""
    with pytest.MonkeyPatch.context() as patch:
        install(EXAMPLES / "template", tmp_path / "site", patch)
        store = tmp_path / "store"
        assert call(
            "train", "--preset", str(EXAMPLES / "template" / "mine.toml"), "--epochs", "1",
            "--data-dir", str(data_dir), "--store", str(store), "--evaluation", "quick",
            "--set", "model.network.settings.hidden=8", "--no-tensorboard", "--threads", "1",
            "--device", "cpu",
        ) == 0  # fmt: skip
    sys.modules.pop("my_network", None)
    return store


def test_a_store_says_which_package_is_missing(
    published: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = Store(published).load(ModelRef.parse("mine"))
    with pytest.raises(MissingPackageError, match="the network mine of the package my-network"):
        build_vae(stored.spec, stored.weights)
    settings = Settings(store=published, model="mine", device="cpu", log_requests=False)
    with started(settings) as service:
        answer = service.get("/generate?n=1")
        assert answer.status_code == 503
        assert "pip install my-network" in answer.text
        assert service.get("/models/mine/1").json()["manifest"]["spec"]["latent"] == 16
    common = ("--data-dir", str(data_dir), "--store", str(published), "--threads", "1")
    assert call("evaluate", "mine", *common, "--quick") == 1
    assert "pip install my-network" in capsys.readouterr().err


def test_a_package_of_another_name_is_not_used(template: Path) -> None:
    network = Package(name="mine", package="somebody-else")
    with pytest.raises(MissingPackageError, match="somebody-else, which is not installed"):
        VAE(ModelSpec(network=network, latent=3))
    (entry,) = importlib.metadata.entry_points(group="zserve.networks", name="mine")
    assert entry.dist is not None
    assert entry.dist.name == "my-network"


def test_settings_that_a_package_refuses_are_named(template: Path, examples: None) -> None:
    network = Package(name="mine", package="my_network", settings={"hidden": -1})
    with pytest.raises(MissingPackageError, match="does not take these settings: hidden"):
        VAE(ModelSpec(network=network, latent=3))
    with pytest.raises(MissingPackageError, match="2 classes need as many latent dimensions"):
        VAE(conditional(latent=2))


def test_weights_of_another_release_are_refused(template: Path) -> None:
    network = Package(name="mine", package="my-network", settings={"hidden": 8})
    spec = ModelSpec(network=network, latent=3)
    weights = initialise(spec, seed=0).state_dict()
    for changed in (
        weights | {"decoder.0.weight": torch.zeros(2, 2)},
        {name: each for name, each in weights.items() if name != "decoder.0.weight"},
        weights | {"decoder.9.weight": torch.zeros(1)},
    ):
        with pytest.raises(ShapeError, match=r"tensor decoder\..*\.weight is"):
            build_vae(spec, changed)


def test_tensors_that_are_no_weights_are_made_when_a_network_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (EXAMPLES / "template" / "my_network.py").read_text()
    buffer = 'self.register_buffer("size", torch.full((1,), 2.0), persistent=False)\n        # ---'
    code = code.replace("        # ---\n        sizes", f"        {buffer}\n        sizes")
    code = code.replace("x.flatten(1)", "self.size * x.flatten(1)")
    folder = tmp_path / "buffered"
    folder.mkdir()
    project = (EXAMPLES / "template" / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(project.replace("my_network", "buffered"))
    (folder / "buffered.py").write_text(code.replace("from torch", "import torch\nfrom torch", 1))
    install(folder, tmp_path / "site", monkeypatch)
    spec = ModelSpec(network=Package(name="mine", package="my-network"), latent=3)
    first = initialise(spec, seed=0)
    again = build_vae(spec, first.state_dict())
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(first.encode(x)[0], again.encode(x)[0])


# --- the examples ------------------------------------------------------------------------------


def test_the_label_is_an_input_of_encoder_and_decoder(examples: None) -> None:
    vae = initialise(conditional(hidden=8), seed=0).eval()
    assert vae.uses_labels
    x, labels = torch.rand(4, 1, 28, 28), torch.tensor([0, 1, 0, 1])
    mu, logvar, further = vae.labelled_posterior(x, labels)
    assert mu.shape == logvar.shape == (4, 5)
    assert further.shape == (4,)
    assert torch.equal(mu[:, -2:].argmax(dim=1), labels)
    same_z = torch.zeros(2, 5)
    same_z[0, -2], same_z[1, -1] = 1.0, 1.0
    first, second = vae.decode(same_z)
    assert not torch.equal(first, second)
    same_z[1] = same_z[0] * 3  # a longer vector with the same largest dimension is the same label
    assert torch.equal(*vae.decode(same_z))


def test_training_teaches_the_label(examples: None) -> None:
    train = sides(512, seed=0)
    trainer = Trainer(
        initialise(conditional(latent=3, hidden=32), seed=0),
        Objective(),
        Optimiser(epochs=30, batch_size=32, learning_rate=5e-3),
        0,
    )
    for _ in trainer.fit(train, train):
        pass
    vae = trainer.trained.eval()
    test = sides(64, seed=1)
    labels = test.require_labels()
    with torch.no_grad():
        mu, _ = vae.encode(test.batch(torch.arange(64)))
        assert (mu[:, -2:].argmax(dim=1) == labels).float().mean() > 0.95
        for label, scores in enumerate(([2.5, -0.3], [-0.3, 2.5])):
            u = torch.randn(100, 3)
            u[:, -2:] = torch.tensor(scores)
            left, right = vae.mean_image(vae.decode(u)).chunk(2, dim=3)
            on_the_right = right.sum(dim=(1, 2, 3)) > left.sum(dim=(1, 2, 3))
            assert (on_the_right == bool(label)).float().mean() > 0.95


def test_the_conditional_vae_is_served_with_labels(examples: None, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (prefix, count) in enumerate({"train": 400, "t10k": 100}.items()):
        write_idx(raw / f"{prefix}-images-idx3-ubyte", strokes(count, seed))
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    store = tmp_path / "store"
    assert call(
        "train", "--preset", str(EXAMPLES / "networks" / "conditional.toml"), "--epochs", "1",
        "--data-dir", str(tmp_path / "data"), "--store", str(store), "--evaluation", "bound",
        "--set", "model.network.settings.hidden=16", "--no-tensorboard", "--threads", "1",
        "--device", "cpu",
    ) == 0  # fmt: skip
    settings = Settings(store=store, model="conditional", device="cpu", log_requests=False)
    with started(settings) as service:
        answer = service.get("/generate?n=8&seed=3&label=7&format=json")
        assert answer.status_code == 200, answer.text
        z = np.array([image["z"] for image in answer.json()["images"]])
    assert (z[:, -10:].argmax(axis=1) == 7).all()


def test_the_lower_level_follows_the_upper_one(examples: None) -> None:
    network = Package(name="hierarchical", package=NETWORKS, settings={"top": 2, "hidden": 8})
    vae = initialise(ModelSpec(network=network, latent=5), seed=0).eval()
    u = torch.zeros(2, 5)
    u[1, 0] = 1.0
    lower = vae.decoder.lower_latents(u)  # type: ignore[operator]
    assert lower.shape == (2, 3)
    assert not torch.equal(lower[0], lower[1])
    mu, logvar = vae.encode(torch.rand(3, 1, 28, 28))
    assert mu.shape == logvar.shape == (3, 5)
    assert vae.decode(mu).shape == (3, 1, 28, 28)
