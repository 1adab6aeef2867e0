"""Parsing of tagged nodes into `Tagged`: the short and the long spelling of each tag, and their errors."""

from __future__ import annotations

import re

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem, did_you_mean, nearest
from ._nodes import count, describe, is_untagged, pairs, shown_tag, string
from ._problems import TagError
from ._tags import IMPORTING, TAGS, TEXT, Pair, Tagged

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def parse(node: Node) -> Tagged:
    """Parse a tagged node.

    Raises:
        TagError: The tag is unknown or the node is malformed.
    """
    tag, colon, name = node.tag.removeprefix("!").partition(":")
    if node.tag[:1] != "!" or tag not in TAGS:
        shown = shown_tag(node.tag)
        close = nearest(tag, (*TAGS, "include"))
        hint = f"did you mean '!{close}'?" if close else ""
        raise TagError(node, Problem(f"there is no tag '{shown}'", hint=hint, id="unknown-tag"))
    if tag in TEXT:
        if colon:
            raise TagError(
                node, Problem(f"'!{tag}' takes no name", hint=f"write '!{tag}' and a space", id="tag-takes-no-name")
            )
        return _text(tag, node)
    if colon and not name:
        raise TagError(node, Problem(f"'!{tag}:' needs a name", hint=f"write '!{tag}:NAME'", id="tag-name-missing"))
    if tag in IMPORTING:
        return _short_import(tag, node, name) if colon else _long_import(tag, node)
    if tag == "call_method":
        return _call_method(node, name)
    if tag == "access_by_index_or_key":
        return _access(node, name)
    return _attribute(tag, node, name)


def imported(node: Node | None) -> Tagged | None:
    """Return the parsed import of a node; None for any other node, or a malformed one."""
    try:
        tagged = parse(node) if node is not None and not is_untagged(node) else None
    except TagError:
        return None
    return tagged if tagged is not None and tagged.tag in IMPORTING else None


def _text(tag: str, node: Node) -> Tagged:
    if tag in ("join", "pathjoin"):
        if not isinstance(node, SequenceNode):
            raise TagError(node, Problem(f"'!{tag}' takes a list of strings", id="join-form"))
        return Tagged(tag, node, node, operands=tuple(node.value))
    if not isinstance(node, ScalarNode) or not node.value:
        raise TagError(node, Problem(f"'!{tag}' takes a path", id="path-form"))
    return Tagged(tag, node, node, name=node.value)


def _path(tag: str, node: Node, path: str) -> str:
    if not _PATH.fullmatch(path):
        hint = f"put a space after '{path[:-1]}'" if path.endswith((",", "]")) else "write 'package.module.name'"
        raise TagError(
            node, Problem(f"'!{tag}' takes an import path, got {path!r}", hint=hint, id="import-path-malformed")
        )
    return path


def _short_import(tag: str, node: Node, name: str) -> Tagged:
    path = _path(tag, node, name)
    if tag == "import_get":
        if node.value:
            message = "'!import_get' takes no arguments"
            raise TagError(
                node, Problem(message, hint="use '!import_call' to call the object", id="import-get-arguments")
            )
        return Tagged(tag, node, node, path)
    if isinstance(node, MappingNode):
        return Tagged(tag, node, node, path, kwargs=pairs(node))
    if isinstance(node, SequenceNode):
        return Tagged(tag, node, node, path, args=tuple(node.value))
    if node.value:
        message = f"'!{tag}:{name}' takes a mapping of named arguments or a list, not the string {node.value!r}"
        hint = f"write [{node.value}] for one positional argument"
        raise TagError(node, Problem(message, hint=hint, id="arguments-string"))
    return Tagged(tag, node, node, path)


def _fields(tag: str, node: Node, allowed: tuple[str, ...], required: tuple[str, ...]) -> dict[str, Pair]:
    """Return the fields of a long form; raise if one is unknown or missing."""
    if not isinstance(node, MappingNode):
        message = f"'!{tag}' takes a mapping of {_list(allowed)}"
        raise TagError(node, Problem(message, hint=f"or write '!{tag}:NAME'", id="tag-form"))
    found = pairs(node)
    for name, (key, _) in found.items():
        if name not in allowed:
            is_argument = "init" in allowed and not nearest(name, allowed)
            hint = (
                "put arguments under 'init: {args: [...], kwargs: {...}}'"
                if is_argument
                else did_you_mean(name, allowed)
            )
            raise TagError(key, Problem(f"'{name}' is not a field of '!{tag}'", hint=hint, id="unknown-field"))
    for name in required:
        if name not in found:
            message = f"'!{tag}' needs the field '{name}'"
            raise TagError(node, Problem(message, hint=f"or write '!{tag}:NAME'", id="missing-field"))
    return found


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _word(tag: str, found: dict[str, Pair], name: str) -> str:
    node = found[name][1]
    text = string(node)
    if text is None:
        raise TagError(
            node, Problem(f"'{name}' of '!{tag}' takes a string, not {describe(node)}", id="field-not-string")
        )
    return text


