"""Generator of this folder's README from the tables in `results`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
SECTIONS = {
    "sst2": """## SST-2, a small BERT

The teacher is a randomly initialised BERT with 4 layers and a tokenizer trained on the task's texts, trained on 20,000 labels. The
student has 1 layer. It is trained on 2,000 labels, with or without distillation, or distilled on the 20,000 texts without labels,
which takes more steps.""",
    "cola": """## CoLA, a small BERT

As on SST-2, with a teacher of 2 layers trained on all labels, and 1,000 labels for the student. Acceptability is learnt by
pretraining: without it Matthews correlations stay low, and three seeds on 1,043 sentences are noisy.""",
    "cola_minilm": """## CoLA, across vocabularies

The teacher is a fine-tuned MiniLM, the student a randomly initialised BERT with its own tokenizer. The recipe `kd_copies`, in which
the teacher also labels two corrupted copies of each text, takes an hour and is not in the table. Compare the last epoch: with such
low correlations, the best epoch on 500 sentences is random.""",
    "sst2_minilm": """## SST-2, MiniLM and half of its layers

MiniLM and three of its layers, all trained on the same 2,000 of 67,349 sentences and phrases, which takes minutes on a CPU.""",
    "sst2_minilm_whole": """## SST-2, MiniLM on the complete training set

The same fine-tuning on the complete training set except for 500 samples, in about 20 minutes on one core. The published accuracy of
6 layers of width 384 is 91.3 % (Mukherjee et al. 2021, https://arxiv.org/abs/2106.04563), for weights distilled with 6 layers. Here
they are every second layer of MiniLM's 12, further trained as a sentence encoder.""",
    "rte_minilm": """## RTE, MiniLM

Fine-tuned on the training set except for 500 samples: 1,990 pairs, and 277 in dev, where the more frequent class has 52.7 %. A
sentence encoder has not been trained on pairs; fine-tuning on the pairs of STS-B first improves it. Published accuracies are 57 to
62 % for BERTs with 2 to 8 layers (Turc et al. 2019, https://arxiv.org/abs/1908.08962) and 68.9 % for MiniLM's 6 layers, as above.""",
    "stsb_minilm": """## STS-B, sentence embeddings

Spearman correlation of the cosine similarity of embeddings with human scores. The student without a teacher is trained on the scores,
the distilled one on MiniLM's embeddings without scores.""",
    "speed": """## Speed""",
}
HEAD = """# Text classification

Written by `page.py` from the tables in `results`. `python benchmarks/text_classification/run.py FOLDER` trains all rows of a folder
of `configs` with three seeds and writes its table. `speed.py` measures the speed. Data: GLUE's files in `glue` in the folder
DISTILL_DATA. Training sets are GLUE's, except for a held-out set for model selection. "test" is GLUE's dev set, because its test set
has no labels. The recipes of `go_emotions`, `conll2003`, `squad` and `masked_words` need their own files, which each of them lists.
"""


def write() -> Path:
    """Write README.md. Missing tables are omitted."""
    sections = [HEAD]
    for name, text in SECTIONS.items():
        table = HERE / "results" / f"{name}.md"
        if table.is_file():
            lines = table.read_text(encoding="utf-8").splitlines()
            body = "\n".join(line for line in lines if not line.startswith("# ")).strip()
            sections.append(f"{text}\n\n{body}\n")
    path = HERE / "README.md"
    path.write_text("\n".join(sections), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write())
