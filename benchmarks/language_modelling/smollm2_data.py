"""The data of the benchmark on SmolLM2: questions about Python's standard library, answered by the teacher.

`prompts` writes `data/smollm2_prompts.jsonl`, one question per documented function or class. `answer` writes
`data/smollm2.jsonl`, the rows that `distill_nlp.data.completions` reads: the question in the chat template, and the tokens
of the teacher's answer. It answers a chunk of questions at a time, and resumes after the last complete batch.
"""

from __future__ import annotations

import ast
import json
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from distill_nlp.data import find_tokenizer
from distill_nlp.generation import Sampling, write_completions
from distill_nlp.models import from_pretrained

DATA = Path(__file__).resolve().parent / "data"
PROMPTS, CONVERSATIONS = DATA / "smollm2_prompts.jsonl", DATA / "smollm2.jsonl"
SYSTEM = "Answer in two short sentences."
SAMPLING = Sampling(max_new_tokens=64, temperature=0.7, top_p=0.95)
CHUNK, BATCH_SIZE = 64, 32
_EXCLUDED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__", "ensurepip"}


def write_prompts(num_prompts: int = 1024) -> None:
    """Write the questions, in an order that is drawn from a seed."""
    questions = list(_questions(Path(sysconfig.get_path("stdlib"))))
    random.Random(0).shuffle(questions)
    DATA.mkdir(exist_ok=True)
    lines = (json.dumps({"prompt": question}) + "\n" for question in questions[:num_prompts])
    PROMPTS.write_text("".join(lines), encoding="utf-8")


def _questions(root: Path) -> Iterator[str]:
    """Yield a question about each public function and class with a docstring of one short paragraph or more."""
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).with_suffix("")
        if _EXCLUDED & set(path.parts) or any(part.startswith("_") and part != "__init__" for part in path.parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # templates, and files in another encoding
            continue
        module = ".".join(path.parts).removesuffix(".__init__")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                first = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                if 40 <= len(first) <= 240:
                    yield f'What is `{module}.{node.name}` in Python for? Its documentation begins: "{first}"'


def save_teacher(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a folder of transformers, which loads faster."""
    if not (folder / "config.json").is_file():
        from_pretrained("AutoModelForCausalLM", gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
        find_tokenizer(str(gguf)).save_pretrained(folder)


def answer(teacher: Path, runs: Path, num_conversations: int) -> int:
    """Answer questions with the teacher, and return the number of conversations in the file.

    Args:
        teacher: The folder of the teacher.
        runs: A folder for the chunks.
        num_conversations: Number of conversations; nothing is done if the file has as many.
    """
    if _num_lines(CONVERSATIONS) >= num_conversations:
        return _num_lines(CONVERSATIONS)
    tokenizer = find_tokenizer(str(teacher))
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()[:num_conversations]]
    chats = [[{"role": "system", "content": SYSTEM}, {"role": "user", "content": row["prompt"]}] for row in rows]
    texts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    model, runs = None, runs / "answers"
    runs.mkdir(parents=True, exist_ok=True)
    _restore(runs, texts)
    for start in range(0, len(texts), CHUNK):
        chunk = runs / f"{start:05}.jsonl"
        if not chunk.exists():
            model = model or from_pretrained("AutoModelForCausalLM", teacher, dtype="bfloat16").eval()
            some = texts[start : start + CHUNK]
            write_completions(
                model, some, chunk, tokenizer=tokenizer, sampling=SAMPLING, batch_size=BATCH_SIZE, seed=start
            )
            print(f"{start + len(some)} of {len(texts)} conversations", flush=True)
    _join(sorted(runs.glob("*.jsonl")))
    return _num_lines(CONVERSATIONS)


def _restore(runs: Path, texts: list[str]) -> None:
    """Write the complete chunks that the file of conversations holds, so that they are not answered again."""
    lines = CONVERSATIONS.read_text(encoding="utf-8").splitlines(keepends=True) if CONVERSATIONS.is_file() else []
    for start in range(0, len(lines) - CHUNK + 1, CHUNK):
        chunk, some = runs / f"{start:05}.jsonl", lines[start : start + CHUNK]
        if not chunk.exists() and [json.loads(line)["prompt"] for line in some] == texts[start : start + CHUNK]:
            chunk.write_text("".join(some), encoding="utf-8")


def _join(chunks: list[Path]) -> None:
    CONVERSATIONS.write_text("".join(chunk.read_text(encoding="utf-8") for chunk in chunks), encoding="utf-8")


def _num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0


if __name__ == "__main__":
    write_prompts()
