from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest

import distill_zoo
from distill_zoo import Measurement, ZooError, _cards
from distill_zoo._parse_cards import read_cards

PUBLISHED = {
    "cifar10/resnet20": 91.92,
    "cifar10/resnet32": 93.03,
    "cifar10/resnet44": 93.20,
    "cifar10/resnet56": 93.57,
    "cifar10/resnet110": 93.50,
    "cifar10/wide_resnet40_4": 95.24,
    "cifar10/wide_resnet28_10": 95.53,
    "cifar10/wide_resnet16_8": 94.76,
    "cifar10/densenet_bc_k12_depth100": 95.53,
    "cifar100/wide_resnet40_4": 79.44,
    "cifar100/wide_resnet28_10": 81.27,
    "cifar100/wide_resnet16_8": 79.26,
    "cifar100/densenet_bc_k12_depth100": 77.14,
}

FILE = """
shared: {dataset: toy, license: MIT, weights: {url: https://example.org/a.pt}}
models:
  toy/a: {builder: torch.nn.Linear, kwargs: {in_features: 1, out_features: 2}}
  toy/b: {builder: torch.nn.Identity, weights: {url: https://example.org/b.safetensors, sha256: abc}}
"""


def test_all_published_models_are_listed():
    assert {name: distill_zoo.card(name).metrics[0].value for name in distill_zoo.list_models("cifar*")} == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_card_is_complete(name):
    card = distill_zoo.card(name)
    dataset, _, model = name.partition("/")
    assert card.name == name
    assert card.dataset == dataset
    assert card.builder == f"distill_vision.models.{model}"
    assert card.kwargs == {"num_classes": 10 if dataset == "cifar10" else 100}
    assert urlsplit(card.weights.url).scheme == "https"
    assert card.weights.filename == f"{dataset}-{model}.pt"
    assert (card.weights.sha256, card.verified) == (None, False)
    assert card.license == "MIT"
    assert card.metrics == (
        Measurement(name="top1", value=PUBLISHED[name], split="test", chosen="best epoch on the test split"),
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_card_names_a_builder_that_exists(name):
    models = pytest.importorskip("distill_vision.models")
    card = distill_zoo.card(name)
    import torch

    with torch.device("meta"):
        model = getattr(models, card.builder.rpartition(".")[2])(**card.kwargs)
    assert sum(p.numel() for p in model.parameters()) > 200_000


def test_models_are_listed_by_glob():
    assert distill_zoo.list_models("*/wide_resnet16_8") == ["cifar10/wide_resnet16_8", "cifar100/wide_resnet16_8"]
    assert distill_zoo.list_models("imagenet/*") == []


def test_a_card_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        distill_zoo.card("cifar10/resnet20").license = "https://example.org"


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ZooError) as caught:
        distill_zoo.card("cifar10/rsnet20")
    assert str(caught.value) == "the zoo has no model 'cifar10/rsnet20'\n  hint: did you mean 'cifar10/resnet20'?"


def test_models_share_the_defaults_of_their_file():
    cards = read_cards(FILE, "toy.yaml")
    assert cards["toy/a"].weights.url == "https://example.org/a.pt"
    assert cards["toy/b"].weights.url == "https://example.org/b.safetensors"
    assert (cards["toy/a"].verified, cards["toy/b"].verified) == (False, True)


def test_an_unknown_field_is_refused():
    with pytest.raises(ZooError) as caught:
        read_cards(FILE.replace("builder: torch.nn.Identity", "bilder: torch.nn.Identity"), "toy.yaml")
    assert str(caught.value) == "toy.yaml: toy/b: 'bilder' is not a field of a card\n  hint: did you mean 'builder'?"


def test_a_missing_field_is_named():
    with pytest.raises(ZooError) as caught:
        read_cards(FILE.replace("license: MIT, ", ""), "toy.yaml")
    assert str(caught.value) == "toy.yaml: toy/a: the field 'license' is missing"


FAMILIES = {"coco2017": 3, "glue": 27, "ilsvrc2012": 10, "pascal_voc2012": 2}
ALL = distill_zoo.list_models()


@pytest.mark.parametrize(("family", "count"), FAMILIES.items())
def test_all_weights_of_the_papers_are_listed(family, count):
    assert len(distill_zoo.list_models(f"{family}/*")) == count


def test_the_distilled_berts_name_their_teachers():
    names = distill_zoo.list_models("glue/*.kd")
    assert len(names) == 9
    for name in names:
        assert distill_zoo.card(name).teacher == name.replace("_base_", "_large_").removesuffix(".kd")


@pytest.mark.parametrize("name", ALL)
def test_every_card_is_valid(name):
    card = distill_zoo.card(name)
    assert card.owner == "distill-zoo"
    assert card.license
    assert not card.weights.url or urlsplit(card.weights.url).scheme == "https"
    assert bool(card.weights.url) + bool(card.weights.repo) + card.embedded == 1
    assert card.embedded or card.verified == (card.weights.sha256 is not None)
    assert not card.labels or len(card.labels) == card.classes
    assert all(each.split for each in card.metrics)
    if card.teacher:
        assert distill_zoo.card(card.teacher).name == card.teacher
    if card.input:
        assert len(card.input.mean) == len(card.input.std) == card.input.channels


