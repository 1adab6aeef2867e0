"""A new user's way: `python tests/journey/journey.py FOLDER [STEP…]`, FOLDER outside the repository.

Everything runs by the installed command `distill` in a virtual environment in FOLDER, which is made first. Nothing of the
checkout is on the path. A step that is done is not repeated by naming others: each works on what the earlier ones wrote.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("distill-core[export,plot]", "distill-vision", "distill-nlp", "distill-zoo[torch]")
PICTURES = """
import random
from pathlib import Path
from PIL import Image, ImageDraw
random.seed(0)
DRAW = {"disc": "ellipse", "square": "rectangle", "line": "line"}
for split, count in (("train", 12), ("val", 4)):
    for name, method in DRAW.items():
        folder = Path("shapes", split, name)
        folder.mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (96, 96), tuple(random.choices(range(80), k=3)))
            left, top, size = random.randrange(40), random.randrange(40), random.randrange(30, 50)
            colour = tuple(random.choices(range(150, 256), k=3))
            getattr(ImageDraw.Draw(image), method)((left, top, left + size, top + size), fill=colour)
            image.save(folder / f"{number:02}.png")
"""
TEXTS = """
import csv, random, torch
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast
random.seed(0)
torch.manual_seed(0)
words = {"good": ["warm", "funny", "bright"], "bad": ["dull", "slow", "loud"]}
Path("reviews").mkdir()
Path("bert").mkdir()
for name, count in (("train", 32), ("test", 16)):
    with open(f"reviews/{name}.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sentence", "label"])
        rows.writerows([f"a {random.choice(words[label])} film", label] for label in ("good", "bad") * (count // 2))
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", *words["good"], *words["bad"]]
Path("bert/vocab.txt").write_text("\\n".join(vocabulary))
BertTokenizerFast(vocab="bert/vocab.txt").save_pretrained("bert")
config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64)
BertForSequenceClassification(config).save_pretrained("bert")
"""
METHODS = {
    "dkd": """
        loss: !import_call:distill_core.losses.DKDLoss {}
        inputs: {student: student, teacher: teacher, target: batch.target}
""",
    "dist": """
        loss: !import_call:distill_core.losses.DISTLoss {}
        inputs: {student: student, teacher: teacher}
""",
}
ELSEWHERE = """
import importlib.util, json, sys
import numpy as np
import onnxruntime
assert [name for name in ("distill_core", "torch", "yaml") if importlib.util.find_spec(name)] == []
images = np.random.default_rng(0).random((2, 3, 96, 96), dtype=np.float32)
scores = []
for file in sys.argv[1:]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    scores.append(session.run(None, {session.get_inputs()[0].name: images})[0])
print(json.dumps([array.tolist() for array in scores]))
"""


def python() -> Path:
    return Path(".venv/bin/python").absolute()


def call(*words: object, exit_code: int = 0) -> str:
    """Run a command in the environment, print it and its time, and return what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {
        "PATH": f"{python().parent}{os.pathsep}{environment['PATH']}",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        [str(word) for word in words],
        env=environment | {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shown = " ".join(str(word) if len(str(word)) < 60 else "…" for word in words)
    print(f"$ {shown}   [{seconds:.1f} CPU s]", flush=True)
    assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def distill(*words: object, exit_code: int = 0) -> str:
    return call("distill", *words, exit_code=exit_code)


def install() -> None:
    """A virtual environment with the four packages in the versions of the lock: by uv if there is one, which is faster than pip."""
    uv = shutil.which("uv", path=os.pathsep.join([str(CHECKOUT / ".venv" / "bin"), os.environ["PATH"]]))
    create = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    install = [uv, "pip", "install", "--python", python()] if uv else [python(), "-m", "pip", "install", "--no-compile"]
    if not python().exists():
        call(*create, ".venv")
    packages = [f"{CHECKOUT}/packages/{name}" for name in PACKAGES]
    call(*install, "--quiet", "--constraint", CHECKOUT / "constraints.txt", *packages, "timm", "pytest")
    where = call(python(), "-c", "import distill_core; print(distill_core.__file__)")
    assert str(site_packages()) in where, where


def site_packages() -> Path:
    return next(Path(".venv/lib").absolute().glob("python*/site-packages"))


def help_() -> None:
    """The commands that the journey uses are those that the help names."""
    commands = distill("--help")
    for name in ("new", "check", "run", "predict", "sweep", "report", "export", "inspect"):
        assert re.search(rf"^  {name} ", commands, re.MULTILINE), name
    assert "--teacher" in distill("new", "--help")


def images() -> None:
    """A timm teacher on a folder of images, three methods over three seeds, and the report."""
    call(python(), "-c", PICTURES)
    written = distill(
        "new", "kd.yaml", "--teacher", "test_resnet", "--data", "shapes", "--student", "test_efficientnet"
    )
    assert "distill check kd.yaml --deep" in written
    distill("check", "kd.yaml", "--deep")
    names = re.findall(
        r"^      (\w+):", Path("kd.yaml").read_text(encoding="utf-8").rpartition("losses:")[2], re.MULTILINE
    )
    assert "kd" in names
    for name, term in METHODS.items():
        Path(f"{name}.yaml").write_text(f"base: kd.yaml\nabout: {name}\nstages.1.losses.kd:{term}", encoding="utf-8")
        distill("check", f"{name}.yaml")
    for name in ("kd", *METHODS):
        distill(
            "sweep",
            f"{name}.yaml",
            "seed=0,1,2",
            "data.train.num_workers=0",
            "stages.0.epochs=2",
            "stages.1.epochs=2",
            "--output",
            f"runs/{name}",
        )


def report() -> None:
    """One page for nine runs in three rows, which needs no network."""
    table = distill("report", "runs", "--output", "report.html")
    page = Path("report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"\| +3 \||│ +3 │|  3  ", table)) >= 3, table
    assert not re.search(r"""(?:src|href)=["']https?://""", page)
    assert page.count("<svg") >= 3


def texts() -> None:
    """A small BERT on a CSV."""
    call(python(), "-c", TEXTS)
    distill("new", "reviews.yaml", "--teacher", "bert", "--data", "reviews")
    distill("check", "reviews.yaml", "--deep")
    distill("run", "reviews.yaml", "stages.0.epochs=2", "--output", "runs_text/first")
    assert re.search(r"good|bad", distill("predict", "runs_text/first", "--text", "a warm film"))


def own() -> None:
    """A loss in a module beside the file, which is refused until it is trusted."""
    distill("new", "mine.yaml", "--task", "own")
    call(python(), "-m", "pytest", "-q", "test_mine_losses.py")
    refused = distill("check", "mine.yaml", exit_code=3)
    assert "--trust mine_losses" in refused
    distill("check", "mine.yaml", "--trust", ".", "--deep")
    distill("run", "mine.yaml", "--trust", ".", "--output", "runs_own/first")


def ship() -> None:
    """ONNX and int8 files, run by onnxruntime where neither torch nor these packages can be imported."""
    [run, *_] = sorted(
        path.parent for path in Path("runs/kd").rglob("results.json") if (path.parent / "student.safetensors").exists()
    )
    shown = distill("export", run, "--format", "onnx", "--int8", "--output", "student.onnx")
    assert "int8" in shown, shown
    there = Path("elsewhere")
    there.mkdir(exist_ok=True)
    found = call(python(), "-c", "import numpy, onnxruntime; print(numpy.__file__, onnxruntime.__file__)").split()
    for package in (Path(file).parent for file in found):
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists() and not (there / source.name).exists():
                (there / source.name).symlink_to(source)
    code = f"import sys; sys.path.append({str(there.absolute())!r})\n{ELSEWHERE}"
    scores = call(python(), "-I", "-S", "-c", code, "student.onnx", "student.int8.onnx")
    assert len(re.findall(r"\[\[", scores)) >= 1
    assert "NaN" not in scores


STEPS: dict[str, Callable[[], None]] = {
    "install": install,
    "help": help_,
    "images": images,
    "report": report,
    "texts": texts,
    "own": own,
    "ship": ship,
}


def main(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for name in names or STEPS:
        print(f"# {name}", flush=True)
        STEPS[name]()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
