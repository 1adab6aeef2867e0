"""Names of tensors in public checkpoints of CIFAR models.

Those of chenyaofo/pytorch-cifar-models, and of RepDistiller and mdistiller for ResNets, VGGs, MobileNetV2 and ShuffleNets,
are the names of this package.
"""

from __future__ import annotations

from distill_core.weights import Layout

IDENTITY_RESNET = Layout(
    "akamaster/pytorch_resnet_cifar10",
    {r"^(?:linear|classifier)\.": "fc.", r"^(layer\d+\.\d+\.)shortcut\.": r"\1downsample."},
)
"""ResNets with shortcuts without parameters (option A), whose classifier is called `linear`."""

REPDISTILLER_WIDE_RESNET = Layout(
    "RepDistiller and mdistiller",
    {r"^block(\d+)\.layer\.": r"layer\1.", r"^(layer\d+\.\d+\.)convShortcut\.": r"\1shortcut.0."},
    requires={"shortcut_input": "activated"},
)
