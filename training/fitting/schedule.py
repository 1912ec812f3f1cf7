"""Beta, learning rate and stage as pure functions of the number of epochs that are done.

`epochs` counts optimiser steps and is a fraction within an epoch: 0.3 after 3 of 10 steps.
"""

import math

from training.config import Objective, Optimiser


def beta_at(objective: Objective, epochs: float) -> float:
    """Return beta for the next step; it grows linearly from 0 and then keeps its value.

    Bowman et al. 2016, "Generating sentences from a continuous space"; Sønderby et al. 2016,
    "Ladder variational autoencoders", section 2.2.
    """
    if epochs >= objective.annealing_epochs:
        return objective.beta
    return objective.beta * epochs / objective.annealing_epochs


def learning_rate_at(optimiser: Optimiser, epochs: float, prior_only_epochs: int = 0) -> float:
    """Return the learning rate for the next step: linear warm-up times schedule.

    The last `prior_only_epochs` epochs have a schedule of their own, a warm-up and a cosine.
    """
    if prior_only_epochs:
        whole_vae = optimiser.epochs - prior_only_epochs
        if epochs < whole_vae:
            optimiser = optimiser.model_copy(update={"epochs": whole_vae})
        else:
            last = {"schedule": "cosine", "step_epochs": (), "epochs": prior_only_epochs}
            optimiser, epochs = optimiser.model_copy(update=last), epochs - whole_vae
    warmup = 1.0
    if epochs < optimiser.warmup_epochs:
        warmup = epochs / optimiser.warmup_epochs
    return optimiser.learning_rate * warmup * _factor(optimiser, epochs)


def cosine_after_warmup(step: int, warmup_steps: int, steps: int) -> float:
    """Return the share of the learning rate at a step (from 0): a linear beginning times half a cosine."""
    return min(1.0, step / warmup_steps) * 0.5 * (1 + math.cos(math.pi * step / steps))


def first_prior_only_epoch(objective: Objective, optimiser: Optimiser) -> int:
    """Return the first of the last epochs (from 1) in which only the flow learns."""
    return optimiser.epochs - objective.prior_only_epochs + 1


def is_flow_only(objective: Objective, optimiser: Optimiser, epoch: int) -> bool:
    """Return True if only the flow learns in this epoch (from 1), and the networks stay as they are."""
    last_stage = epoch >= first_prior_only_epoch(objective, optimiser)
    return last_stage or epoch <= objective.freeze_vae_epochs


def _factor(optimiser: Optimiser, epochs: float) -> float:
    match optimiser.schedule:
        case "constant":
            return 1.0
        case "cosine":  # Loshchilov & Hutter 2017, eq. 5, without restarts
            return 0.5 * (1 + math.cos(math.pi * min(epochs / optimiser.epochs, 1.0)))
        case "step":
            passed = sum(epochs >= milestone for milestone in optimiser.step_epochs)
            return optimiser.step_factor**passed
