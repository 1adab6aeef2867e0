"""What the parts of a text file share."""

from __future__ import annotations

from dataclasses import dataclass

WITHOUT_TYPES = ("distilbert", "roberta", "bart", "gpt2", "t5")
"""Families whose tokenizers have no token types."""

LOSSES = {
    "regression": "distill_nlp.losses.ScoreLoss",
    "single_label_classification": "torch.nn.CrossEntropyLoss",
    "multi_label_classification": "torch.nn.BCEWithLogitsLoss",
}
"""Problem type of transformers → the loss that its models compute."""


@dataclass
class TextTask:
    """What the parts of a text file share.

    Attributes:
        name: The GLUE task.
        tokenizer: The tokenizer of the data, which is the student's.
        loss: The loss of the labels.
        num_labels: The number of labels of the student.
    """

    name: str = ""
    tokenizer: str = ""
    loss: str = LOSSES["single_label_classification"]
    num_labels: int = 2

    @property
    def fields(self) -> list[str]:
        """The fields of a batch that the models take."""
        has_types = not any(family in self.tokenizer.lower() for family in WITHOUT_TYPES)
        return ["input_ids", "attention_mask", *(["token_type_ids"] if has_types else [])]
