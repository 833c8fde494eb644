"""Files of other programs: CSV, the text files of the THUMOS14 kit, and conversion between them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.labels import make_label_reader
from dataset.videos import Segment, Video
from eval.detection import command as detection_command
from eval.detection.annotation_file import read_annotations
from eval.detection.conversion import convert_annotations, convert_predictions
from eval.detection.prediction_file import read_predictions
from eval.detection.thumos_files import CLASS_NUMBERS
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError

ROWS = [("a", 0.5, 1.5, "Diving", 0.5), ("b", 1, 2, "Diving", 0.25), ("a", 2, 3, "Shotput", 0.125)]
KIT_TEXT = "a.mp4 0.5 1.5 26 0.5\nb.mp4\t1  2 26 0.25\r\n\n  a.mp4 2 3 79 0.125\n"


def rows_of(table: Segments) -> list[tuple[str, float, float, str, float]]:
    """The rows of a table, with names."""
    found = zip(table.video, table.start, table.end, table.label, table.score, strict=True)
    return [(table.videos[v], s, e, table.classes[c], p) for v, s, e, c, p in found]


def read(path: Path, content: str | bytes, **options: Any) -> tuple[Segments, list[str]]:
    """Writes a prediction file and reads it; also returns the lines about it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    lines = list[str]()
    return read_predictions(path, say=lines.append, **options), lines


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (
            "video-id,t-start,t-end,label,score\na,0.5,1.5,Diving,0.5\nb,1,2,Diving,.25\n\n"
            "a,2,3,Shotput,1.25e-1\n",
            "CSV (comma), columns video-id, label, t-start, t-end, score",
        ),
        (  # of Excel in German: byte order mark, semicolons, decimal commas, Windows line ends
            b"\xef\xbb\xbfVideo Name;t_start (s);t_end (s);Class;Confidence\r\na;0,5;1,5;Diving;"
            b"0,5\r\nb;1;2;Diving;0,25\r\na;2;3;Shotput;0,125\r\n",
            "CSV (semicolon), columns Video Name, Class, t_start (s), t_end (s), Confidence",
        ),
        (
            "rank\tscore\tend\tstart\tcategory\tvideo_id\n1\t0.5\t1.5\t0.5\tDiving\ta\n"
            "2\t0.25\t2\t1\tDiving\tb\n3\t0.125\t3\t2\tShotput\ta\n",
            "CSV (tab), columns video_id, category, start, end, score (ignored: rank)",
        ),
        (
            ',"video","Start Time","End Time",label,class-name,score\n0,"a",0.5,1.5,5,Diving,0.5\n'
            "1, b,1,2,5,Diving,0.25\n2,a, 2,3,6,Shotput,0.125\n",
            "CSV (comma), columns video, class-name, Start Time, End Time, score (ignored: label)",
        ),
        (KIT_TEXT, "text of the THUMOS14 kit, class numbers of THUMOS14"),
        (
            KIT_TEXT.replace("26", "Diving").replace(".mp4", ""),
            "text of the THUMOS14 kit, class numbers of THUMOS14",
        ),
    ],
)
@pytest.mark.parametrize("name", ["p.csv", "p.txt", "p.json"])
def test_the_content_decides_what_is_read(
    content: str | bytes, note: str, name: str, tmp_path: Path
) -> None:
    table, lines = read(tmp_path / name, content)
    assert rows_of(table) == ROWS
    assert lines == [f"prediction file {tmp_path / name}: {note}"]


def test_class_numbers_of_the_kit(tmp_path: Path) -> None:
    assert len(CLASS_NUMBERS) == 20
    assert (CLASS_NUMBERS[7], CLASS_NUMBERS[97]) == ("BaseballPitch", "VolleyballSpiking")
    path = tmp_path / "p.txt"
    table, lines = read(path, KIT_TEXT + "a 1 2 5 0.5\nc 1 2 8 1\na 1 2 5 1\n")
    assert rows_of(table) == ROWS
    assert lines[1].startswith(
        "warning: 3 detections of 2 unknown classes are left out; class number 5 is not one of 7, "
        "9, 12, 21, "
    )
    with pytest.raises(UserError, match=r"p.txt, line 5: class number 5 is not one of 7, 9, "):
        read_predictions(path, strict=True)
    with pytest.raises(UserError, match=r"p.txt: class number 1 is not one of .* --class_names"):
        read(path, "a 1 2 1 0.5\n")
    (tmp_path / "names.txt").write_text("26 Jump\n79 Throw\n", encoding="utf-8")
    labels = make_label_reader(class_names=str(tmp_path / "names.txt"))
    table, lines = read(path, KIT_TEXT, labels=labels)
    assert table.classes == ("Jump", "Throw")
    assert lines[0].endswith("class numbers of --class_names or detclasslist.txt")


