"""Weights of identity-shortcut ResNets as others saved them."""

from __future__ import annotations

import pytest
import torch

from distill_core.errors import DataError
from distill_vision.models import resnet20, resnet_state_dict


def foreign(state, *, prefix: str = "module.", counts: bool = True):
    """Return the same weights in a common published layout."""
    renamed = {}
    for name, tensor in state.items():
        if counts or not name.endswith("num_batches_tracked"):
            renamed[prefix + name.replace("fc.", "linear.").replace("downsample", "shortcut")] = tensor
    return renamed


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("counts", [True, False])
def test_the_converted_weights_give_the_same_logits(shortcut, prefix, counts):
    source, loaded = resnet20(shortcut=shortcut).eval(), resnet20(shortcut=shortcut).eval()
    images = torch.randn(2, 3, 16, 16)
    assert not torch.equal(source(images), loaded(images))
    loaded.load_state_dict(resnet_state_dict(foreign(source.state_dict(), prefix=prefix, counts=counts)))
    assert torch.equal(source(images), loaded(images))


def test_names_of_this_package_do_not_change():
    state = resnet20().state_dict()
    assert list(resnet_state_dict(state)) == list(state)


def test_two_models_in_one_file_are_refused():
    with pytest.raises(DataError) as error:
        resnet_state_dict({"fc.bias": torch.zeros(1), "module.linear.bias": torch.zeros(1)})
    assert str(error.value) == (
        "two tensors would have the name 'fc.bias', the second is 'module.linear.bias'"
        "\n  hint: split the file: it contains two models"
    )
