"""Components with a counterpart of their own: ConvReg with a stride, the sum of FT, split datasets, texts of the hub."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distill_core.cli._load import build_experiment, load_document
from distill_core.convert import convert_torchdistill
from distill_core.data import SeedPath
from distill_core.layers import ConvReg

from .old_files import FILES
from .old_ktaad import KTAAD
from .old_spellings import SPLIT
from .old_texts import WITH_METRICS, WITHOUT_METRICS
from .test_methods import root  # noqa: F401 - a fixture


def text_of(old: str, folder: Path) -> tuple[str, list[str]]:
    file = folder / "old.yaml"
    file.write_text(old)
    converted = convert_torchdistill(file)
    return converted.text, [f"{finding.place}: {finding.message}" for finding in converted.report.lost]


def test_a_regressor_with_a_stride_makes_the_size_of_the_hint(root, tmp_path):  # noqa: F811
    old = FILES["fitnet"].replace("kernel_size: 1, stride: 1, padding: 0", "kernel_size: 3, stride: 2, padding: 2")
    old = old.replace("num_output_channels: 16", "num_output_channels: 32").replace(
        "module_path: 'layer1'", "module_path: 'layer2'"
    )
    text, lost = text_of(old.replace("ROOT", str(root)), tmp_path)
    assert not lost
    (tmp_path / "new.yaml").write_text(text)
    loss = build_experiment(load_document(tmp_path / "new.yaml")).stages[0].losses["hint"].loss
    convolution = loss.student.convolution
    assert (convolution.kernel_size, convolution.stride, convolution.padding) == (3, 2, 2)


@pytest.mark.parametrize(("reduction", "written"), [("sum", "reduction: sum"), ("mean", "paraphraser: &paraphraser")])
def test_the_reconstruction_of_ft_is_a_sum_or_a_mean(reduction: str, written: str, tmp_path: Path):
    text, lost = text_of(FILES["ft"].replace("reduction: sum", f"reduction: {reduction}"), tmp_path)
    assert not lost
    assert written in text
    assert ("reduction: sum" in text) == (reduction == "sum")


@pytest.mark.parametrize(("lengths", "held"), [("[45000, 5000]", 5000), ("[9, 1]", 5000), ("[4, 1]", 10000)])
def test_a_split_dataset_holds_samples_out(lengths: str, held: int, tmp_path: Path):
    text, lost = text_of(SPLIT.replace("[45000, 5000]", lengths), tmp_path)
    assert not lost
    assert text.count(f"holdout: {held}") == 3
    assert text.count("crop_and_flip") == 1


def test_texts_of_the_hub_are_files_with_thresholds(tmp_path: Path):
    text, lost = text_of(WITH_METRICS, tmp_path)
    assert "file: data/go_emotions/train.parquet" in text
    assert "distill_nlp.metrics.MultiLabelF1 {num_labels: 28, threshold: 0.3}" in text
    assert "torch.nn.BCEWithLogitsLoss" in text
    assert [message.partition(":")[0] for message in lost] == ["metrics", "evaluate"]
    assert text_of(WITHOUT_METRICS, tmp_path)[1] == []


def test_converted_texts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(tmp_path / "bert")
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    folder = tmp_path / "data/go_emotions"
    folder.mkdir(parents=True)
    rows = pa.table({"text": ["good", "bad", "good bad"], "labels": [[0], [27], [0, 27]], "id": ["a", "b", "c"]})
    for split in ("train", "validation"):
        pq.write_table(rows, folder / f"{split}.parquet")
    text, _ = text_of(WITHOUT_METRICS.replace("bert-base-uncased", str(tmp_path / "bert")), tmp_path)
    (tmp_path / "new.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    loader = build_experiment(load_document(tmp_path / "new.yaml")).data["val"]
    (batch,) = loader.batches(SeedPath(0, 0, 0))
    assert batch["target"].nonzero().tolist() == [[0, 0], [1, 27], [2, 0], [2, 27]]


def test_a_regressor_is_convolution_normalisation_and_relu():
    regressor = ConvReg(3, 5, 3, stride=2, padding=2)
    convolution = torch.nn.Conv2d(3, 5, 3, stride=2, padding=2, bias=False)
    convolution.load_state_dict({"weight": regressor.convolution.weight})
    theirs = torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(5), torch.nn.ReLU())
    features = torch.rand(2, 3, 9, 8)
    torch.testing.assert_close(regressor(features), theirs(features))


def test_a_normalised_paraphraser_that_no_longer_changes_is_reported(tmp_path: Path):
    """Also with the published numbers: a loss keeps its paraphraser in eval mode."""
    file = tmp_path / "old.yaml"
    for text, expected in ((KTAAD, True), (FILES["ft"], False)):
        file.write_text(text)
        report = convert_torchdistill(file, as_published=True).report
        found = [finding for finding in report if "batch normalisation is in eval mode" in finding.message]
        assert bool(found) == expected
        assert all(finding.outcome == "corrected" for finding in found)


def corrections(old: str, folder: Path) -> list[str]:
    """Return where the new file corrects the old one."""
    file = folder / "old.yaml"
    file.write_text(old)
    return [finding.place for finding in convert_torchdistill(file).report if finding.outcome == "corrected"]


def test_modules_that_theirs_runs_behind_the_last_tap_are_reported(tmp_path: Path):
    place = "train.stage1.student.sequential"
    assert place not in corrections(FILES["fsp"], tmp_path)
    longer = FILES["fsp"].replace("layer1, layer2]", "layer1, layer2, layer3, avgpool]")
    assert place in corrections(longer, tmp_path)
    assert place not in corrections(FILES["fitnet"], tmp_path)  # the last module is the adaptation


def test_checkpoints_of_heads_that_start_otherwise_are_reported(tmp_path: Path):
    place = "train.stage2.{}.auxiliary_model_wrapper.kwargs.ss_module_ckpt"
    assert not [place for place in corrections(FILES["sskd"], tmp_path) if place.endswith("ckpt")]
    same = FILES["sskd"].replace("own.pt", "s.pt")  # torchdistill loads the teacher's head into the student's
    assert place.format("student") in corrections(same, tmp_path)
    first, _, second = FILES["sskd"].partition("stage2:")
    other = f"{first}stage2:{second.replace('ckpt: s.pt', 'ckpt: other.pt')}"
    assert place.format("teacher") in corrections(other, tmp_path)


def test_the_choice_of_equally_ranked_images_is_reported(tmp_path: Path):
    place = "train.stage2.criterion.kwargs.sub_terms.sskd.criterion.key"
    assert place in corrections(FILES["sskd"], tmp_path)
    assert place not in corrections(FILES["sskd"].replace("ss_ratio: 0.75", "ss_ratio: 1.0"), tmp_path)