def test_class_numbers_of_the_kit_are_those_of_its_list(real_data: Path) -> None:
    listed = (real_data / "thumos14_kit" / "detclasslist.txt").read_text().split()
    assert {int(n): name for n, name in zip(listed[::2], listed[1::2], strict=True)} == (
        CLASS_NUMBERS
    )


HEAD = "video-id,t-start,t-end,label,score\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video,start,end\nv,1,2\n", "has no column label, score; wanted video, label, start, end"),
        ("video,start frame,end,label,score\n", "has no column start; wanted"),
        ("video,t-start(ms),end,label,score\n", "has no column start; wanted"),
        ("a,b\n1,2\n", "has none of the usual column names; wanted a header such as video-id,t-st"),
        ("v,1,2,Diving,0.5\n", "has none of the usual column names; wanted a header such as video"),
        ("video,video,start,end,label,score\n", "has the column video 2 times; remove or rename"),
        (HEAD + "v,1,2,Diving\n", ", line 2: 4 values, but the header has 5 columns; a value"),
        (HEAD + "v,1,2,Diving,1,\n", ", line 2: 6 values, but the header has 5 columns"),
        (HEAD + '\nv,1,2,"Diving,1\n', ", line 3: unexpected end of data; the file may be trunc"),
        (HEAD + "v,1,2,,1\n", ", line 2: label '' is not a class name"),
        (HEAD + ",1,2,Diving,1\n", ", line 2: '' is not a video name"),
        (HEAD + "v,1,late,Diving,1\n", ", line 2: segment end 'late' is not a finite number"),
        (HEAD + "v,1,2,Diving,nan\n", ", line 2: score 'nan' is not a finite number"),
        (HEAD + 'v,1,"2,5",Diving,1\n', ", line 2: segment end '2,5' is not a finite number"),
        ("v 1 2 26 0.5\nv 1 2 26\n", ", line 2: 4 values; wanted five: video start end class-nu"),
        ("v 1 2 26 0.5\nv 1 2 26 high\n", ", line 2: score 'high' is not a finite number"),
        ("v 1 2 26 0.5\nv 1 inf 26 1\n", ", line 2: segment end 'inf' is not a finite number"),
        (".mp4 1 2 26 0.5\n", ", line 1: '.mp4' is not a video name"),
        ("v 1 2\n", "has lines of three values, as annotations of the THUMOS14 kit; wanted detec"),
        (b"video,start,end,label,score\n\xff,1,2,a,1\n", "is not UTF-8 text (byte 28); save it"),
    ],
)
def test_bad_files_are_one_line(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path / "p.csv", content)
    text = str(caught.value)
    assert text.startswith(f"prediction file {tmp_path / 'p.csv'}")
    assert message in text
    assert "\n" not in text


def test_doubtful_times_are_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    _, lines = read(path, HEAD + "v,1,2,Diving,1\nv,3,2,Diving,1\n")
    assert lines[1].startswith("warning: 1 detections that end before they start count as false")
    assert "(first: line 3: ['3', '2'])" in lines[1]
    with pytest.raises(UserError, match=r"p.csv, line 3: segment \['3', '2'\] ends before it sta"):
        read_predictions(path, strict=True)


names = st.text("abc_-,;\"' é", min_size=1).map(str.strip).filter(bool)
finite = st.floats(allow_nan=False, allow_infinity=False)
detections = st.lists(st.tuples(names, finite, finite, names, finite), min_size=1, max_size=9)


@settings(deadline=None, max_examples=50)
@given(detections)
def test_csv_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, float, str, float]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    rows = [(video, abs(start), abs(start) + 1, label, p) for video, start, _, label, p in rows]
    table = make_table(rows)
    convert_predictions(path, table, say=list[str]().append)
    assert rows_of(read_predictions(path, say=list[str]().append)) == rows


