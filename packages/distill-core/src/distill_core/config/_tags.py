"""The tags and their meaning, in both spellings; each is read into one record.

!import_call:torch.nn.Linear {in_features: 3, out_features: 2}          named arguments
!import_call:torch.nn.Linear [3, 2]                                     arguments by position
!import_call {key: torch.nn.Linear, init: {args: [3], kwargs: {out_features: 2}}}

!import_partial:torch.optim.SGD {lr: 0.1}          called later, with the remaining arguments
!import_get:torch.float32                          the object itself
!import_call_method:pkg.Class.method {...}         long: {package:, class_name:, method_name:, init:}
!call_method:name {obj: ..., args: [...], kwargs: {...}, returns_obj: false}
!getattr:name [obj, default]                       long: [obj, name, default]
!setattr:name [obj, value]                         long: [obj, name, value]
!access_by_index_or_key:key [data]                 long: {data:, index_or_key:}
!join [a, b]   !pathjoin [a, b]   !expanduser ~/a   !abspath a
"""

from __future__ import annotations

from dataclasses import dataclass, field

from yaml import Node

IMPORTING = ("import_call", "import_partial", "import_get", "import_call_method")
NAMED = (*IMPORTING, "call_method", "getattr", "setattr", "access_by_index_or_key")
TEXT = ("join", "pathjoin", "expanduser", "abspath")
TAGS = (*NAMED, *TEXT)

Pair = tuple[Node, Node]


@dataclass(frozen=True)
class Tagged:
    """A parsed tagged node.

    Attributes:
        tag: One of `TAGS`.
        node: The node itself.
        path: The import path of the tags that import.
        name: The attribute, method, index or key of the tags that reach into an object; a node if it must be built first.
        at: The node of the path or name, for messages.
        operands: The nodes that the tag works on: an object, a default, texts to join.
        args: Arguments by position.
        kwargs: Arguments by name, each with the node of its name.
        returns_obj: Whether `!call_method` returns the object instead of the result.
    """

    tag: str
    node: Node
    at: Node
    path: str = ""
    name: str | Node = ""
    operands: tuple[Node, ...] = ()
    args: tuple[Node, ...] = ()
    kwargs: dict[str, Pair] = field(default_factory=dict)
    returns_obj: Node | None = None
