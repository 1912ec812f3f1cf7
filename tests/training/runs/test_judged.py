import pytest
import torch
from torch import Tensor, nn

from model_store.spec import MLP, Flow, ModelSpec
from model_store.vae import VAE
from tests.training.conftest import strokes
from training.classifier.model import load_judge
from training.config import Objective
from training.data.images import Images, Splits
from training.fitting.sure_draws import Rounds
from training.fitting.trainer import initialise
from training.runs.judged import fit_flow_again, sure_classes, train_with_judge


def bar() -> Tensor:
    """Return logits of a vertical bar, (28, 28)."""
    logits = torch.full((28, 28), -8.0)
    logits[5:23, 13:16] = 8.0
    return logits


def drawing(logits: Tensor) -> VAE:
    """Return a VAE that decodes every z to these logits."""
    spec = ModelSpec(network=MLP(hidden=(4,)), latent=2, prior=Flow(couplings=2, hidden=4))
    vae = initialise(spec, seed=0).eval()
    last = [layer for layer in vae.decoder.modules() if isinstance(layer, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    last.bias.data = logits.flatten()
    return vae


@pytest.mark.parametrize(
    ("logits", "label"),
    [
        pytest.param(bar(), 1, id="a bar is a one"),
        pytest.param(torch.full((28, 28), 8.0), -1, id="a white square is no digit"),
    ],
)
def test_an_image_has_a_class_only_if_the_judge_is_sure(logits: Tensor, label: int) -> None:
    vae = drawing(logits)
    judge, _ = load_judge("mnist")
    assert sure_classes(vae, judge)(torch.zeros(3, 2)).tolist() == 3 * [label]


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        pytest.param(1, True, id="ones are among the images"),
        pytest.param(0, False, id="all images are zeros"),
    ],
)
def test_the_flow_learns_sure_draws_of_the_classes_of_the_training_images(
    label: int, changes: bool
) -> None:
    vae = drawing(bar())
    judge, _ = load_judge("mnist")
    images = Images(torch.from_numpy(strokes(8, seed=0)).unsqueeze(1), torch.full((8,), label))
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    few = Rounds(1, draws=20, fewest_draws=5, steps=3, encoded=4, sure=4, learning_rate=0.1)
    fit_flow_again(vae, judge, Splits("bars", images, images), few, seed=0)
    changed = {k for k, weight in vae.state_dict().items() if not torch.equal(weight, before[k])}
    assert bool(changed) is changes
    assert all(name.startswith("flow.") for name in changed)


def test_an_objective_says_what_learns_from_the_judge() -> None:
    vae = drawing(bar())
    judge, _ = load_judge("mnist")
    images = Images(torch.from_numpy(strokes(8, seed=0)).unsqueeze(1), torch.full((8,), 1))
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    stages: list[str] = []
    objective = Objective(judged_encoder_steps=2)
    train_with_judge(
        vae, judge, Splits("bars", images, images), objective, seed=0, report=stages.append
    )
    assert stages == ["teaching the encoder to keep the classes that the judge sees"]
    changed = {k for k, weight in vae.state_dict().items() if not torch.equal(weight, before[k])}
    assert changed
    assert not any(name.startswith(("decoder.", "flow.")) for name in changed)
