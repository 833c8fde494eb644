"""Names of videos that mean the same: the prefix v_, Unicode forms, similar names."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from dataset.video_names import composed, look_alikes, match_names, prefix_note

names = st.lists(st.text("av_é", min_size=1, max_size=4), unique_by=composed, max_size=8)


def test_with_and_without_the_prefix() -> None:
    assert match_names(["a", "v_b", "c"], ["v_a", "b", "d"]) == {"a": "v_a", "v_b": "b"}
    # The identifier itself may begin with v_.
    assert match_names(["v_x"], ["v_v_x", "x"]) == {"v_x": "v_v_x"}
    # Both are wanted and one is known: the other one is not the same video.
    assert match_names(["a", "v_a"], ["v_a"]) == {"v_a": "v_a"}


def test_unicode_forms() -> None:
    decomposed = unicodedata.normalize("NFD", "Kür")
    assert match_names(["Kür"], [decomposed]) == {"Kür": decomposed}
    assert match_names([decomposed], ["v_Kür"]) == {decomposed: "v_Kür"}


@given(names, names)
def test_a_match_is_unique_and_an_equal_name_wins(wanted: list[str], known: list[str]) -> None:
    found = match_names(wanted, known)
    assert len(set(found.values())) == len(found)
    assert set(found) <= set(wanted)
    assert set(found.values()) <= set(known)
    for name in set(wanted) & set(known):
        assert found[name] == name


def test_the_line_about_the_prefix() -> None:
    assert prefix_note({"a": "a", "b": "v_b"}, "predictions", "annotations") == (
        "predictions: 1 of 2 video names matched with and without the prefix v_ (first: b is v_b "
        "in the annotations)"
    )
    decomposed = unicodedata.normalize("NFD", "Kür")
    assert prefix_note({"a": "a", "Kür": decomposed}, "predictions", "annotations") == ""


def test_similar_names_are_found() -> None:
    known = ["video_test_0000004", "video_test_0000006"]
    assert look_alikes(["test_0000006", "x"], known) == (
        "test_0000006 looks like video_test_0000006"
    )
    assert look_alikes(["x"], known) == (
        "such as x; known are video_test_0000004, video_test_0000006"
    )
