"""Texts: classifiers and language models of transformers, and students of some of their layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ....data import class_names_of_model, plain_class_name
from ....export import longest_sequence
from ....preview import ExampleInputs
from ..._exit import refuse
from ._held_out import HeldOut, about_held_out
from ._models import Call, built
from ._own_data import LabelledTexts, PromptRows
from ._package import package
from ._recipe import SCHEDULE, Candidate, Recipe, epochs_key, head, num_epochs, quoted

CLASSIFIER, CAUSAL = "AutoModelForSequenceClassification", "AutoModelForCausalLM"
FRACTIONS = (0.5, 0.34, 0.17)
"""Fractions of the teacher's layers of the proposed students."""
LOAD = "distill_nlp.models.from_pretrained"
LENGTH, MAX_LENGTH = 128, 512
PROMPTS = 4
"""Number of conversations, or of prompts with completions, in a batch."""
FIELDS = "{input_ids: batch.input_ids, attention_mask: batch.attention_mask}"


def text_recipe(
    data: LabelledTexts | PromptRows, teacher: str, trust: Sequence[str]
) -> tuple[Recipe, nn.Module, ExampleInputs, Call]:
    """Return the experiment, the teacher, tokens and the teacher's call.

    Raises:
        ConfigError: The teacher is not a folder of transformers.
        DistillError: Its weights are not complete.
    """
    folder = Path(teacher).expanduser()
    config = _config(folder)
    kind = CLASSIFIER if isinstance(data, LabelledTexts) else CAUSAL
    arguments = [f"auto_class={kind}", f"name_or_path={json.dumps(str(folder))}"]
    trained = True
    if isinstance(data, LabelledTexts):
        trained = _has_head(config, len(data.labels))
        arguments += [] if trained else [f"num_labels={len(data.labels)}", "new_head=true"]
    call = Call(teacher, LOAD, arguments)
    own = built(call, trust)
    if isinstance(data, LabelledTexts):
        data = _with_missing(replace(data, labels=_in_order_of(own, data.labels)), folder)
    about = _about(data)
    text = head(about, teacher) + f"_teacher: &teacher {quoted(folder)}\n\nmodels:\n"
    text += f"  teacher: {_anchored(call)}\n  student: STUDENT\n\n"
    longest = _most_tokens(own, kind)
    if isinstance(data, LabelledTexts):
        text += _labelled(data, longest, trained=trained)
    else:
        text += _prompts(data, longest)
    notes = () if trained else ("the teacher is trained first: it has no head for these classes",)
    tokens: Any = torch.empty((1, min(LENGTH, longest)), dtype=torch.int64, device="meta")
    example = ExampleInputs((), {"input_ids": tokens, "attention_mask": tokens}, f"{tokens.shape[1]} tokens")
    return Recipe(teacher, f"{about}; {_about_val(data)}", text, notes), own, example, call


def text_students(teacher: Call, model: nn.Module, given: str | None, trust: Sequence[str]) -> list[Candidate]:
    """Return students with some of the teacher's layers, or the one that is given: a folder."""
    if given is not None:
        _config(Path(given).expanduser())
        kept = [argument for argument in teacher.arguments if not argument.startswith("name_or_path=")]
        call = Call(given, LOAD, [*kept, f"name_or_path={json.dumps(str(Path(given).expanduser()))}"])
        own = built(call, trust)
        kind = CLASSIFIER if f"auto_class={CLASSIFIER}" in kept else CAUSAL
        if (most := _most_tokens(own, kind)) < (needed := _most_tokens(model, kind)):
            refuse(f"{given} reads {most} tokens, and its teacher {needed}", "name a student with as many positions")
        return [Candidate(given, call, call.yaml(), own)]
    config: Any = model.config
    count = int(config.num_hidden_layers)
    students = []
    for number in dict.fromkeys(max(1, round(count * fraction)) for fraction in FRACTIONS):
        if number < count:
            layers = [round(index * (count - 1) / max(number - 1, 1)) for index in range(number)]
            call = Call(f"{number} of its {count} layers", LOAD, [*teacher.arguments, f"layers={layers}"])
            students.append(Candidate(call.name, call, _anchored(call), built(call, trust)))
    if not students:
        refuse(f"{teacher.name} has one layer, so no student of its layers is smaller", "give --student FOLDER")
    return students


