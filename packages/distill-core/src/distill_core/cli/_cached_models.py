"""The models of a file that are not built, because complete caches hold their values."""

from __future__ import annotations

from collections.abc import Mapping

from yaml import Node, ScalarNode

from ..config import Builder, Document, NodesByKey, children, is_untagged, refuse, scalar_value
from ..errors import Problem, WiringError


def models_not_built(document: Document) -> Mapping[str, Node]:
    """Return the models whose cache sets `build_model: false`: name → node."""
    top = dict(children(document.root))
    models = dict(children(top["models"])) if "models" in top else {}
    settings = {name: dict(children(node)) for name, node in (children(top["cache"]) if "cache" in top else ())}
    return {
        name: models[name] for name, given in settings.items() if name in models and _is_false(given.get("build_model"))
    }


def provide_cached_models(document: Document, builder: Builder) -> None:
    """Let a builder use a `CachedModel` for each model that is not to be built.

    Raises:
        ConfigError: Something else in the file uses the model, or its folder holds no cache of it.
    """
    from ..train import CachedModel

    nodes, problems = NodesByKey(document), []
    for name, node in models_not_built(document).items():
        if nodes.num_uses(node) > 1:
            message = f"another object of this file uses '{name}', which is not built"
            problem = Problem(message, hint=f"set cache.{name}.build_model: true", id="model-not-built")
            problems.append(nodes.located(problem, f"models.{name}"))
            continue
        folder = builder.build(dict(children(nodes.find(f"cache.{name}")[0]))["folder"])
        try:
            builder.provide(node, CachedModel(name, folder))
        except WiringError as error:
            problem = Problem(error.message, hint=error.hint, id="cache-missing")
            problems.append(nodes.located(problem, f"cache.{name}.folder"))
    refuse(problems)


def _is_false(node: Node | None) -> bool:
    return isinstance(node, ScalarNode) and is_untagged(node) and scalar_value(node) is False
