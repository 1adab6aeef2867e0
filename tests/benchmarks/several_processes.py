"""The smallest experiment of each task, and a callback that ends a run in its middle."""

from __future__ import annotations

import os

from distill_core.train import Callback

# Batch statistics and dropout depend on how a batch is cut, so models are in eval mode where they return the same then.
HEAD = """
seed: 0
parallel: PARALLEL
_modes: &modes {student: eval, teacher: eval}
_optimizer: &optimizer !import_partial:torch.optim.SGD {lr: 0.02, momentum: 0.9}
callbacks:
  - !import_call:distill_core.train.Checkpoint {}
  - !import_call:several_processes.EndOnce {}
"""

EXAMPLES = {
    "classification": HEAD + """
models:
  teacher: !import_call:distill_vision.models.convnet {width: 12}
  student: !import_call:distill_vision.models.convnet {width: 8}
data:
  train: !import_call:distill_vision.data.digits {split: train, batch_size: BATCH, labels: 60, seed: 0}
stages:
  - epochs: 2
    optimizer: *optimizer
    modes: *modes
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
      kd: {loss: !import_call:distill_core.losses.KDLoss {}, inputs: {student: student, teacher: teacher}}
test:
  loader: !import_call:distill_vision.data.digits {split: test, batch_size: 100}
  metrics:
    divergence: {metric: !import_call:distill_vision.metrics.TeacherDivergence {}, inputs: {student: student, teacher: teacher}}
""",
    "detection": HEAD + """
models:
  teacher: !import_call:distill_vision.models.small_fcos {num_classes: 5, width: 12}
  student: !import_call:distill_vision.models.small_fcos {num_classes: 5, width: 8}
data:
  train: !import_call:distill_vision.data.shapes_detection {split: train, batch_size: BATCH, images: 24}
stages:
  - epochs: 2
    optimizer: *optimizer
    feed: {student: {images: batch.input, targets: batch.target}, teacher: {images: batch.input}}
    losses:
      detection: {loss: !import_call:distill_core.losses.ReportedLoss {}, inputs: {student: student}, averages_over: samples}
      pkd:
        loss: !import_call:distill_core.losses.PKDLoss {}
        inputs: {student: student.backbone.fpn.layer_blocks.0, teacher: teacher.backbone.fpn.layer_blocks.0}
test:
  loader: !import_call:distill_vision.data.shapes_detection {split: test, batch_size: 8, images: 16}
  metrics:
    coco: {metric: !import_call:distill_vision.metrics.CocoAP {}, inputs: {preds: student, target: batch.target}}
""",
    "segmentation": HEAD + """
models:
  teacher: !import_call:distill_vision.models.small_segmenter {num_classes: 5, width: 12}
  student: !import_call:distill_vision.models.small_segmenter {num_classes: 5, width: 8}
data:
  train: !import_call:distill_vision.data.shapes_segmentation {split: train, batch_size: BATCH, images: 24}
stages:
  - epochs: 2
    optimizer: *optimizer
    modes: *modes
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {ignore_index: 255}, inputs: {input: student, target: batch.target}}
      pkd: {loss: !import_call:distill_core.losses.PKDLoss {}, inputs: {student: "student.classifier:in", teacher: "teacher.classifier:in"}}
test:
  loader: !import_call:distill_vision.data.shapes_segmentation {split: test, batch_size: 8, images: 16}
  metrics:
    scores: {metric: !import_call:distill_vision.metrics.SegmentationScores {num_classes: 5}, inputs: {preds: student, target: batch.target}}
""",
    "text": HEAD + """
_words: &words !import_call:distill_nlp.tokenizers.wordpiece {texts: [a good film, a bad book, so warm a tea], vocab_size: 60}
models:
  teacher: !import_call:distill_nlp.models.tiny_bert {vocab_size: 60, num_labels: 2, layers: 2, width: 16}
  student: !import_call:distill_nlp.models.tiny_bert {vocab_size: 60, num_labels: 2, layers: 1, width: 16}
data:
  train: !import_call:distill_nlp.data.text_classification
    {file: texts.tsv, tokenizer: *words, batch_size: BATCH, labels: [bad, good], max_length: 16, shuffle: true}
stages:
  - epochs: 2
    optimizer: *optimizer
    modes: *modes
    feed: {teacher: &fields {input_ids: batch.input_ids, attention_mask: batch.attention_mask}, student: *fields}
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: "student:out.logits", target: batch.target}}
      kd: {loss: !import_call:distill_core.losses.KDLoss {}, inputs: {student: "student:out.logits", teacher: "teacher:out.logits"}}
test:
  loader: !import_call:distill_nlp.data.text_classification {file: texts.tsv, tokenizer: *words, batch_size: 8, labels: [bad, good], max_length: 16}
  metrics:
    accuracy: {metric: !import_call:distill_nlp.metrics.Accuracy {}, inputs: {preds: "student:out.logits", target: batch.target}}
""",
    "language": HEAD + """
_words: &words !import_call:distill_nlp.tokenizers.text_byte_level {documents: !import_call:several_processes.documents {}, vocab_size: 300}
models:
  teacher: !import_call:distill_nlp.models.tiny_gpt2 {vocab_size: 300, layers: 2, width: 16, heads: 2, max_length: 16}
  student: !import_call:distill_nlp.models.tiny_gpt2 {vocab_size: 300, layers: 1, width: 16, heads: 2, max_length: 16}
data:
  train: !import_call:distill_nlp.data.completions {file: prompts.jsonl, tokenizer: *words, batch_size: BATCH, max_length: 16, split: train}
stages:
  - epochs: 2
    optimizer: *optimizer
    modes: *modes
    feed: {teacher: &fields {input_ids: batch.input_ids}, student: *fields}
    losses:
      ce: {loss: !import_call:distill_core.losses.TokenCELoss {}, inputs: {student: "student:out.logits", target: batch.target}}
      kl: {loss: !import_call:distill_core.losses.ForwardKLLoss {}, inputs: {student: "student:out.logits", teacher: "teacher:out.logits", mask: batch.mask}}
test:
  loader: !import_call:distill_nlp.data.completions {file: prompts.jsonl, tokenizer: *words, batch_size: 4, max_length: 16, split: test}
  metrics:
    perplexity: {metric: !import_call:distill_nlp.metrics.Perplexity {}, inputs: {preds: "student:out.logits", target: batch.target}}
""",
}  # fmt: skip


def documents() -> list[str]:
    """Return sentences for a tokenizer."""
    return [f"the {noun} is {word}" for noun in ("film", "book", "tea", "song") for word in ("good", "bad", "long")]


class EndOnce(Callback):
    """Fails in the second epoch if the environment says so."""

    def on_step_end(self, run) -> None:
        if run.state.epoch == 2 and os.environ.get("END_ONCE"):
            message = "ended in the second epoch"
            raise RuntimeError(message)
