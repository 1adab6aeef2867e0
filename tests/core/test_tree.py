from __future__ import annotations

from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from torch.utils.data import default_collate

from distill_core.tree import channels_last, children, map_leaves, map_tensors, tensors, to_device

Pair = namedtuple("Pair", "left right")


class Checked(namedtuple("Checked", "left right")):
    """A named tuple with its own constructor."""

    def __new__(cls, both):
        return super().__new__(cls, both, both)


@dataclass(frozen=True, slots=True)
class Frozen:
    value: object
    name: str = "name"


@dataclass
class Computed:
    value: object
    double: object = field(init=False)

    def __post_init__(self):
        self.double = self.value * 2


class Ordered(tuple):
    """A tuple that is not made from its parts."""

    def __new__(cls, left, right):
        return super().__new__(cls, (left, right))


ONE = torch.ones(2, 3)
STRUCTURES = {
    "tensor": ONE,
    "dict": {"a": ONE, 3: [ONE]},
    "ordered": OrderedDict(a=ONE, b="text"),
    "default": defaultdict(list, a=[ONE]),
    "user dict": UserDict(a=ONE),
    "proxy": MappingProxyType({"a": ONE}),
    "list": [ONE, "text", None, 3, 2.5, True, b"bytes"],
    "user list": UserList([ONE]),
    "deque": deque([ONE, ONE]),
    "tuple": (ONE, (ONE, ())),
    "named tuple": Pair(ONE, "text"),
    "named tuple with a constructor": Checked(ONE),
    "returned by torch": torch.max(ONE, dim=1),
    "dataclass": Frozen(ONE),
    "dataclass, computed": Computed(ONE),
    "size": torch.Size([2, 3]),
    "nested": {"a": [Pair((Frozen(ONE), None), {"b": Computed(ONE)})]},
    "text": "text",
    "none": None,
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_kinds_are_kept_and_every_tensor_is_reached(name):
    value = STRUCTURES[name]
    before = repr(value)
    doubled = map_tensors(value, lambda tensor: tensor * 2)
    assert type(doubled) is type(value) or name == "size"
    assert children(doubled) is None or list(children(doubled)) == list(children(value))
    assert repr(value) == before
    assert len(tensors(doubled)) == len(tensors(value))
    for one, other in zip(tensors(doubled), tensors(value), strict=True):
        assert torch.equal(one, other * 2)
    assert all(tensor.is_meta for tensor in tensors(to_device(value, "meta")))
    kept = [leaf for leaf in leaves(value) if not isinstance(leaf, torch.Tensor)]
    assert [leaf for leaf in leaves(doubled) if not isinstance(leaf, torch.Tensor)] == kept


def leaves(value):
    found = []
    map_leaves(value, lambda leaf: found.append(leaf) or leaf)
    return found


def test_a_tuple_that_is_not_made_from_its_parts_becomes_plain():
    assert map_leaves(Ordered(1, 2), lambda leaf: leaf + 1) == (2, 3)


def test_packed_sequences_keep_their_lengths():
    packed = pack_sequence([torch.ones(3), torch.ones(1)], enforce_sorted=False)
    padded, lengths = pad_packed_sequence(map_tensors(packed, torch.clone))
    assert padded.tolist() == [[1, 1], [1, 0], [1, 0]]
    assert lengths.tolist() == [3, 1]
    assert to_device(packed, "meta").batch_sizes.device.type == "cpu"


def test_objects_that_can_move_do():
    class Graph:
        device = "cpu"

        def to(self, device):
            moved = Graph()
            moved.device = device
            return moved

    assert to_device({"graph": [Graph()]}, "meta")["graph"][0].device == "meta"


def test_channels_last_reaches_nested_maps():
    moved = channels_last({"input": Pair(torch.ones(2, 3, 4, 4), "text"), "target": ONE})
    assert moved["input"].left.is_contiguous(memory_format=torch.channels_last)
    assert moved["target"] is ONE


@pytest.mark.parametrize(
    "sample", [{"a": 1, "b": ["x", 2.0]}, [1, (ONE, "x")], Pair(1, {"c": ONE}), (1, "x"), "x", 1, ONE, [Pair(ONE, "x")]]
)
def test_what_torch_collates_goes_through_every_walk(sample):
    batch = default_collate([sample, sample])
    assert repr(map_tensors(batch, lambda tensor: tensor)) == repr(batch)
    assert repr(to_device(batch, "cpu")) == repr(batch)
