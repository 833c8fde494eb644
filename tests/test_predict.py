"""predict.py: inputs, settings and classes of a checkpoint, outputs, and equality with --test."""

import csv
import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import predict
from config.datasets import ACTIVITYNET13, THUMOS14
from eval.detection.prediction_file import read_predictions
from prediction.output import clock
from tests.data_folder import LABELS, make_data
from tests.known_network import (
    WIDTH,
    known_weights,
    run_predict,
    stored_config,
    write_checkpoint,
)
from tests.program import run_main
from utils.errors import UserError

VIDEO = "video_test_0000003"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory, and a checkpoint with settings for it."""
    folder = tmp_path_factory.mktemp("predict")
    make_data(folder / "data", test=6)
    content = {"config": stored_config(num_snippets=24), "classes": list(THUMOS14.classes)}
    write_checkpoint(folder / "known.pth", known_weights(), **content)
    write_checkpoint(folder / "official.pth", known_weights())
    return folder


@pytest.fixture
def known(folder: Path) -> list[str]:
    """Flags that name the checkpoint."""
    return ["--checkpoint", str(folder / "known.pth"), "--device", "cpu"]


@pytest.fixture
def official(folder: Path) -> list[str]:
    """Flags that name a checkpoint without settings."""
    return ["--checkpoint", str(folder / "official.pth"), "--device", "cpu"]


def features_of(folder: Path, name: str = VIDEO) -> Path:
    return folder / "data" / "test" / f"{name}.npy"


def results(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The detections of a prediction file by video."""
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["results"]
    return found


