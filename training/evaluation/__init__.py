"""Measure trained models on a test split, and verify published numbers.

    evaluate             all numbers of a model, at one of the levels of `level`
    verify               measure a version again, and compare with its card and manifest
    warnings             faults of a result, and what to change
    metrics              units, tolerances and protocols of metrics

Likelihood and latents:
    likelihood           -ELBO and -ln p(x) of a split; `importance_sampling` estimates the latter
    posteriors           encode a split
    latent_metrics       active units, linear probe, nearest neighbours
    encoded_images       choose the test images whose latents are published

Judged by a classifier (see the package `classifier`):
    classifier_metrics   all metrics that need the judge
    sample_quality       Frechet distance, precision and recall; `density_coverage` has two more
    class_metrics        the same by class
    float_metrics        numbers of the float weights beside those of the exact network

Parts of a version:
    class_mixtures       a Gaussian mixture per class, for `label=`; `gaussian_mixture` fits it by EM
    judged_classes       fit these mixtures again to draws that the judge calls right
    directions           directions of the latent space; `attributes` are what they change
    typicality           the table of the typicality score, tried on `foreign_images`
    served               the network of a version as it is served
"""
