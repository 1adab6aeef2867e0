"""Loading from a checkout with torch.hub."""

from __future__ import annotations

import pytest

CODE = """
import sys
sys.path = [each for each in sys.path if "distill-" not in each]  # ignore what is installed here
import torch
model = torch.hub.load(sys.argv[1], "digits/convnet8.kd", source="local")
print(model.fc.out_features, model.training)
sys.path.insert(0, sys.argv[1])
import hubconf
print("cifar10/resnet20" in dir(hubconf), hubconf.dependencies)
"""


def test_torch_hub_loads_by_name_from_a_checkout_in_which_nothing_is_installed(python, root):
    pytest.importorskip("distill_vision")
    assert python(CODE, str(root)).stdout == "10 False\nTrue ['torch', 'filelock', 'yaml']\n"