# One for each function and its arguments; the CIFAR models have a separate test.
BUILT = {
    str((card.builder, card.kwargs)): name for name in ALL if "cifar" not in name for card in [distill_zoo.card(name)]
}


@pytest.mark.parametrize("name", BUILT.values())
def test_every_builder_builds_its_model(name):
    card = distill_zoo.card(name)
    if not card.builder:
        with pytest.raises(ZooError, match="the card has no builder"):
            distill_zoo.load(name)
        return
    pytest.importorskip(card.builder.partition(".")[0])
    import torch

    with torch.device("meta"):
        model = distill_zoo.load(name)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not model.training


def test_a_name_without_a_tag_selects_the_first_card_of_the_model():
    assert distill_zoo.card("ilsvrc2012/resnet18").name == "ilsvrc2012/resnet18.kd"


def test_an_unknown_tag_is_refused():
    with pytest.raises(ZooError) as caught:
        distill_zoo.card("torchvision/resnet50.v3")
    assert str(caught.value) == (
        "'torchvision/resnet50' has no weights with the tag 'v3'\n"
        "  hint: choose from 'torchvision/resnet50.v1', 'torchvision/resnet50.v2'"
    )


OWN = """
shared: {dataset: toy, license: MIT, weights: {url: https://example.org/a.pt}}
models:
  toy/new: {deprecated: [toy/old]}
"""


@pytest.fixture
def local(tmp_path):
    """Write a card file of this machine."""

    def write(text, name="toy.yaml"):
        folder = tmp_path / "home" / "cards"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return folder

    return write


def test_a_former_name_works_with_a_warning_and_is_not_listed(local):
    local(OWN)
    with pytest.warns(FutureWarning, match="^'toy/old' was renamed to 'toy/new'$"):
        assert distill_zoo.card("toy/old").name == "toy/new"
    assert distill_zoo.list_models("toy/*") == ["toy/new"]


@pytest.mark.parametrize("name", ["cifar10/resnet20", "toy/old"])
def test_a_duplicate_name_is_refused_with_both_owners(local, name):
    local(OWN)
    folder = local(OWN.replace("toy/new", name).replace("[toy/old]", "[]"), "z.yaml")
    first = "distill-zoo" if name.startswith("cifar") else f"this machine ({folder})"
    with pytest.raises(ZooError) as caught:
        distill_zoo.list_models()
    assert str(caught.value) == (
        f"two cards are named '{name}': one from {first} and one from this machine ({folder})\n"
        "  hint: remove or rename one of them"
    )


def test_cards_of_another_package_are_found_by_its_entry_point(tmp_path, monkeypatch):
    package = tmp_path / "site" / "their_zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cards.yaml").write_text(OWN, encoding="utf-8")
    info = tmp_path / "site" / "their_zoo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-zoo\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[distill_zoo.cards]\ntheirs = their_zoo\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    _cards.forget()
    assert distill_zoo.card("toy/new").owner == "their-zoo"
    (package / "more.yaml").write_text(OWN.replace("toy/new", "cifar10/resnet20"), encoding="utf-8")
    _cards.forget()
    with pytest.raises(ZooError) as caught:
        distill_zoo.card("toy/new")
    assert str(caught.value) == (
        "two cards are named 'cifar10/resnet20': one from distill-zoo and one from their-zoo\n"
        "  hint: remove or rename one of them"
    )


FAULTS = [
    ("classes: many", "toy.yaml: toy/a: 'classes' must be an integer, got 'many'"),
    ("classes: true", "toy.yaml: toy/a: 'classes' must be an integer, got True"),
    ("classes: 3, labels: [x]", "toy/a: 3 classes need 3 labels, got 1"),
    ("labels: x", "toy.yaml: toy/a: 'labels' must be a list of strings, got 'x'"),
    ("kwargs: 3", "toy.yaml: toy/a: 'kwargs' must be a mapping, got 3"),
    ("weights: {format: pickle}", "toy.yaml: toy/a: 'format' must be one of 'safetensors', 'torch', got 'pickle'"),
    ("weights: x", "toy.yaml: toy/a: expected a mapping of fields, got 'x'"),
    (
        "input: {size: [1], mean: [0.5], std: [1]}",
        "toy.yaml: toy/a: 'size' must be a list of 2 integers, got [1]",
    ),
    ("metrics: [{name: top1, value: high, split: test}]", "toy.yaml: toy/a: 'value' must be a number, got 'high'"),
    (
        "deprecated: [../x]",
        "'../x' is not a valid name\n  hint: use the form 'dataset/model' or 'dataset/model.tag'",
    ),
]


@pytest.mark.parametrize(("fault", "sentence"), FAULTS)
def test_a_field_of_the_wrong_type_is_refused(fault, sentence):
    text = f"shared: {{dataset: toy, license: MIT, weights: {{url: x}}}}\nmodels:\n  toy/a: {{{fault}}}\n"
    with pytest.raises(ZooError) as caught:
        read_cards(text, "toy.yaml")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['echo it ran']",
        "models: {toy/a: !!python/name:os.system }",
        "models: [1]",
        "just text",
        "",
        "a: &a [*a]",
        "{",
    ],
)
def test_a_malicious_or_foreign_card_file_is_refused(text, capfd):
    with pytest.raises(ZooError, match=r"^toy\.yaml is not "):
        read_cards(text, "toy.yaml")
    assert "it ran" not in capfd.readouterr().out