def _anchored(call: Call) -> str:
    """Return a call in which the teacher's folder is the alias of its anchor."""
    pairs = (argument.split("=", 1) for argument in call.arguments)
    values = ", ".join(f"{key}: {'*teacher' if key == 'name_or_path' else value}" for key, value in pairs)
    return f"!import_call:{call.path} {{{values}}}"


def _config(folder: Path) -> dict[str, Any]:
    """Return the `config.json` of a folder."""
    try:
        found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        refuse(
            f"{folder} is not a folder of transformers: it has no config.json",
            "give a folder that save_pretrained wrote",
        )
    return found


def _has_head(config: dict[str, Any], count: int) -> bool:
    """Return whether a config is that of a classifier with `count` classes."""
    names = config.get("architectures") or [""]
    labels = config.get("id2label") or {"0": "", "1": ""}
    return "ForSequenceClassification" in names[0] and len(labels) == count


def _most_tokens(model: nn.Module, kind: str) -> int:
    """Return the number of tokens to which texts are truncated, which the model's positions allow."""
    most = LENGTH if kind == CLASSIFIER else MAX_LENGTH
    return min(most, longest_sequence(model) or most)


def _in_order_of(model: nn.Module, labels: Sequence[str]) -> list[str]:
    """Return the labels in the order of the model's classes if it names the same ones, as `check_label_order` compares."""
    names = [*map(plain_class_name, class_names_of_model(model))]
    if sorted(names) != sorted(map(plain_class_name, labels)):
        return list(labels)
    return sorted(labels, key=lambda label: names.index(plain_class_name(label)))


def _about(data: LabelledTexts | PromptRows) -> str:
    if isinstance(data, LabelledTexts):
        return f"{data.num_train:,} texts of {len(data.labels)} classes"
    return f"{data.kind} of {data.file.name}"


def _about_val(data: LabelledTexts | PromptRows) -> str:
    """Return the number of samples that are held out for `val`."""
    if isinstance(data, PromptRows):
        return f"val: {data.num_val:,} rows, 5%, and as many for test"
    return about_held_out(data.held_out, "texts")


def _with_missing(data: LabelledTexts, tokenizer: Path) -> LabelledTexts:
    """Return texts with the names of the classes of which none is held out.

    Args:
        data: The texts.
        tokenizer: Folder of a tokenizer; the held-out rows do not depend on it.
    """
    if not data.held_out.count:
        return data
    options = {"columns": [data.column], "target": data.target, "labels": data.labels, "batch_size": 1}
    load = package("distill_nlp.data").text_classification
    holdout = data.held_out.count
    dataset = load(data.train, tokenizer=str(tokenizer), split="held_out", holdout=holdout, **options).dataset
    found = set(dataset.targets)
    missing = [label for index, label in enumerate(data.labels) if index not in found]
    return replace(data, held_out=HeldOut(holdout, missing))