def _long_import(tag: str, node: Node) -> Tagged:
    init = () if tag == "import_get" else ("init",)
    if tag == "import_call_method":
        found = _fields(tag, node, ("package", "class_name", "method_name", *init), ("package",))
        given = [name for name in ("class_name", "method_name") if name in found]
        if len(given) == 1:
            message = f"'{given[0]}' needs '{'method_name' if given == ['class_name'] else 'class_name'}' as well"
            raise TagError(
                node, Problem(message, hint="give both, or put both into 'package'", id="method-without-class")
            )
        words = [_word(tag, found, name) for name in ("package", *given)]
        at = found["package"][1]
    else:
        found = _fields(tag, node, ("key", "package", *init), ("key",))
        words = [_word(tag, found, name) for name in ("package", "key") if name in found]
        at = found["key"][1]
    args, kwargs = _arguments(tag, found["init"][1]) if "init" in found else ((), {})
    return Tagged(tag, node, at, _path(tag, at, ".".join(words)), args=args, kwargs=kwargs)


def _arguments(tag: str, node: Node) -> tuple[tuple[Node, ...], dict[str, Pair]]:
    """Return the arguments in `{args: [...], kwargs: {...}}`; either key may be absent or null."""
    if _is_null(node):
        return (), {}
    if not isinstance(node, MappingNode) or not is_untagged(node):
        message = f"'init' of '!{tag}' takes a mapping of 'args' and 'kwargs', not {describe(node)}"
        raise TagError(node, Problem(message, id="init-form"))
    found = pairs(node)
    for name, (key, _) in found.items():
        if name not in ("args", "kwargs"):
            message = f"'{name}' is neither 'args' nor 'kwargs'"
            raise TagError(key, Problem(message, hint=f"write 'kwargs: {{{name}: ...}}'", id="unknown-init-key"))
    return _args(found), _kwargs(found)


def _is_null(node: Node) -> bool:
    return is_untagged(node) and isinstance(node, ScalarNode) and node.tag.endswith(":null")


def _args(found: dict[str, Pair]) -> tuple[Node, ...]:
    node = found["args"][1] if "args" in found else None
    if node is None or _is_null(node):
        return ()
    if not isinstance(node, SequenceNode) or not is_untagged(node):
        raise TagError(node, Problem(f"'args' takes a list, not {describe(node)}", id="args-form"))
    return tuple(node.value)


def _kwargs(found: dict[str, Pair]) -> dict[str, Pair]:
    node = found["kwargs"][1] if "kwargs" in found else None
    if node is None or _is_null(node):
        return {}
    if not isinstance(node, MappingNode) or not is_untagged(node):
        raise TagError(node, Problem(f"'kwargs' takes a mapping, not {describe(node)}", id="kwargs-form"))
    return pairs(node)


def _call_method(node: Node, name: str) -> Tagged:
    fields = ("obj", "args", "kwargs", "returns_obj")
    if name:
        found = _fields("call_method", node, fields, ("obj",))
        at = node
    else:
        found = _fields("call_method", node, ("method_name", *fields), ("obj", "method_name"))
        name, at = _word("call_method", found, "method_name"), found["method_name"][1]
    returns = found["returns_obj"][1] if "returns_obj" in found else None
    operands = (found["obj"][1],)
    return Tagged(
        "call_method",
        node,
        at,
        name=name,
        operands=operands,
        args=_args(found),
        kwargs=_kwargs(found),
        returns_obj=returns,
    )


def _access(node: Node, name: str) -> Tagged:
    if name:
        if not isinstance(node, SequenceNode) or len(node.value) != 1:
            message = "'!access_by_index_or_key:KEY' takes a list of one element, the data"
            raise TagError(node, Problem(message, id="access-form"))
        return Tagged("access_by_index_or_key", node, node, name=name, operands=tuple(node.value))
    found = _fields("access_by_index_or_key", node, ("data", "index_or_key"), ("data", "index_or_key"))
    key = found["index_or_key"][1]
    return Tagged("access_by_index_or_key", node, key, name=key, operands=(found["data"][1],))


def _attribute(tag: str, node: Node, name: str) -> Tagged:
    least, most = (1, 2) if tag == "getattr" else (2, 2)
    form = "obj, default" if tag == "getattr" else "obj, value"
    if not isinstance(node, SequenceNode):
        message = f"'!{tag}' takes a list: [{form.replace('obj', 'obj, name')}]"
        raise TagError(node, Problem(message, id="attribute-form"))
    items = tuple(node.value)
    num_operands = len(items) if name else len(items) - 1
    if not least <= num_operands <= most:
        form = form if name else form.replace("obj", "obj, name")
        message = f"'!{tag}' takes [{form}], not {count(len(items), 'element')}"
        raise TagError(node, Problem(message, id="attribute-operands"))
    if name:
        return Tagged(tag, node, node, name=name, operands=items)
    text = string(items[1])
    return Tagged(tag, node, items[1], name=items[1] if text is None else text, operands=(items[0], *items[2:]))
