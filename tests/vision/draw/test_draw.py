"""Pictures of boxes and class maps: colours, ground truth and prediction, drawn at the end of a run."""

from __future__ import annotations

import contextlib
import importlib
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_vision.draw import DrawPredictions, Pictures, draw_boxes, draw_classes, palette
from distill_vision.transforms import denormalize

BOX = {"boxes": torch.tensor([[4.0, 6.0, 30.0, 26.0]]), "labels": torch.tensor([5])}


def test_a_box_is_drawn_where_it_is():
    picture = np.array(draw_boxes(torch.ones(3, 40, 50), BOX))
    assert picture.shape == (40, 50, 3)
    for row, column in ((26, 20), (20, 4), (20, 30)):
        assert tuple(picture[row, column]) == palette(5)
    assert (picture[8:25, 6:29] == 255).all()  # the name is outside of the box
    assert (picture[27:, :15] != 255).any()  # below, because there is no space above


def test_names_stay_in_the_picture_and_outside_of_boxes():
    boxes = {"boxes": torch.tensor([[150.0, 60.0, 195.0, 90.0]]), "labels": torch.tensor([2])}
    picture = np.array(draw_boxes(torch.ones(3, 100, 200), boxes, names={2: "a very long name"}))
    assert (picture[:60] != 255).any()
    assert (picture[:60, :150] != 255).any()
    assert (picture[62:89, 152:194] == 255).all()


def test_an_unsure_prediction_is_not_drawn():
    sure, unsure = ({**BOX, "scores": torch.tensor([score])} for score in (0.9, 0.2))
    blank = np.full((40, 50, 3), 255)
    assert (np.array(draw_boxes(torch.ones(3, 40, 50), unsure)) == blank).all()
    assert (np.array(draw_boxes(torch.ones(3, 40, 50), sure)) != blank).any()


def test_boxes_are_called_by_their_names():
    plain, named = (
        np.array(draw_boxes(torch.ones(3, 90, 120), BOX, names=names)) for names in (None, {5: "rhinoceros"})
    )
    assert (named == palette(5)).all(2).sum() > (plain == palette(5)).all(2).sum() + 100
    assert (named[:, 34:] != 255).any()


def test_classes_have_the_colours_of_voc():
    picture = np.array(draw_classes(torch.tensor([[0, 1], [2, 255]])))
    assert picture.tolist() == [[[0, 0, 0], [128, 0, 0]], [[0, 128, 0], [224, 224, 192]]]
    assert len({palette(label) for label in range(21)}) == 21


def test_denormalising_gives_the_pixels_back():
    from distill_vision.transforms import normalize

    pixels = torch.rand(2, 3, 4, 5)
    there = normalize(pixels, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1.0)
    assert torch.allclose(denormalize(there), pixels, atol=1e-6)


def test_truth_and_prediction_stand_side_by_side(tmp_path):
    pictures = Pictures(tmp_path, count=1)
    pictures.update([torch.ones(3, 40, 50)] * 2, [{**BOX, "scores": torch.tensor([0.1])}] * 2, [BOX] * 2)
    assert pictures.compute() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["0.png"]
    with Image.open(tmp_path / "0.png") as saved:
        picture = np.array(saved)
    assert picture.shape == (24 + 320 + 24, 400 + 8 + 400, 3)  # a heading, 8 times the image, a legend
    assert tuple(picture[24 + 6 * 8, 20 * 8]) == palette(5)
    assert (picture[24:344, 408:] == 255).all()
    assert (picture[:24, :400] != 255).any()
    assert (picture[:24, 408:] != 255).any()
    assert (picture[344:] == palette(5)).all(2).any()


def test_a_run_ends_with_pictures(tmp_path):
    scenes = [{"input": torch.randn(3, 8, 8), "target": torch.randint(3, (8, 8))} for _ in range(5)]
    loader = Loader(scenes, 2)
    inputs = {"input": "student", "target": "batch.target"}
    stage = Stage(
        epochs=1,
        optimizer=torch.optim.SGD,
        losses={"ce": Term(loss=torch.nn.CrossEntropyLoss(), inputs=inputs)},
    )
    drawn = {"image": "batch.input", "preds": "student", "target": "batch.target"}
    experiment = Experiment(
        models={"student": torch.nn.Conv2d(3, 3, 1)},
        data={"train": loader},
        stages=[stage],
        callbacks=[DrawPredictions(loader, drawn, count=3)],
    )
    Trainer(experiment, output=tmp_path).fit()
    files = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in files] == ["0.png", "1.png", "2.png"]
    with Image.open(files[0]) as picture:
        assert picture.size[0] == 3 * 320 + 2 * 8
        assert picture.size[1] >= 24 + 320 + 24


def test_the_main_process_of_two_draws_all_pictures(tmp_path, monkeypatch):
    """A sharded model runs on all processes together, so that each of them reads all images."""
    reader = importlib.import_module("distill_core.data._loader")
    loader = Loader([{"input": torch.randn(3, 8, 8), "target": torch.randint(3, (8, 8))} for _ in range(5)], 2)
    drawing = DrawPredictions(loader, {"image": "batch.input", "preds": "student", "target": "batch.target"}, count=3)
    monkeypatch.setattr(reader, "world_size", lambda: 2)
    models, stage = {"student": torch.nn.Conv2d(3, 3, 1)}, SimpleNamespace(feed=None)
    run = SimpleNamespace(output=tmp_path, models=models, stage=stage, device="cpu", autocast=contextlib.nullcontext)
    assert drawing.on_every_process
    drawing.on_fit_end(run, {})
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_legend_has_the_names_of_the_classes_that_occur(tmp_path):
    image, target = torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long)
    target[0, :2], target[0, 2] = 1, 255
    scores = torch.zeros(1, 3, 8, 8)
    scores[:, 0] = 1
    for name, names in (("with", {0: "sky", 1: "tree", 2: "road"}), ("without", None)):
        Pictures(tmp_path / name, names=names).update(image, scores, target)
    named, plain = (np.array(Image.open(tmp_path / name / "0.png")) for name in ("with", "without"))
    for picture in (named, plain):
        legend = picture[344:]
        assert all((legend == colour).all(2).any() for colour in (palette(0), palette(1), palette(255)))
        assert not (legend == palette(2)).all(2).any()
    assert (named[344:] != plain[344:]).any()


def test_data_in_memory_are_prepared_before_they_are_drawn(tmp_path):
    """They are stored as bytes and prepared batch by batch; the model cannot read a byte."""
    stored = {"input": torch.full((4, 3, 8, 8), 255, dtype=torch.uint8), "target": torch.zeros(4, 8, 8).long()}
    loader = Loader(TensorData(stored, lambda images, seeds: images / 255), 2)
    drawn = {"image": "batch.input", "preds": "student", "target": "batch.target"}
    inputs = {"input": "student", "target": "batch.target"}
    term = Term(loss=torch.nn.CrossEntropyLoss(), inputs=inputs)
    experiment = Experiment(
        models={"student": torch.nn.Conv2d(3, 3, 1)},
        data={"train": loader},
        stages=[Stage(epochs=1, optimizer=torch.optim.SGD, losses={"ce": term})],
        callbacks=[DrawPredictions(loader, drawn, count=3)],
    )
    Trainer(experiment, output=tmp_path).fit()
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0.png", "1.png", "2.png"]