def _labelled(data: LabelledTexts, max_length: int, *, trained: bool) -> str:
    load, batch = "!import_call:distill_nlp.data.text_classification", max(1, min(32, data.num_train))
    options = f"tokenizer: *teacher, columns: [{quoted(data.column)}], target: {quoted(data.target)}, labels: {'*labels'}, max_length: {max_length}"
    holdout = f", holdout: {data.held_out.count}" if data.held_out.count else ""
    held_out = f", split: held_out{holdout}" if holdout else ""
    loaders = {
        "train": (data.train, f"batch_size: {batch}, shuffle: true, group_by_length: true{holdout}"),
        "val": (data.val or data.train, f"batch_size: {batch}{held_out}"),
        "test": (data.test, f"batch_size: {batch}"),
    }
    text = f"_labels: &labels {json.dumps(list(data.labels), ensure_ascii=False)}\n\n"
    text += f"data:                                # {_about_val(data)}\n"
    for name, (file, rest) in loaders.items():
        anchor = "" if name == "train" else f"&{name} "
        text += f"  {name}: {anchor}{load} {{file: {quoted(file)}, {options}, {rest}}}\n"
    text += "\nstages:\n"
    feed = f"    feed:                            # the arguments of each model's forward\n      teacher: &fields {FIELDS}\n      student: *fields\n"
    epochs = num_epochs(data.num_train, batch, steps=2000, least=4, most=30)
    if not trained:
        text += epochs_key(max(3, epochs // 3), data.num_train, batch, "first the teacher")
        text += f"    train: [teacher]\n{_optimizer('3.0e-5')}{feed}"
        text += "    losses:\n      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: teacher:out.logits, target: batch.target}}\n"
    text += epochs_key(epochs, data.num_train, batch, "the student")
    text += (
        f"{_optimizer('1.0e-4')}{feed}"
        if trained
        else "    train: null                      # back to the default: models whose name does not start with `teacher`\n"
    )
    return text + _KD_OF_CLASSES + _EVALUATE


def _optimizer(lr: str) -> str:
    return (
        f"    optimizer: !import_partial:torch.optim.AdamW {{lr: {lr}, weight_decay: 0.01}}\n{SCHEDULE}"
        "    clip_grad_norm: 1.0\n"
    )


def _prompts(data: PromptRows, max_length: int) -> str:
    key = "rows" if data.kind == "conversations" else "file"
    load = f"!import_call:distill_nlp.data.{data.kind} {{{key}: {quoted(data.file)}, tokenizer: *teacher, batch_size: {PROMPTS}, max_length: {max_length}"
    epochs = num_epochs(data.num_train, PROMPTS, steps=1000, least=1, most=10)
    feed = "    feed:\n      teacher: &fields {input_ids: batch.input_ids}\n      student: *fields\n"
    return (
        f"data:                                # {_about_val(data)}; see distill_nlp.data.{data.kind}\n"
        f"  train: {load}, split: train}}\n  val: &val {load}, split: val}}\n  test: &test {load}, split: test}}\n\nstages:\n"
        f"{epochs_key(epochs, data.num_train, PROMPTS, 'the student')}{_optimizer('1.0e-4')}{feed}{_KD_OF_TOKENS}"
    )


_KD_OF_CLASSES = """\
    losses:
      ce:                            # the labels
        weight: 0.1
        loss: !import_call:torch.nn.CrossEntropyLoss {}
        inputs: {input: student:out.logits, target: batch.target}
      kd:                            # the teacher's probabilities
        weight: 0.9
        loss: !import_call:distill_core.losses.KDLoss {temperature: 2.0}
        inputs: {student: student:out.logits, teacher: teacher:out.logits}
"""
_EVALUATE = """
callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *val
    metrics: &metrics
      accuracy: {metric: !import_call:distill_nlp.metrics.Accuracy {}, inputs: {preds: student:out.logits, target: batch.target}}
      teacher: {metric: !import_call:distill_nlp.metrics.Accuracy {}, inputs: {preds: teacher:out.logits, target: batch.target}}
  - !import_call:distill_core.train.Checkpoint {best: accuracy}

test: {loader: *test, metrics: *metrics}                   # once, at the end: the best epoch is selected on `val`
"""
_KD_OF_TOKENS = """\
    losses:
      kd:                            # the teacher's next token at each place of the answers; see distill_core.losses for others
        loss: !import_call:distill_core.losses.ForwardKLLoss {}
        inputs: {student: student:out.logits, teacher: teacher:out.logits, mask: batch.mask}

callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *val
    metrics: &metrics
      perplexity: {metric: !import_call:distill_nlp.metrics.Perplexity {}, inputs: {preds: student:out.logits, target: batch.target}}
      teacher: {metric: !import_call:distill_nlp.metrics.Perplexity {}, inputs: {preds: teacher:out.logits, target: batch.target}}
  - !import_call:distill_core.train.Checkpoint {best: perplexity, mode: min}
  - !import_call:distill_nlp.models.SavePretrained {tokenizer: *teacher}

test: {loader: *test, metrics: *metrics}                   # once, at the end: the best epoch is selected on `val`
"""
