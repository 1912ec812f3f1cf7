"""Training images: MNIST files and folders of images."""
