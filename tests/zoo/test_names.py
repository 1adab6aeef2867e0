"""The enumerations of names match the cards. After an intended change: python tests/zoo/test_names.py."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

import distill_zoo
from distill_zoo import names

FILE = Path(distill_zoo.__file__).with_name("names.py")
COMMAND = "python tests/zoo/test_names.py"


def family(name: str) -> str:
    return "".join(word.capitalize() for word in name.partition("/")[0].split("_"))


def member(name: str) -> str:
    return name.partition("/")[2].replace(".", "__").replace("-", "_").upper()


def expected() -> str:
    sections = [FILE.read_text(encoding="utf-8").partition('\n"""\n')[0] + '\n"""\n\nfrom ._enum import Named\n']
    own = [name for name in distill_zoo.list_models() if distill_zoo.card(name).owner == "distill-zoo"]
    for title, group in groupby(own, family):
        members = "\n".join(f'    {member(name)} = "{name}"' for name in group)
        dataset = "Weights of " + title if title in {"Timm", "Torchvision"} else f"Weights for {title}"
        sections.append(f'\n\nclass {title}(Named):\n    """{dataset}."""\n\n{members}\n')
    return "".join(sections)


def test_the_file_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == expected(), f"intended? {COMMAND}"


def test_a_member_is_the_name():
    assert names.Digits.CONVNET8__KD == "digits/convnet8.kd"
    assert distill_zoo.card(names.Digits.CONVNET8__KD) is distill_zoo.card("digits/convnet8.kd")


def test_a_member_knows_its_card_file_and_model():
    member = names.Digits.CONVNET8__KD
    assert member.card.teacher == names.Digits.CONVNET64__CE
    assert member.download().is_file()
    assert member.transforms().input == member.card.input
    pytest.importorskip("distill_vision")
    assert member.load().fc.out_features == 10


if __name__ == "__main__":
    FILE.write_text(expected(), encoding="utf-8")
