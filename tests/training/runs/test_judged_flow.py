import pytest
import torch
from torch import Tensor, nn

from model_store.spec import MLP, ModelSpec
from training.classifier.model import load_judge
from training.fitting.trainer import initialise
from training.runs.judged_flow import sure_classes


def bar() -> Tensor:
    """Return logits of a vertical bar, (28, 28)."""
    logits = torch.full((28, 28), -8.0)
    logits[5:23, 13:16] = 8.0
    return logits


@pytest.mark.parametrize(
    ("logits", "label"),
    [
        pytest.param(bar(), 1, id="a bar is a one"),
        pytest.param(torch.full((28, 28), 8.0), -1, id="a white square is no digit"),
    ],
)
def test_an_image_has_a_class_only_if_the_judge_is_sure(logits: Tensor, label: int) -> None:
    vae = initialise(ModelSpec(network=MLP(hidden=(4,)), latent=1), seed=0).eval()
    judge, _ = load_judge("mnist")
    last = [layer for layer in vae.decoder.modules() if isinstance(layer, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    last.bias.data = logits.flatten()
    assert sure_classes(vae, judge)(torch.zeros(3, 1)).tolist() == 3 * [label]
