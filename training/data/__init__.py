"""Training data: MNIST, Fashion-MNIST and folders of images, and their augmentation."""
