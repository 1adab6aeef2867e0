"""README of a model repository, with the metadata block of the Hugging Face Hub."""

from __future__ import annotations

from ._card import Card


def describe(card: Card) -> str:
    """Return the README in Markdown: description, usage, metrics, provenance and license."""
    sections = [_head(card), f"# {card.name}", _about(card), _usage(card), _metrics(card), _provenance(card)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(card: Card) -> str:
    lines = ["---", f"license: {card.license.lower()}", "library_name: distill-zoo", "tags: [knowledge-distillation]"]
    return "\n".join([*lines, f"datasets: [{card.dataset}]", "---"])


def _about(card: Card) -> str:
    teacher = f", distilled from {card.teacher}" if card.teacher else ""
    classes = (
        f" {card.classes} classes" + (f": {', '.join(card.labels)}." if card.labels else ".") if card.classes else ""
    )
    note = f"\n\n{card.note[:1].upper()}{card.note[1:]}." if card.note else ""
    return f"Weights of `{card.builder or card.model}` for {card.dataset}{teacher}.{classes}{note}"


def _usage(card: Card) -> str:
    image = ["prepare = distill_zoo.transforms('" + card.name + "')"] if card.input else []
    lines = ["import distill_zoo", "", 'model = distill_zoo.from_pretrained("path/of/this/folder")', *image]
    return "\n".join(["```python", *lines, "```"])


def _metrics(card: Card) -> str:
    if not card.metrics:
        return ""
    rows = [
        f"| {each.name} | {each.value:g} | {each.split} | {each.chosen or '–'} | {', '.join(map(str, each.seeds)) or '–'} |"
        for each in card.metrics
    ]
    return "\n".join(["| metric | value | split | selected weights | seeds |", "|---|---|---|---|---|", *rows])


def _provenance(card: Card) -> str:
    training = card.trained_by
    recipe = f"{training.recipe}" + (f" at {training.commit}" if training.commit else "") if training else ""
    seed = f", seed {training.seed}" if training and training.seed is not None else ""
    lines = [
        f"* Trained by: {recipe}{seed}" if recipe else "",
        f"* Paper: {card.paper}" if card.paper else "",
        f"* Source: {card.source}" if card.source else "",
        f"* License: {card.license}",
    ]
    return "\n".join(line for line in lines if line)
