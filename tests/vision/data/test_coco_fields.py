"""COCO files as other tools write them: odd, missing and repeated fields."""

from __future__ import annotations

import json

import pytest

from .coco_files import picture, read, refusal, thing, without, write


@pytest.mark.parametrize("value", [1, 1.0, "1", "0001"])
def test_an_integer_may_be_written_in_several_ways(value, tmp_path):
    write(
        tmp_path,
        images=[picture(id=value, height=40.0, width="60")],
        annotations=[thing(image_id=value, category_id=value)],
        categories=[{"id": value, "name": "person"}],
    )
    (target,) = read(tmp_path)
    assert (int(target["image_id"]), target["labels"].tolist()) == (1, [1])


@pytest.mark.parametrize(
    "name",
    ["below/and below/1.jpg", "with space.jpg", "ünïcode 数.jpg", "1.JPG", "no suffix", "./1.jpg", "a..b.jpg", "a\\b.jpg",
     "-1.jpg", "1.jpg?x=1", ".hidden.jpg"],
)  # fmt: skip
def test_any_file_name_below_the_folder_is_read(name, tmp_path):
    write(tmp_path, images=[picture(file_name=name)])
    assert len(read(tmp_path)) == 1


@pytest.mark.parametrize(
    "name", ["../1.jpg", "/etc/1.jpg", "a/../../1.jpg", "C:\\1.jpg", "C:1.jpg", "..\\1.jpg", "a\0b"]
)
def test_a_file_name_that_leaves_the_folder_is_refused(name, tmp_path):
    file = write(tmp_path, images=[picture(file_name="1.jpg")])
    tables = json.loads(file.read_text())
    tables["images"][0]["file_name"] = name
    file.write_text(json.dumps(tables))
    said = refusal(tmp_path)
    assert said.startswith(f"{file}: image 1: the path '{name}' leaves the folder of the images\n  hint: give paths")


def test_images_missing_in_nested_folders_are_named(tmp_path):
    write(tmp_path, images=[picture(1, file_name="a/1.jpg"), picture(2, file_name="b/2.jpg")])
    (tmp_path / "val2017" / "b" / "2.jpg").unlink()
    assert refusal(tmp_path) == f"1 of 2 images are missing in {tmp_path / 'val2017'}, b/2.jpg for example"


def test_missing_fields_have_the_documented_values(tmp_path):
    bare = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 10, 5]}
    nulls = {**bare, "id": None, "iscrowd": None, "area": None, "segmentation": None}
    write(
        tmp_path,
        annotations=[bare, nulls, {**bare, "iscrowd": True}],
        categories=[{"id": 1}],
        images=[picture(), picture(2)],
    )
    first, second = read(tmp_path)
    assert (first["area"].tolist(), first["iscrowd"].tolist()) == ([50.0] * 3, [0, 0, 1])
    assert (second["boxes"].shape, second["area"].shape) == ((0, 4), (0,))


ODD_ANNOTATIONS = {
    "bbox": [
        (None, "annotation 1 of image 1"), ([1, 2, 3], "must have a box [left, top, width, height], got [1, 2, 3]"), ("1,2,3,4", "must have a box"),
        ([1, 2, float("nan"), 4], "must have a box"), ([float("inf"), 2, 3, 4], "must have a box"), ([1, 2, "3", 4], "must have a box"),
        ([1, 2, -3, 4], "must have a box"), ({"x": 1}, "must have a box"), ([True, 2, 3, 4], "must have a box"),
    ],
    "area": [(-1, "a finite area >= 0, got -1"), (float("nan"), "a finite area >= 0, got nan"), ("12", "a finite area >= 0, got '12'"), ([], "a finite area >= 0, got []")],
    "iscrowd": [(2, "must have iscrowd 0 or 1, got 2"), ("yes", "must have iscrowd 0 or 1, got 'yes'")],
    "category_id": [
        (None, "must have an integer as `category_id`, got None"), (1.5, "got 1.5"), ("person", "got 'person'"),
        (True, "got True"), (2**63, "got 9223372036854775808"), (2, "is of category 2, which is not in the file"),
    ],
    "image_id": [("a.jpg", "must have an integer as `image_id`, got 'a.jpg'"), (9, "is of image 9, which is not")],
    "id": [([1], "must have an integer as `id`, got [1]")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"), [(n, *odd) for n, odds in ODD_ANNOTATIONS.items() for odd in odds]
)
def test_an_invalid_field_of_an_annotation_is_named(name, value, message, tmp_path):
    write(tmp_path, annotations=[thing(**{name: value})])
    said = refusal(tmp_path)
    assert "annotation " in said
    assert message in said


@pytest.mark.parametrize("name", ["category_id", "image_id"])
def test_a_missing_id_of_an_annotation_is_named(name, tmp_path):
    file = write(tmp_path, annotations=[without(thing(), name)])
    assert refusal(tmp_path) == f"{file}: annotation 1 has no `{name}`"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file_name": None}, "must have the path of a file as file_name, got None"),
        ({"file_name": 7}, "must have the path of a file as file_name, got 7"),
        ({"file_name": ""}, "must have the path of a file as file_name, got ''"),
        ({"file_name": "."}, "must have the path of a file as file_name, got '.'"),
        ({"height": 0}, "must have at least 1×1 pixels, got 0×60"),
        ({"width": -3}, "must have at least 1×1 pixels, got 40×-3"),
        ({"width": None}, "must have an integer as `width`, got None"),
        ({"height": 40.5}, "must have an integer as `height`, got 40.5"),
        ({"id": "first"}, "must have an integer as `id`, got 'first'"),
    ],
)
def test_an_invalid_field_of_an_image_is_named(fields, message, tmp_path):
    file = write(tmp_path, images=[picture(**fields)], annotations=[])
    assert refusal(tmp_path).startswith(f"{file}: image {fields.get('id', 1)} {message}")


@pytest.mark.parametrize("name", ["id", "file_name", "height", "width"])
def test_a_missing_field_of_an_image_is_named(name, tmp_path):
    file = write(tmp_path, images=[without(picture(), name)], annotations=[])
    assert refusal(tmp_path).startswith(f"{file}: image ")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"images": [picture(), picture()]}, "image 1 occurs twice\n  hint: give each image a separate id"),
        ({"annotations": [thing(), thing()]}, "annotation 1 occurs twice"),
        ({"annotations": [thing(1), thing("1")]}, "annotation 1 occurs twice"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1.0, "name": "b"}]}, "category 1 occurs twice"),
        ({"categories": [{"name": "a"}]}, "category None has no `id`"),
        ({"categories": []}, "contains no categories"),
        ({"categories": None, "images": None}, "contains no images"),
        ({"images": {"1": picture()}}, "the table of images must be a list, got {'1'"),
        ({"annotations": [7]}, "the annotation 7 is not an object with fields"),
        ({"categories": ["person"]}, "the category 'person' is not an object with fields"),
    ],
)
def test_repeated_ids_and_invalid_tables_are_named(tables, message, tmp_path):
    file = write(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), **tables}))
    said = refusal(tmp_path)
    assert said.startswith(str(file))
    assert message in said


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read(tmp_path)) == 1
