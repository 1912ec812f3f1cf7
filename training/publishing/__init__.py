"""From a measured model to a published version: card, figures, release."""
