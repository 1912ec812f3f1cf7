"""Train the encoder alone, so that reconstructions keep the class of their image.

A classifier gives nearly every reconstruction the class of its image. The steps here use those images
of which it does not, or hardly does, beside others. The loss is minus the ELBO, plus a multiple of
KL(classes of x || classes of the image that mu decodes to). Hou et al. 2017, "Deep feature consistent
variational autoencoder", compare features of a classifier instead. Decoder and flow stay as they are,
and so do generated images. See docs/decisions/0149.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.vae import VAE
from training.config import Objective
from training.data.augmentation import augment_some
from training.data.images import Images, as_floats, batch_indices
from training.fitting.ema import MovingAverage
from training.fitting.objective import single_draw
from training.fitting.schedule import cosine_after_warmup
from training.fitting.targets import as_targets
from training.progress import tracked

BATCH = 500
"""Images that are compared with their reconstructions at a time."""
WEIGHT_DECAY = 1e-3
WARMUP_STEPS = 50
CLIP_NORM = 20.0
EMA_DECAY = 0.99

Classifier = Callable[[Tensor], Tensor]
"""Takes images (batch, channels, height, width) in [0, 1]; returns logits (batch, classes)."""


@dataclass(frozen=True)
class Lessons:
    """How long the encoder is trained, and on which images."""

    steps: int
    hard_images: int = 3000
    """Training images whose classes change most by reconstruction, from which `hard` are drawn."""
    hard: int = 64
    """Hard images in a step."""
    others: int = 64
    """Images of the whole training split in a step."""
    weight: float = 20.0
    """Weight of the KL between the classes, relative to the ELBO; both are in nats."""
    learning_rate: float = 3e-4


def fit_encoder(
    vae: VAE,
    train: Images,
    classifier: Classifier,
    objective: Objective,
    lessons: Lessons,
    *,
    seed: int,
) -> None:
    """Train the encoder of a VAE in place; VAE, images and classifier must be on one device."""
    noise = torch.Generator(vae.device).manual_seed(seed)
    vae.eval().requires_grad_(requires_grad=False)
    hard = hardest_images(vae, train, classifier, lessons.hard_images)
    encoder = [
        weight
        for name, weight in vae.named_parameters()
        if not name.startswith(("decoder.", "flow."))
    ]
    for weight in encoder:
        weight.requires_grad_()
    average = MovingAverage(vae, EMA_DECAY)
    adam = torch.optim.AdamW(encoder, lr=lessons.learning_rate, weight_decay=WEIGHT_DECAY)
    for step in tracked(range(lessons.steps)):
        share = cosine_after_warmup(step, WARMUP_STEPS, lessons.steps)
        adam.param_groups[0]["lr"] = lessons.learning_rate * share
        loss = _loss(
            vae, train, hard, classifier, objective=objective, lessons=lessons, noise=noise
        )
        adam.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(encoder, CLIP_NORM)
        adam.step()
        average.update(step + 1)
    vae.load_state_dict(average.vae.state_dict())
    vae.requires_grad_(requires_grad=False)


@torch.no_grad()
def hardest_images(vae: VAE, train: Images, classifier: Classifier, number: int) -> Tensor:
    """Return the indices of the images whose classes change most by reconstruction, (number,).

    There are fewer if `train` has fewer images.
    """
    changes = []
    for index in tracked(batch_indices(len(train), BATCH)):
        x = train.batch(index.to(vae.device))
        mu, _ = vae.posterior(x)
        changes.append(_change_of_classes(vae, classifier, x, mu))
    return torch.cat(changes).topk(min(number, len(train))).indices


def _loss(
    vae: VAE,
    train: Images,
    hard: Tensor,
    classifier: Classifier,
    *,
    objective: Objective,
    lessons: Lessons,
    noise: torch.Generator,
) -> Tensor:
    """Return the loss of hard images, grey and some of them moved, and of others, as usual targets."""
    device = vae.device
    drawn = torch.randint(len(hard), (lessons.hard,), generator=noise, device=device)
    others = torch.randint(len(train), (lessons.others,), generator=noise, device=device)
    x_hard = as_floats(train.pixels[hard[drawn]])
    x_hard = augment_some(x_hard, objective.augment_probability, objective.augmentation, noise)
    x_others = as_targets(as_floats(train.pixels[others]), objective, noise)
    x = torch.cat([x_hard, x_others])
    eps = torch.randn((len(x), vae.spec.latent), generator=noise, device=device)
    terms = single_draw(vae, x, eps, objective.beta, 0.0)
    change = _change_of_classes(vae, classifier, x_hard, terms.mu[: lessons.hard])
    return terms.loss.mean() + lessons.weight * change.mean()


def _change_of_classes(vae: VAE, classifier: Classifier, x: Tensor, mu: Tensor) -> Tensor:
    """Return KL(classes of x || classes of what mu decodes to); (batch,), nats."""
    with torch.no_grad():
        log_p = classifier(x).log_softmax(dim=1)
    log_q = classifier(vae.mean_image(vae.logits(mu))).log_softmax(dim=1)
    return torch.sum(log_p.exp() * (log_p - log_q), dim=1)
