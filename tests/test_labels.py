"""Labels in files: other spellings, numbers, and the files that explain them."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset.labels import LabelReader, make_label_reader, read_class_names, similar_labels
from utils.errors import UserError

CLASSES = ("CliffDiving", "Diving")


def test_labels_are_taken_as_written() -> None:
    reader = LabelReader()
    assert [reader(label) for label in ("Cliff Diving", "CliffDiving", "7")] == [
        *("Cliff Diving", "CliffDiving", "7")
    ]
    values: list[Any] = [None, True, "", [], {}, "a\x1b[2J", "\ud800", 0.5, float("nan")]
    for bad in values:
        with pytest.raises(ValueError, match="is not a class name"):
            reader(bad)
    with pytest.raises(ValueError, match="label 5 is not a class name; --class_names FILE names"):
        reader(5)


def test_pairs_and_files_of_aliases(tmp_path: Path) -> None:
    path = tmp_path / "aliases.json"
    path.write_text(json.dumps({"cliff": "CliffDiving"}), encoding="utf-8")
    reader = make_label_reader(["dive=Diving", str(path)])
    assert [reader(x) for x in ("dive", "cliff", "Diving", "jump")] == [
        *("Diving", "CliffDiving", "Diving", "jump")
    ]
    path.write_text('{"cliff": 5}', encoding="utf-8")
    with pytest.raises(UserError, match=r"wanted an object .other label: class"):
        make_label_reader([str(path)])
    for word in ("same", "=x", "x="):
        with pytest.raises(UserError, match=f"--label_aliases '{word}': wanted pairs such as"):
            make_label_reader([word])


def test_similar_labels_are_the_same_class() -> None:
    reader = make_label_reader(["similar"], classes=CLASSES)
    for label in ("Cliff Diving", "cliff_diving", "CLIFF-DIVING", "CliffDiving"):
        assert reader(label) == "CliffDiving"
    assert reader("high jump") == "high jump"  # not known: spelled as it is read first
    assert reader("High_Jump") == "high jump"


def test_numbers_are_indices_of_class_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("Diving\nCliffDiving\n", encoding="utf-8")
    reader = make_label_reader(class_names=str(path))
    assert [reader(x) for x in (0, 1, 1.0, "1", "Diving")] == [
        *("Diving", "CliffDiving", "CliffDiving", "CliffDiving", "Diving")
    ]
    for bad in (2, -1, "7"):
        with pytest.raises(ValueError, match=f"{bad} is not in --class_names, which has 0 to 1"):
            reader(bad)
    path.write_text("7 BaseballPitch\n9 Basketball Dunk\n", encoding="utf-8")
    assert read_class_names(path) == {7: "BaseballPitch", 9: "Basketball Dunk"}
    path.write_text("100 m sprint\nDiving\n", encoding="utf-8")
    assert read_class_names(path) == {0: "100 m sprint", 1: "Diving"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "has no name; wanted one class name per line"),
        ("a\na\n", "has a class name twice"),
        ("1 a\n1 b\n", "has an index twice"),
    ],
)
def test_bad_class_names(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_class_names(path)
    with pytest.raises(UserError, match=r"class name file .* does not exist; wanted a text file"):
        read_class_names(tmp_path / "none.txt")


def test_the_class_list_of_the_thumos14_kit(real_data: Path) -> None:
    names = read_class_names(real_data / "thumos14_kit" / "detclasslist.txt")
    assert len(names) == 20
    assert names[7] == "BaseballPitch"


def test_pairs_that_differ_in_spelling_only() -> None:
    assert similar_labels(["Diving", "cliff diving", "Jump"], CLASSES) == [
        ("cliff diving", "CliffDiving")
    ]