def make_table(rows: list[tuple[str, float, float, str, float]]) -> Segments:
    """A table of rows with names."""
    videos = list(dict.fromkeys(row[0] for row in rows))
    classes = list(dict.fromkeys(row[3] for row in rows))
    indexed = [(videos.index(v), classes.index(c), s, e, p) for v, s, e, c, p in rows]
    return segments_from_rows(videos, classes, indexed)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt"])
def test_conversions_keep_every_digit(suffix: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    start, length, score = random.exponential(10, (3, 60))
    rows = [
        (f"v{i // 20}", s, s + d, random.choice(list(CLASS_NUMBERS.values())).item(), p * 1e-9)
        for i, (s, d, p) in enumerate(np.stack([start, length, score], axis=1).tolist())
    ]
    path, lines = tmp_path / f"p{suffix}", list[str]()
    convert_predictions(path, make_table(rows), say=lines.append)
    assert rows_of(read_predictions(path, say=lines.append)) == rows
    assert lines[0].startswith(f"written: {path}, 60 detections as ")


def test_what_the_text_of_the_kit_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    with pytest.raises(UserError, match=r"class 'Surfing' has no number in the THUMOS14 kit"):
        convert_predictions(path, make_table([("v", 0, 1, "Surfing", 1)]))
    with pytest.raises(UserError, match=r"video 'a b' has a space in its name"):
        convert_predictions(path, make_table([("a b", 0, 1, "Diving", 1)]))
    with pytest.raises(UserError, match=r"p.mat: the extension decides the format; wanted .json"):
        convert_predictions(tmp_path / "p.mat", make_table(ROWS))
    assert not path.exists()
    table, lines = make_table(ROWS), list[str]()
    convert_predictions(
        path, table.take(table.video == 0), {1: "Shotput", 2: "Diving"}, say=lines.append
    )
    assert path.read_text() == "a 0.5 1.5 2 0.5\na 2.0 3.0 1 0.125\n"
    assert lines == [
        f"written: {path}, 2 detections as text of the THUMOS14 kit; 1 videos without a detection "
        "are not in it"
    ]


TRUTH = {
    "a": Video(
        "a", "test", 9.5, (Segment(0, 4, "Diving"), Segment(5, 6, "Ambiguous")), ("Shotput",)
    ),
    "b": Video("b", "training", None, (Segment(0.1, 0.25, "Shotput"),)),
}


@pytest.mark.parametrize("name", ["gt.json", "gt.csv"])
def test_annotations_are_read_back(name: str, tmp_path: Path) -> None:
    lines = list[str]()
    convert_annotations(tmp_path / name, TRUTH, say=lines.append)
    assert lines[0].startswith(f"written: {tmp_path / name}, 4 annotations as ")
    assert read_annotations(tmp_path / name, say=lines.append) == TRUTH


def write_kit(folder: Path, **files: str) -> Path:
    """Writes annotation files of the kit."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content, encoding="utf-8")
    return folder


def test_the_annotation_folder_of_the_kit(tmp_path: Path) -> None:
    kit = write_kit(
        tmp_path / "kit",
        Shotput_test="b.mp4  3 4\nb 1 2\n",
        Diving_test="b 7 9\na 0 1.5\n\n",
        Ambiguous_test="c 5 6\n",
        readme="not annotations",
    )
    lines = list[str]()
    database = read_annotations(kit, say=lines.append)
    assert lines == [
        f"annotation folder {kit}: THUMOS14 kit, 4 instances of 2 classes and 1 ambiguous "
        "intervals in 3 videos"
    ]
    assert {name: (v.subset, v.duration) for name, v in database.items()} == dict.fromkeys(
        "abc", ("test", None)
    )
    assert database["b"].segments == (
        *(Segment(7, 9, "Diving"), Segment(3, 4, "Shotput"), Segment(1, 2, "Shotput")),
    )
    write_kit(kit, detclasslist="3 Shotput\n5 Diving\n")
    assert read_annotations(kit)["b"].segments[0].label == "Shotput"
    write_kit(kit, detclasslist="3 Shotput\n5 Diving\n6 Surfing\n")
    with pytest.raises(UserError, match=r"kit has no Surfing_test.txt, although detclasslist.txt"):
        read_annotations(kit)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no file such as Diving_test.txt; wanted the annotation folder of the THUMOS14"),
        ({"Ambiguous_test": "a 1 2\n"}, "has no file such as Diving_test.txt"),
        ({"Diving_test": "a 1\n"}, "Diving_test.txt, line 1: 'a 1'; wanted video start end"),
        (
            {"Diving_test": "a 1 2\n", "Diving_val": "a 1 2\n"},
            "Diving_val.txt: a is also in subset test",
        ),
    ],
)
def test_bad_annotation_folders(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_annotations(write_kit(tmp_path / "kit", **files))
    assert f"annotation folder {tmp_path / 'kit'}" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video,start,end\na,1,2\n", "has no column label; wanted video, label, start, end (also"),
        ("video,start,end,label\n", "has a header and no rows; copy it again"),
        ("video,start,end,label\n,1,2,Diving\n", "line 2: no video name"),
        (
            "video,start,end,label,subset\na,1,2,Diving,x\na,1,2,Diving,y\n",
            "line 3: subset of a is y, before x",
        ),
        ("a 1 2\n", "has the annotations of one class of the THUMOS14 kit; give its folder"),
        ("a 1 2 26 0.5\n", "has lines of five values, as detections of the THUMOS14 kit; wanted"),
    ],
)
def test_bad_annotation_tables(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_annotations(tmp_path / "gt.csv")
    assert str(caught.value).startswith(f"annotation file {tmp_path / 'gt.csv'}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_invalid_segments_of_a_table_are_treated_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "gt.csv"
    path.write_text("video,start,end,label\na,5,2,Diving\na,1,x,Diving\n", encoding="utf-8")
    flaws = [segment.flaw for segment in read_annotations(path)["a"].segments]
    assert flaws == [
        "a, annotation 0: segment [5.0, 2.0] ends before it starts",
        "a, annotation 1: segment [1.0, 'x'] is not [start, end] in seconds",
    ]
    with pytest.raises(UserError, match="2 problems"):
        read_annotations(path, strict=True)


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in a folder with a small kit and detections of it; returns its output."""
    monkeypatch.chdir(tmp_path)
    write_kit(
        Path("kit"),
        Diving_test="a 0 4\nb 2 3\n",
        Shotput_test="a 6 9\n",
        Ambiguous_test="a 20 30\n",
        detclasslist="26 Diving\n79 Shotput\n",
    )
    Path("p.txt").write_text("a.mp4 0 4 26 0.9\na 21 22 26 0.95\nb 8 9 26 0.1\na 6 8 79 1\n")

    def run_command(*words: str, exits: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["eval.detection", *words])
        if exits:
            with pytest.raises(SystemExit) as caught:
                detection_command.main()
            assert caught.value.code == exits
            return capsys.readouterr().err
        detection_command.main()
        return capsys.readouterr().out

    return run_command


FILES = ("--ground_truth", "kit", "--predictions", "p.txt", "--tiou", "0.5", "0.7")


def test_the_protocol_of_the_kit(run: Run) -> None:
    output = run(*FILES, "--protocol", "thumos-kit", "--json", "o.json", "--csv", "o.csv")
    assert output.splitlines()[:9] == [
        "annotation folder kit: THUMOS14 kit, 3 instances of 2 classes and 1 ambiguous intervals "
        "in 2 videos",
        "prediction file p.txt: text of the THUMOS14 kit, class numbers of --class_names or "
        "detclasslist.txt",
        "tIoU                  0.5    0.7",
        "mAP % (thumos-kit)  75.00  25.00",
        "average mAP % (thumos-kit)   mean of .5 .7: 50.00",
        "evaluated: 2 videos, 3 instances of 2 classes, 4 detections",
        "subset: test (the only one); protocol: thumos-kit",
        "detections left out, in ambiguous intervals: 1",
        "",
    ]
    assert "Average precision per class, in % (thumos-kit)" in output
    assert "The error analysis matches as DETAD does, not as thumos-kit." in output
    values = json.loads(Path("o.json").read_text())
    assert (values["protocol"], values["ap"]) == ("thumos-kit", "non-interpolated")
    assert values["detections_in_ambiguous_intervals"] == [1, 1]
    assert set(pd.read_csv("o.csv")["protocol"]) == {"thumos-kit"}
    output = run(*FILES)
    assert "mAP %  62.50  12.50" in output
    assert "protocol: activitynet\n" in output
    assert "annotations ignored: 1 with the label Ambiguous (--ignore_labels)" in output


def test_the_protocol_of_the_kit_without_ambiguous_intervals(run: Run) -> None:
    Path("kit/Ambiguous_test.txt").unlink()
    output = run(*FILES, "--protocol", "thumos-kit")
    assert "mAP % (thumos-kit)  62.50  12.50" in output
    assert (
        "warning: kit has no ambiguous interval (label Ambiguous) in the chosen videos; the "
        "official kit counts no false positives in those of its Ambiguous_test.txt: give its "
        "annotation folder as --ground_truth" in output
    )
    assert "in ambiguous intervals" not in output


def test_the_former_name_of_the_kind_of_average_precision(run: Run) -> None:
    first, _, rest = run(*FILES, "--ap", "thumos14", "--json", "o.json").partition("\n")
    assert first == (
        "--ap thumos14 is now called non-interpolated: it is the formula of the THUMOS14 kit "
        "without its matching; --protocol thumos-kit is the official kit"
    )
    assert json.loads(Path("o.json").read_text())["ap"] == "non-interpolated"
    assert run(*FILES, "--ap", "non-interpolated", "--json", "o.json") == rest
    assert "protocol: activitynet, non-interpolated AP\n" in rest
    error = run(*FILES, "--ap", "activitynet", "--protocol", "thumos-kit", exits=2)
    assert "--ap activitynet does not apply to --protocol thumos-kit, which has its own" in error


def test_the_command_converts(run: Run) -> None:
    assert "written: p.csv, 4 detections as CSV\n" in run(
        "--predictions", "p.txt", "--convert", "p.csv"
    )
    assert "4 annotations as ActivityNet JSON\n" in run(
        "--ground_truth", "kit", "--convert", "gt.json"
    )
    expected = run(*FILES, "--protocol", "thumos-kit").partition("tIoU")[2]
    files = ["--ground_truth", "gt.json", "--predictions", "p.csv", "--tiou", "0.5", "0.7"]
    assert run(*files, "--protocol", "thumos-kit").partition("tIoU")[2] == expected
    run("--predictions", "p.csv", "--convert", "again.txt", "--ground_truth", "kit")
    assert Path("again.txt").read_text().splitlines()[:2] == [
        "a 0.0 4.0 26 0.9",
        "a 21.0 22.0 26 0.95",
    ]
    for words, missing in (
        (["--predictions", "p.csv"], "--ground_truth"),
        (["--ground_truth", "kit"], "--predictions"),
        (["--convert", "x.csv"], "--ground_truth, --predictions"),
    ):
        error = run(*words, exits=2)
        assert f"the following arguments are required: {missing}\n" in error


def test_names_with_and_without_mp4(run: Run) -> None:
    content = (
        "video,start,end,label,score\na.mp4,0,4,Diving,1\nb.mp4,2,3,Diving,1\nb,2,3,Diving,1\n"
    )
    Path("p.csv").write_text(content)
    output = run("--ground_truth", "kit", "--predictions", "p.csv")
    assert (
        "predictions: 1 video names matched with and without .mp4 (first: a.mp4 is a in the "
        "annotations)" in output
    )
    assert "false positives in videos outside the ground truth: 1" in output  # b.mp4, as b is there


def test_labels_that_are_all_numbers_are_explained(run: Run) -> None:
    Path("p.csv").write_text("video,start,end,label,score\na,0,4,0,1\n")
    Path("names.txt").write_text("Diving\nShotput\n")
    (Path("kit") / "detclasslist.txt").unlink()
    files = ["--ground_truth", "kit", "--predictions", "p.csv", "--tiou", "0.5"]
    assert (
        "warning: no class of the prediction file is in the ground truth: the labels are numbers, "
        "such as 0; --class_names FILE names the classes of numbers, one per line"
    ) in run(*files)
    assert "mAP %  25.00" in run(*files, "--class_names", "names.txt")
