"""The README of this folder, written from the tables in `results`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
SECTIONS = {
    "sst2": """## SST-2, a small BERT

The teacher is a BERT of 4 layers with new weights and a tokenizer trained on the task's texts; it has 20,000 labels. The student,
1 layer, has 2,000, alone or with the teacher's answers to them; or no label and the teacher's answers to the 20,000 texts, which
are more steps, too.""",
    "cola": """## CoLA, a small BERT

As on SST-2, with 2 layers that have all labels as the teacher, and 1,000 labels for the student. What an acceptable sentence is
comes from pretraining: without it Matthews correlations stay low, and three seeds of 1,043 sentences are noisy.""",
    "cola_minilm": """## CoLA, across vocabularies

The teacher is a fine-tuned MiniLM, the student a BERT with new weights; each reads a text in tokens of its own. The recipe
`kd_copies`, in which the teacher also judges two corrupted copies of each text, takes an hour and is not in the table. The last epoch
is the one to look at: with correlations as low as these the best one on 500 sentences is chosen by chance.""",
    "sst2_minilm": """## SST-2, MiniLM and half of it

MiniLM and three of its layers, all on the same 2,000 of 67,349 sentences and phrases: what takes minutes on a processor.""",
    "sst2_minilm_whole": """## SST-2, MiniLM on all of it

The same fine-tuning on the whole training set but 500, in about 20 minutes on one core. Published for 6 layers of width 384 are
91.3 % (Mukherjee et al. 2021, https://arxiv.org/abs/2106.04563), of weights that were distilled as such; these here are every second
layer of MiniLM's 12, trained on as an encoder of sentences.""",
    "rte_minilm": """## RTE, MiniLM

Fine-tuned on the whole training set but 500: 1,990 pairs, and 277 in dev, where the more frequent class has 52.7 %. An encoder of
single sentences has never compared two; after STS-B, which has pairs too, it learns more of it. Published are 57 to 62 % for BERTs of
2 to 8 layers (Turc et al. 2019, https://arxiv.org/abs/1908.08962) and 68.9 % for MiniLM's 6 as in the section above.""",
    "stsb_minilm": """## STS-B, embeddings of sentences

How well cosines between embeddings rank the pairs. The student alone learns from scores that people gave, the distilled one from
MiniLM's embeddings and no score.""",
    "speed": """## Speed""",
}
HEAD = """# Text classification

Written by `page.py` from the tables in `results`. `python benchmarks/text_classification/run.py FOLDER` trains all rows of a folder
of `configs` with three seeds and writes its table; `speed.py` measures the rest. Data: GLUE's files in `glue` of the folder that
DISTILL_DATA names. Training sets are GLUE's, less what is held out to choose by; "test" is GLUE's dev, for its test has no labels.
The recipes of `go_emotions`, `conll2003`, `squad` and `masked_words` need their own files; each says which.
"""


def write() -> Path:
    """Write README.md; a table that is not there yet is left out."""
    parts = [HEAD]
    for name, text in SECTIONS.items():
        table = HERE / "results" / f"{name}.md"
        if table.is_file():
            lines = table.read_text(encoding="utf-8").splitlines()
            body = "\n".join(line for line in lines if not line.startswith("# ")).strip()
            parts.append(f"{text}\n\n{body}\n")
    path = HERE / "README.md"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write())
