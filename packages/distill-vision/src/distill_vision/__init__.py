"""Vision for Distill: CIFAR-style models, datasets of images, batch augmentations, metrics."""

__version__ = "0.1.0"
