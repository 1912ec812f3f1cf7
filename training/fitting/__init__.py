"""Fit a VAE: objective, schedules, trainer.

    trainer                 the training loop; `events` are its reports
    objective               the evidence lower bound and the importance-weighted bound
    schedule                beta and learning rate
    targets                 grey or binarized pixels
    ema                     a moving average of the weights
    data_parallel           one training by several processes

Before and after the epochs:
    compute_choice          choose threads, number format and memory layout by trial steps
    memory                  estimate the memory of a training, and give advice
    narrowing               begin with the weights of a wider network
    batch_norm              statistics for batch norms that were folded
    latent_standardisation  shift and scale latents to mean 0 and variance 1

The encoder alone:
    kept_classes            reconstructions keep the class that a classifier sees

The flow alone:
    prior                   train the flow on draws from q(z | x)
    sure_draws              fit the flow again to draws that a classifier is sure of
"""