def test_predictions_equal_those_of_the_test(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    data, ours = folder / "data", tmp_path / "ours.json"
    flags = [*known, "--data_dir", data, "--save_dir", tmp_path, "--test"]
    tested = run_main(flags)
    run_predict([*known, data / "test", "--json", ours])
    assert ours.read_text() == (tmp_path / "known_predictions.json").read_text()
    segments = read_predictions(ours)
    assert {segments.classes[label] for label in segments.label} >= set(LABELS)
    assert "mAP" in tested


def test_a_video_is_predicted_alike_alone_and_among_others(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    run_predict([*known, folder / "data" / "test", "--json", tmp_path / "all.json"])
    run_predict([*known, features_of(folder), "--json", tmp_path / "one.json"])
    expected = results(tmp_path / "all.json")[VIDEO]
    found = results(tmp_path / "one.json")
    assert found.keys() == {VIDEO}
    assert [item["segment"] for item in found[VIDEO]] == [item["segment"] for item in expected]
    ours, theirs = ([item["score"] for item in items] for items in (found[VIDEO], expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_table_shows_the_instance(folder: Path, known: list[str]) -> None:
    printed = run_predict([*known, features_of(folder), "--top", "1"])
    line = printed.splitlines()[-1].split()
    annotation = json.loads((folder / "data" / "gt.json").read_text())["database"][VIDEO]
    (instance,) = annotation["annotations"]
    assert line[0] == instance["label"]
    assert abs(float(line[1]) - instance["segment"][0]) < 1
    assert abs(float(line[3]) - instance["segment"][1]) < 2.5


def test_csv_has_the_segments_of_the_json(folder: Path, known: list[str], tmp_path: Path) -> None:
    files = ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"]
    run_predict([*known, folder / "data" / "test", *files])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [(v, i) for v, items in results(tmp_path / "a.json").items() for i in items]
    assert [(r["video"], r["label"]) for r in rows] == [(v, i["label"]) for v, i in expected]
    numbers = [[float(r["start"]), float(r["end"]), float(r["score"])] for r in rows]
    assert numbers == [[*i["segment"], i["score"]] for _, i in expected]


def test_the_best_segments_are_kept(folder: Path, known: list[str], tmp_path: Path) -> None:
    inputs = [*known, folder / "data" / "test", "--json"]
    run_predict([*inputs, tmp_path / "all.json"])
    printed = run_predict([*inputs, tmp_path / "best.json", "--top", "2", "--min_score", "0.1"])
    best = results(tmp_path / "best.json")
    for video, items in results(tmp_path / "all.json").items():
        good = sorted((i["score"] for i in items if i["score"] >= 0.1), reverse=True)[:2]
        assert sorted((i["score"] for i in best[video]), reverse=True) == good
    assert "of lower score" not in printed


def test_the_table_can_be_sorted_by_time(folder: Path, known: list[str]) -> None:
    flags = [*known, features_of(folder), "--class_threshold", "0"]
    by_time = run_predict([*flags, "--sort", "time"]).splitlines()[3:-1]
    starts = [float(line.split()[1]) for line in by_time]
    assert len(starts) > 2
    assert starts == sorted(starts)
    assert "of lower score (--top N shows more)" in run_predict(flags)
    assert "segment" not in run_predict([*flags, "--quiet"])


def test_settings_of_the_checkpoint_are_overridden(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    inputs = [*known, features_of(folder), "--json"]
    run_predict([*inputs, tmp_path / "a.json"])
    run_predict([*inputs, tmp_path / "b.json", "--frames_per_second", "50", "--nms_offset", "0"])
    before, after = (results(tmp_path / f"{name}.json")[VIDEO][0]["segment"] for name in "ab")
    np.testing.assert_allclose(before, np.multiply(after, 2))


BAD = {
    "missing.npy": "does not exist; wanted .npy feature files or videos",
    "wide.npy": f"has 18 channels, and the network of CHECKPOINT wants {WIDTH}; give features",
    "flat.npy": "has shape (5,), wanted 2 dimensions",
    "nan.npy": "has NaN or infinite values, first in snippet 3",
    "objects.npy": "is not a complete .npy array of numbers",
    "names.txt": "is a text file; wanted .npy feature files or videos",
    "archive.pth": "is a zip archive, such as .npz, .pth or .xlsx; wanted .npy",
    "empty": "has none of the files that are read: wanted .npy feature files or videos",
    "data": "folders are not searched recursively",
}


def test_bad_inputs_have_a_line_each_and_the_others_are_predicted(
    folder: Path, known: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", np.ones((20, 18), np.float32))
    np.save("flat.npy", np.ones(5, np.float32))
    spoiled = np.ones((5, WIDTH), np.float32)
    spoiled[3, 2] = np.nan
    np.save("nan.npy", spoiled)
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    Path("names.txt").write_text("a\nb\n")
    torch.save({}, "archive.pth")
    Path("empty").mkdir()
    Path("data").symlink_to(folder / "data")
    printed = run_predict([*known, *BAD, features_of(folder), "--json", "a.json"], status=1)
    errors = [line for line in printed.splitlines() if line.startswith("predict.py: error: ")]
    assert len(errors) == len(BAD)
    for name, message in BAD.items():
        message = message.replace("CHECKPOINT", known[1])
        assert any(name in line and message in line for line in errors), (name, errors)
    assert f"{len(BAD)} of {len(BAD) + 1} inputs could not be predicted" in printed
    assert results(Path("a.json")).keys() == {VIDEO}
    printed = run_predict([*known, *BAD, "--json", "b.json"], status=2)
    assert not Path("b.json").exists()


def test_the_same_file_counts_once_and_the_same_name_is_an_error(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    run_predict([*known, features_of(folder), folder / "data" / "test", "--quiet"])
    other = tmp_path / f"{VIDEO}.npy"
    np.save(other, np.ones((9, WIDTH), np.float32))
    printed = run_predict([*known, features_of(folder), other], status=1)
    assert f"{other} has the same name as {features_of(folder)}" in printed


def test_links_and_transposed_files_are_read(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    (tmp_path / f"{VIDEO}.npy").symlink_to(features_of(folder))
    plain = run_predict([*known, tmp_path / f"{VIDEO}.npy"])
    (tmp_path / "t").mkdir()
    np.save(tmp_path / "t" / f"{VIDEO}.npy", np.load(features_of(folder)).T)
    printed = run_predict([*known, tmp_path / "t"])
    assert "is transposed: it has 16 rows" in printed
    assert printed.splitlines()[2:] == plain.splitlines()[1:]


def test_a_score_that_is_not_finite_is_an_error(
    folder: Path, known: list[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "huge.npy", np.full((9, WIDTH), 3e38, np.float32))
    printed = run_predict([*known, tmp_path / "huge.npy", features_of(folder)], status=1)
    assert "huge: the network gives scores that are not finite" in printed


def test_a_checkpoint_without_settings_is_guessed(
    folder: Path, known: list[str], official: list[str], tmp_path: Path
) -> None:
    printed = run_predict([*official, features_of(folder), "--snippet_frames", "64"])
    assert "its 20 classes and settings are taken to be those of THUMOS14" in printed
    assert "snippets every 64 frames at 25 frames per second" in printed
    flags = ["--num_snippets", "24", "--json"]
    printed = run_predict(
        [*official, features_of(folder), "--dataset", "THUMOS", *flags, tmp_path / "a.json"]
    )
    assert "taken to be" not in printed
    run_predict([*known, features_of(folder), "--json", tmp_path / "b.json"])
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()


def test_a_checkpoint_of_activitynet_is_guessed(folder: Path, tmp_path: Path) -> None:
    weights = known_weights(200, input_dropout=0.7)
    write_checkpoint(tmp_path / "a.pth", weights)
    predictor = predict.load_predictor(tmp_path / "a.pth", device="cpu")
    assert predictor.classes == ACTIVITYNET13.classes
    assert predictor.config.num_snippets == 75
    assert predictor.config.input_dropout > 0
    found = predictor(np.load(features_of(folder)))
    assert found[0].label == ACTIVITYNET13.classes[0]


def test_classes_of_the_checkpoint_or_of_a_file(folder: Path, tmp_path: Path) -> None:
    features, names = features_of(folder), tmp_path / "names.txt"
    stored = write_checkpoint(tmp_path / "a.pth", known_weights(3), classes=["x", "y", "z"])
    flags = ["--device", "cpu", features]
    assert "\n  x " in run_predict(["--checkpoint", stored, *flags, "--dataset", "THUMOS"])
    names.write_text("u\nv\nw\n")
    printed = run_predict(["--checkpoint", stored, *flags, "--class_names", names])
    assert "\n  u " in printed
    assert f"warning: {names} renames the classes of the checkpoint: only the checkpoint" in printed
    names.write_text("u\nv\n")
    printed = run_predict(["--checkpoint", stored, *flags, "--class_names", names], status=2)
    assert f"distinguishes 3 classes, and {names} names 2" in printed
    bare = write_checkpoint(tmp_path / "b.pth", known_weights(3))
    printed = run_predict(["--checkpoint", bare, *flags], status=2)
    assert "no known data set has 3 classes; --class_names FILE names them" in printed
    printed = run_predict(["--checkpoint", bare, *flags, "--dataset", "custom"], status=2)
    assert "stores no class names; --class_names FILE names them" in printed
    names.write_text("1 v\n0 u\n2 w\n")
    assert "\n  u " in run_predict(["--checkpoint", bare, *flags, "--class_names", names])


def test_another_file_is_not_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.pth", {"conv.weight": torch.zeros(3)})
    printed = run_predict(["--checkpoint", tmp_path / "a.pth", features_of(folder)], status=2)
    assert "has no snippet_cls.weight (classes + 1, channels)" in printed


def test_durations_spread_the_snippets(folder: Path, known: list[str], tmp_path: Path) -> None:
    flags = [*known, features_of(folder), "--snippet_timing", "duration"]
    printed = run_predict(flags, status=2)
    assert f"{VIDEO}: the settings are --snippet_timing duration" in printed
    length = len(np.load(features_of(folder)))
    durations = tmp_path / "durations.json"
    durations.write_text(json.dumps({VIDEO: 0.64 * length * 3}))
    run_predict([*flags, "--durations", durations, "--json", tmp_path / "a.json"])
    run_predict([*known, features_of(folder), "--json", tmp_path / "b.json", "--nms_offset", "0"])
    after, before = (results(tmp_path / f"{name}.json")[VIDEO][0]["segment"] for name in "ab")
    np.testing.assert_allclose(after, np.multiply(before, 3))
    gt = folder / "data" / "gt.json"
    assert "segment" in run_predict([*flags, "--durations", gt])
    durations.write_text(json.dumps({"other": 3}))
    printed = run_predict([*flags, "--durations", durations], status=2)
    assert f"{durations} does not give its duration" in printed
    durations.write_text(json.dumps({VIDEO: 0}))
    printed = run_predict([*flags, "--durations", durations], status=2)
    assert "wanted a number of seconds above 0" in printed


def test_figures_are_drawn(folder: Path, known: list[str], tmp_path: Path) -> None:
    one, two = features_of(folder), features_of(folder, "video_test_0000001")
    printed = run_predict([*known, one, "--figure", tmp_path / "a.png"])
    assert printed.splitlines()[-1] == f"figure: {tmp_path / 'a.png'}"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    run_predict([*known, one, two, "--figure", tmp_path / "b.svg", "--min_score", "9"])
    assert (tmp_path / f"b-{VIDEO}.svg").read_text().startswith("<?xml")
    run_predict([*known, one, two, "--figure", tmp_path / "folder"])
    assert len(list((tmp_path / "folder").glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no INPUT: wanted feature files (.npy), videos or folders"),
        (["a.npy", "--figure", "a.bmp"], "--figure a.bmp: wanted a file ending in .png, .pdf"),
        (["a.npy", "--export", "n.onnx", "--json", "a.json"], "--export writes the network and"),
        (["a.npy", "--top", "0"], "--top: 0: must be >= 1"),
        (["a.npy", "--min_score", "nan"], "--min_score: nan: wanted a finite number"),
        (["a.npy", "--nms_tiou", "2"], "--nms_tiou 2.0: must be >= 0, <= 1"),
        (["a.npy", "--epochs", "3"], "unrecognized arguments: --epochs"),
        (["a.npy", "--json", "."], "cannot write .: it is a folder"),
    ],
)
def test_wrong_flags_are_errors(known: list[str], flags: list[str], message: str) -> None:
    assert message in run_predict([*known, *flags], status=2)


def test_a_checkpoint_is_needed() -> None:
    printed = run_predict(["a.npy"], status=2)
    assert "the following arguments are required: --checkpoint" in printed


def test_the_examples_of_the_docstrings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("THUMOS_best.pth").write_bytes(Path("known.pth").read_bytes())
    np.save("video_test_0000004.npy", example_features())
    names = {**vars(predict), "features": example_features()}
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for function in (predict.predict_features, predict.load_predictor):
        (example,) = finder.find(function, function.__name__, globs=dict(names))
        assert example.examples
        runner.run(example)
    assert runner.summarize().failed == 0


def example_features() -> np.ndarray[Any, Any]:
    """Features in which the second class is seen in the snippets 14 to 28 and 62 to 70 of 90."""
    features = np.full((90, WIDTH), 0.5, np.float32)
    features[14:29, 4:8] = 4
    features[62:71, 4:8] = 3
    return features


def test_arrays_that_are_no_features_are_refused(folder: Path) -> None:
    predictor = predict.load_predictor(folder / "known.pth", device="cpu")
    for wrong, message in (
        (np.ones((3, 9)), "features has 9 channels"),
        (np.ones((0, WIDTH)), "features is empty"),
        (np.ones((1, 3, WIDTH)), "features has shape (1, 3, 16), wanted 2 dimensions"),
        (np.full((3, WIDTH), np.inf), "features has NaN or infinite values"),
        (np.full((3, WIDTH), "a"), "features holds <U1, wanted numbers"),
    ):
        with pytest.raises(UserError) as caught:
            predictor(wrong)
        assert message in str(caught.value)
    assert predictor([[1] * WIDTH] * 5)
    spread = predict.load_predictor(folder / "known.pth", snippet_timing="duration")
    assert spread(np.ones((3, WIDTH)), duration=7.0)[0].end <= 7
    with pytest.raises(UserError, match="--durations FILE"):
        spread(np.ones((3, WIDTH)))


def test_other_orders_of_channels_and_axes(folder: Path, tmp_path: Path) -> None:
    plain = np.load(features_of(folder))
    flow_first = np.concatenate([plain[:, WIDTH // 2 :], plain[:, : WIDTH // 2]], axis=1)
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / f"{VIDEO}.npy", flow_first[None])
    config = stored_config(num_snippets=24, channel_order="flow_rgb", feature_axes="1TD")
    checkpoint = write_checkpoint(tmp_path / "a.pth", known_weights(), config=config)
    flags = ["--checkpoint", checkpoint, "--device", "cpu"]
    expected = run_predict(
        [*flags, "--channel_order", "rgb_flow", "--feature_axes", "TD", features_of(folder)]
    )
    assert run_predict([*flags, tmp_path / "other"]) == expected
    assert "--feature_axes TD" in run_predict([*flags, features_of(folder)], status=2)
    segments = predict.predict_features(folder / "known.pth", plain)
    assert predict.predict_features(checkpoint, flow_first[None]) == segments
    with pytest.raises(UserError, match="--feature_axes TD"):
        predict.predict_features(checkpoint, plain)


def test_times_are_readable() -> None:
    assert clock(7.25, 99) == "7.25 s"
    assert clock(7.25, 100) == "0:07.25"
    assert clock(59.999, 100) == "1:00.00"
    assert clock(127.254, 3599) == "2:07.25"
    assert clock(3727.25, 3727.25) == "1:02:07.25"
