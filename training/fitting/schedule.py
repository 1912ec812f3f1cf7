"""How beta and the learning rate change while training: pure functions of the epochs behind.

`epochs` counts steps and is a fraction inside of an epoch: after 3 of 10 steps it is 0.3.
"""

import math

from training.config import Objective, Optimiser


def beta_at(objective: Objective, epochs: float) -> float:
    """Beta before the step at this point; from 0 to `beta` in a line, then `beta`.

    Bowman et al. 2016, "Generating sentences from a continuous space"; Sønderby et al. 2016,
    "Ladder variational autoencoders", section 2.2.
    """
    if epochs >= objective.annealing_epochs:
        return objective.beta
    return objective.beta * epochs / objective.annealing_epochs


def learning_rate_at(optimiser: Optimiser, epochs: float) -> float:
    """The learning rate of the step at this point: a linear warm-up times the schedule."""
    warmup = 1.0
    if epochs < optimiser.warmup_epochs:
        warmup = epochs / optimiser.warmup_epochs
    return optimiser.learning_rate * warmup * _factor(optimiser, epochs)


def _factor(optimiser: Optimiser, epochs: float) -> float:
    match optimiser.schedule:
        case "constant":
            return 1.0
        case "cosine":  # Loshchilov & Hutter 2017, eq. 5, without restarts
            return 0.5 * (1 + math.cos(math.pi * min(epochs / optimiser.epochs, 1.0)))
        case "step":
            passed = sum(epochs >= milestone for milestone in optimiser.step_epochs)
            return optimiser.step_factor**passed
