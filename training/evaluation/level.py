"""Evaluation levels; importable without PyTorch, because `--help` lists them."""

from enum import StrEnum


class EvaluationLevel(StrEnum):
    """Amount of measuring; each level includes the ones before it.

    quick       latents and KL over the whole test split, everything else over its first images
    bound       the test -ELBO and its parts, typicality, linear probe, nearest neighbours
    full        NLL, and what the judge measures
    exhaustive  the NLL of a few images by thousands of draws
    """

    QUICK = "quick"
    BOUND = "bound"
    FULL = "full"
    EXHAUSTIVE = "exhaustive"

    def includes(self, other: "EvaluationLevel") -> bool:
        """Return True if everything that `other` measures is measured."""
        order = list(EvaluationLevel)
        return order.index(self) >= order.index(other)
