"""`distill new --teacher --data`: what is written for each kind of data has no problems, with the user's classes and taps."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

DATA = Path(os.environ.get("DISTILL_DATA", "none"))
WORDS = "a good bad film scene great awful plot and the".split()


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bert():
    """A classifier of two classes with four layers, and tables of texts with three classes."""
    pytest.importorskip("distill_nlp")
    from distill_nlp.models import tiny_bert
    from distill_nlp.tokenizers import wordpiece

    texts = [" ".join(WORDS[(index * step) % len(WORDS)] for step in range(1, 7)) for index in range(30)]
    tiny_bert(vocab_size=40, num_labels=2, layers=4, width=32).save_pretrained("bert")
    wordpiece(texts=texts, vocab_size=40).save_pretrained("bert")
    Path("reviews").mkdir()
    for name, rows in (("train", texts[:20]), ("test", texts[20:])):
        with Path("reviews", f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["id", "text", "label"])
            table.writerows([index, text, ["neg", "pos", "so so"][index % 3]] for index, text in enumerate(rows))


@pytest.fixture
def gpt():
    """A language model with four layers and a chat template, and conversations."""
    pytest.importorskip("distill_nlp")
    from distill_nlp.models import tiny_gpt2
    from distill_nlp.tokenizers import wordpiece

    tokenizer = wordpiece(texts=[" ".join(WORDS), "user assistant"], vocab_size=40)
    tokenizer.eos_token = tokenizer.sep_token
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    tiny_gpt2(vocab_size=40, layers=4, width=32).save_pretrained("gpt")
    tokenizer.save_pretrained("gpt")
    turns = [{"role": "user", "content": "a good film"}, {"role": "assistant", "content": "a great plot and scene"}]
    Path("chat.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * 40)


def shown(distill, *words) -> tuple[str, str]:
    """Write a file, check it deeply, and return the output and the file."""
    ended = distill("new", "my/first.yaml", *words)
    assert (ended.code, ended.out.splitlines()[-1].strip()) == (0, "distill run my/first.yaml"), ended.err
    checked = distill("check", "my/first.yaml", "--deep")
    assert checked.err == ""
    assert checked.out.startswith("my/first.yaml: no problems (")
    return ended.out, Path("my/first.yaml").read_text(encoding="utf-8")


def test_images(distill, images):
    teacher, student = "distill_vision.models.resnet20", "distill_vision.models.convnet width=8 in_channels=3"
    out, text = shown(distill, "--teacher", teacher, "--data", "pictures", "--student", student)
    assert "data: 15 images of 3 classes; val: 3 images held out of train, at least one of each class\n" in out
    assert "# cat, dog, my cow; val: 3 images held out of train, at least one of each class\n" in text
    assert "1.44k" in out  # 1,443 parameters of the student
    assert "teacher: !import_call:distill_vision.models.resnet20 {num_classes: 3}" in text
    assert "student: !import_call:distill_vision.models.convnet {width: 8, in_channels: 3, num_classes: 3}" in text
    assert "size: 32" in text
    assert "train: [teacher]" in text
    uncommented = re.sub(r"^      # (at:|  )", r"      \1", text, flags=re.MULTILINE)
    assert uncommented.count("ATLoss") == text.count("#   loss: !import_call:distill_core.losses.ATLoss") == 1
    Path("my/at.yaml").write_text(uncommented, encoding="utf-8")
    assert " at " in distill("check", "my/at.yaml", "--deep").out
    ended = distill("run", "my/first.yaml", "stages.0.epochs=1", "stages.1.epochs=1", "data.train.num_workers=0", "--output", "out")  # fmt: skip
    assert ended.code == 0, ended.err
    assert {"top1", "teacher"} == json.loads(Path("out/results.json").read_text())["test"].keys()


def test_the_classes_of_which_no_image_is_held_out_are_named(distill, images):
    for number in range(6, 40):
        shutil.copy("pictures/train/cat/0.png", f"pictures/train/cat/{number}.png")
    for number in (0, 1):
        Path(f"pictures/train/dog/{number}.png").unlink()
    ended = distill("new", "first.yaml", "--teacher", "distill_vision.models.resnet20", "--data", "pictures")
    line = "val: 5 images held out of train, none of 'dog': too few to select the best epoch reliably\n"
    assert line in ended.out, ended.err
    assert line in Path("first.yaml").read_text(encoding="utf-8")


def flat(header: str, *, name: str = "labels.csv", folder: str = "flat", count: int = 12) -> None:
    """Write images into `flat/images`, and a table of their names and labels."""
    Path("flat/images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        shutil.copy("pictures/train/cat/0.png", f"flat/images/{number}.png")
        rows.append(f"{number}.png,{('cat', 'my: dog')[number % 2]}")
    Path(folder, name).write_text("\n".join([header, *rows, ""]))


@pytest.mark.parametrize("data", ["flat", "flat/labels.csv", "flat/images"])
def test_a_table_of_images(distill, images, data):
    flat("file,label")
    student = ["--student", "distill_vision.models.convnet width=8 in_channels=3"]
    out, text = shown(distill, "--teacher", "distill_vision.models.resnet20", "--data", data, *student)
    assert "data: 10 images of 2 classes; val: 2 images held out of train, at least one of each class\n" in out
    assert '_classes: &classes ["cat", "my: dog"]' in text
    assert "\ntest:" not in text
    assert "There is no `test`" in text
    ended = distill("run", "my/first.yaml", "stages.0.epochs=1", "stages.1.epochs=1", "data.train.num_workers=0", "--output", "out")  # fmt: skip
    assert ended.code == 0, ended.err


def test_tables_of_images_for_each_split(distill, images):
    flat("image,species", name="train.csv")
    flat("image,species", name="test.csv", count=4)
    teacher = ["--teacher", "distill_vision.models.resnet20", "--data", "flat"]
    _, text = shown(distill, *teacher, "--student", "distill_vision.models.convnet width=8 in_channels=3")
    assert "test: &test !import_call:distill_vision.data.image_table {split: test, file: 'flat/test.csv'" in text
    Path("flat/test.csv").write_text("image,species\n1.png,fox\n")
    ended = distill("new", "second.yaml", *teacher)
    assert ended.code != 0
    assert "flat/test.csv:2: 'fox' is not one of the classes" in ended.err
    checked = distill("check", "my/first.yaml", "--deep")
    assert "flat/test.csv:2: 'fox' is not one of the classes" in checked.err


def test_texts(distill, bert):
    out, text = shown(distill, "--teacher", "bert", "--data", "reviews")
    assert "the teacher is trained first: it has no head for these classes" in out
    assert "student: 2 of its 4 layers" in out
    assert "data: 17 texts of 3 classes; val: 3 texts held out of train" in out
    assert "# val: 3 texts held out of train" in text
    assert text.count("split: held_out, holdout: 3") == 1
    assert "distill_core.train.Checkpoint {best: accuracy}" in text
    assert '_labels: &labels ["neg", "pos", "so so"]' in text
    assert "columns: ['text'], target: 'label'" in text
    assert re.search(r"layers: \[0(, 3)?\]", text)  # whether two of four layers are faster is measured


def test_a_classifier_gives_its_order_of_the_classes_and_its_length(distill, bert):
    from distill_nlp.models import tiny_bert

    model = tiny_bert(vocab_size=40, num_labels=3, layers=2, width=32, max_length=64)
    model.config.id2label = {0: "So-so", 1: "pos", 2: "neg"}
    model.save_pretrained("bert")
    out, text = shown(distill, "--teacher", "bert", "--data", "reviews")
    assert "trained first" not in out
    assert '_labels: &labels ["so so", "pos", "neg"]' in text
    assert text.count("max_length: 64") == 3
    Path("sorted.yaml").write_text(text.replace('["so so", "pos", "neg"]', '["neg", "pos", "so so"]'))
    message = (
        "the classes of 'teacher' are in another order than those of data.train: 0 'So-so', 1 'pos', 2 'neg' in the"
    )
    assert message in distill("check", "sorted.yaml", "--deep").err
    tiny_bert(vocab_size=40, num_labels=3, layers=1, width=32, max_length=16).save_pretrained("short")
    ended = distill("new", "second.yaml", "--teacher", "bert", "--data", "reviews", "--student", "short")
    assert "short reads 16 tokens, and its teacher 64\n  hint: " in ended.err, ended.err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("8,a film,", "reviews/train.csv:22: the row has no label\n  hint: write the label in `label`, or delete the row\n"),
        ("8,a film,nan", "reviews/train.csv:22: the row has no label\n"),
        ("8,,pos", "reviews/train.csv:22: the row has no text\n  hint: write the text in `text`, or delete the row\n"),
    ],
)  # fmt: skip
def test_an_empty_cell_is_refused_with_its_line(distill, bert, row, message):
    with Path("reviews/train.csv").open("a") as file:
        file.write(row + "\n")
    ended = distill("new", "first.yaml", "--teacher", "bert", "--data", "reviews")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_a_label_that_is_not_trained_is_refused_with_its_line(distill, bert):
    with Path("reviews/test.csv").open("a") as file:
        file.write("8,a film,great\n")
    ended = distill("new", "first.yaml", "--teacher", "bert", "--data", "reviews")
    assert "reviews/test.csv:12: no text of reviews/train.csv has the label 'great'\n  hint: " in ended.err


def test_a_tagged_name_of_timm(distill, images):
    pytest.importorskip("timm")
    student = ["--student", "resnet10t.c3_in1k"]
    ended = distill("new", "first.yaml", "--teacher", "resnet18.a1_in1k", "--data", "pictures", *student)
    assert ended.code == 0, ended.err
    assert "timm.create_model {model_name: resnet18.a1_in1k, num_classes: 3}" in Path("first.yaml").read_text()


def test_conversations(distill, gpt):
    _, text = shown(distill, "--teacher", "gpt", "--data", "chat.jsonl")
    assert "distill_nlp.data.conversations {rows: 'chat.jsonl'" in text
    assert "max_length: 128" in text  # the positions of the model
    assert "# val: 2 rows, 5%, and as many for test" in text
    assert "{best: perplexity, mode: min}" in text
    ended = distill("run", "my/first.yaml", "stages.0.epochs=1", "--output", "out")
    assert ended.code == 0, ended.err
    assert Path("out/results.json").is_file()


@pytest.mark.skipif(not (DATA / "coco_mini").is_dir(), reason="DISTILL_DATA has no coco_mini")
def test_boxes(distill):
    pytest.importorskip("distill_vision")
    sizes = "min_size=64 max_size=96"
    teacher, student = f"fasterrcnn_mobilenet_v3_large_320_fpn {sizes}", f"fasterrcnn_mobilenet_v3_large_fpn {sizes}"
    out, text = shown(distill, "--teacher", teacher, "--data", DATA / "coco_mini", "--student", student)
    assert "44 images with boxes; val: 4 images held out of train\n" in out
    assert "the background; val: 4 images held out of train\n" in text
    assert "Checkpoint {best: coco.AP}" in text
    assert "num_classes: 91" in text
    assert "distill_core.losses.PKDLoss" in text
    taps = yaml.safe_load(text[text.rindex("student: [") :].splitlines()[0])["student"]
    assert taps
    assert all(tap.startswith("student.backbone.fpn.layer_blocks.") for tap in taps)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--teacher", "resnet18"], "--teacher and --data belong together, without --task\n  hint: give both and omit --task\n"),
        (["--student", "resnet18"], "--student requires --teacher and --data\n  hint: add both\n"),
        (["--teacher", "x", "--data", "none"], "--data none does not exist\n"),
        (["--teacher", "x", "--data", "empty"], "--data empty has no known layout\n  hint: give a folder with train/CLASS/IMAGE"),
        (["--teacher", "x", "--data", "pictures/train/cat"], "pictures/train/cat has images without labels\n  hint: put them into train/CLASS/ and val/CLASS/, or add a table labels.csv"),
        (["--teacher", "x", "--data", "pictures/train"], "pictures/train has a folder of images for each of cat, dog, my cow, but no train/ and val/\n  hint: move"),
        (["--teacher", "distill_vision.models.convnet", "--data", "pictures"], "ConvNet does not take colour images"),
        (["--teacher", "torch.nn.Flatten", "--data", "pictures"], "Flatten does not take colour images"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(distill, images, words, message):
    Path("empty").mkdir()
    ended = distill("new", "first.yaml", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert not Path("first.yaml").exists()
