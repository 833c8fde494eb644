"""`--dataset custom`: classes of the annotations or of a file, which the checkpoint stores."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from config.datasets import THUMOS14
from config.model_config import make_config
from dataset.classes import class_difference, classes_line, find_classes
from tests.data_folder import LABELS, edit_json, make_data
from tests.program import run_main
from utils.errors import UserError

ROOT = Path(__file__).parents[1]
OWN = {LABELS[0]: "wave hand", LABELS[1]: "jump", LABELS[2]: "Öffnen"}
SORTED = ("jump", "wave hand", "Öffnen")
FAST = [
    "--dataset",
    "custom",
    "--without_wandb",
    "--device",
    "cpu",
    "--num_snippets",
    "40",
    "--lr",
    "3e-3",
    "--epochs",
    "1",
]


def rename(data: Path, names: Mapping[str, Any]) -> Path:
    """Gives the labels of a data directory other names."""

    def change(content: Any) -> None:
        for video in content["database"].values():
            for item in video["annotations"]:
                item["label"] = names.get(item["label"], item["label"])

    edit_json(data / "gt.json", change)
    return data


def checkpoint(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "custom_latest.pth", weights_only=True)
    return content


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with three classes of its own."""
    return rename(make_data(tmp_path_factory.mktemp("custom") / "data", train=8), OWN)


@pytest.fixture(scope="module")
def trained(data: Path) -> tuple[Path, str]:
    """A run on it, and what it printed."""
    run = data.parent / "run"
    return run, run_main([*FAST, "--data_dir", data, "--epochs", 3, "--save_dir", run])


def test_classes_are_the_sorted_labels_of_the_training_videos(trained: tuple[Path, str]) -> None:
    run, text = trained
    assert f"classes: 3 from gt.json: {', '.join(SORTED)}" in text.splitlines()
    assert {path.name for path in run.glob("*.pth")} == {"custom_best.pth", "custom_latest.pth"}
    for path in run.glob("*.pth"):
        content = torch.load(path, weights_only=True)
        assert content["classes"] == list(SORTED)
        assert content["model_state_dict"]["snippet_cls.weight"].shape == (4, 16)
        assert content["config"]["snippet_frames"] == 16
        assert content["config"]["frames_per_second"] == 25


def test_a_test_takes_the_classes_of_the_checkpoint(
    data: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    """Even where there are no training videos, and not every class occurs."""
    run, text = trained
    expected = [line for line in text.splitlines() if line.startswith(("mAP %", "evaluated"))]
    test = ["--test", "--checkpoint", run / "custom_latest.pth", "--save_dir", tmp_path]
    again = run_main([*test, "--data_dir", data])
    assert [line for line in again.splitlines() if line.startswith(("mAP %", "eval"))] == expected
    assert "from checkpoint" in again

    own = tmp_path / "own"
    (own / "test").mkdir(parents=True)
    (own / "gt.json").write_bytes((data / "gt.json").read_bytes())
    name = "video_test_0000002"  # its class is the last one
    (own / "split_test.txt").write_text(name)
    (own / "test" / f"{name}.npy").write_bytes((data / "test" / f"{name}.npy").read_bytes())
    edit_json(own / "gt.json", lambda c: c.update(database={name: c["database"][name]}))
    text = run_main([*test, "--data_dir", own, "--report"])
    assert "evaluated: 1 videos, 1 instances of 1 classes" in text
    found = json.loads((tmp_path / "custom_latest_predictions.json").read_text())["results"]
    assert {item["label"] for item in found[name]} <= set(SORTED)

    edit_json(
        own / "gt.json",
        lambda c: c["database"][name]["annotations"][0].update(label="wink"),
    )
    text = run_main([*test, "--data_dir", own], status=2)
    assert "unknown label 'wink'" in text
    assert f"known labels are {', '.join(SORTED)} (checkpoint {run}" in text


def test_predictions_are_evaluated_without_a_class_list(
    data: Path, trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from eval.detection import command

    run, _ = trained
    test = ["--test", "--checkpoint", run / "custom_latest.pth", "--save_dir", tmp_path]
    table = run_main([*test, "--data_dir", data]).splitlines()
    predictions = tmp_path / "custom_latest_predictions.json"
    arguments = ["--dataset", "custom", "--ground_truth", data / "gt.json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "argv", ["detection", *map(str, arguments), "--predictions", str(predictions)]
        )
        command.main()
    expected = next(line for line in table if line.startswith("mAP %"))
    assert expected in capsys.readouterr().out.splitlines()


def test_a_file_names_the_classes_and_their_order(data: Path, tmp_path: Path) -> None:
    names = ("wave hand", "Öffnen", "jump")
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(names), encoding="utf-8")
    flags = [*FAST, "--data_dir", data, "--class_names", file, "--save_dir", tmp_path / "run"]
    assert f"classes: 3 from --class_names {file}: {', '.join(names)}" in run_main(flags)
    assert checkpoint(tmp_path / "run")["classes"] == list(names)

    numbers = rename(
        make_data(tmp_path / "numbers", train=8),
        {LABELS[0]: 2, LABELS[1]: 0, LABELS[2]: "1"},
    )
    file.write_text("2 wave hand\n0 jump\n1 Öffnen\n", encoding="utf-8")
    flags = [*FAST, "--data_dir", numbers, "--class_names", file, "--save_dir", tmp_path / "two"]
    assert "from --class_names" in run_main(flags)
    assert checkpoint(tmp_path / "two")["classes"] == ["jump", "Öffnen", "wave hand"]


def test_a_class_without_a_training_video_is_named(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\n".join([*SORTED, "wink"]), encoding="utf-8")
    flags = [*FAST, "--data_dir", data, "--class_names", file, "--save_dir", tmp_path / "run"]
    assert "warning: 1 class has no training video and cannot be learned: wink" in run_main(flags)


def test_a_label_of_test_videos_only_is_an_error(tmp_path: Path) -> None:
    data = rename(make_data(tmp_path / "data"), OWN)
    edit_json(
        data / "gt.json",
        lambda c: c["database"]["video_test_0000003"]["annotations"][0].update(label="wink"),
    )
    flags = [*FAST, "--data_dir", data, "--save_dir", tmp_path / "run"]
    text = run_main(flags, status=2)
    assert "video_test_0000003 has the unknown label 'wink'" in text
    assert f"known labels are {', '.join(SORTED)} (the training videos); --ignore_labels" in text
    assert "evaluated: 4 videos, 3 instances" in run_main([*flags, "--ignore_labels", "wink"])


def test_the_second_stage_needs_the_same_classes(
    data: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    run, _ = trained
    start = ["--data_dir", data, "--ftcl", "--checkpoint", run / "custom_latest.pth"]
    flags = [*FAST, *start, "--save_dir", tmp_path / "ftcl"]
    run_main(flags)
    assert checkpoint(tmp_path / "ftcl")["classes"] == list(SORTED)

    file = tmp_path / "classes.txt"
    file.write_text("\n".join(reversed(SORTED)), encoding="utf-8")
    text = run_main([*flags, "--class_names", file], status=2)
    assert "another order (class 0 is jump there, Öffnen here)" in text
    file.write_text("\n".join(["jump", "wave hand", "wink", "Öffnen"]), encoding="utf-8")
    text = run_main([*flags, "--class_names", file], status=2)
    assert "was trained with other classes" in text
    assert "it does not have wink" in text
    with pytest.MonkeyPatch.context() as patch:  # a checkpoint of other classes, of their number
        patch.chdir(tmp_path)
        other = rename(make_data(tmp_path / "other", train=8), {**OWN, LABELS[1]: "wink"})
        text = run_main([*flags, "--data_dir", other], status=2)
    assert "other classes than gt.json: only the checkpoint has jump, it does not have wink" in text


def test_a_run_is_resumed_with_its_classes_only(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(SORTED), encoding="utf-8")
    flags = [*FAST, "--data_dir", data, "--class_names", file, "--save_dir", tmp_path / "run"]
    run_main(flags)
    flags += ["--resume", "--epochs", 2]
    file.write_text("\n".join(reversed(SORTED)), encoding="utf-8")
    text = run_main(flags, status=2)
    assert "classes: another order (class 0 is jump there, Öffnen here)" in text
    file.write_text("\n".join(SORTED), encoding="utf-8")
    assert "epoch    2" in run_main(flags)


def test_a_checkpoint_without_class_names_needs_their_list(
    data: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    content = {k: v for k, v in checkpoint(trained[0]).items() if k != "classes"}
    torch.save(content, tmp_path / "old.pth")
    test = ["--test", "--checkpoint", tmp_path / "old.pth", "--data_dir", data]
    assert "stores no class names; --class_names FILE" in run_main(test, status=2)
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(SORTED), encoding="utf-8")
    assert "evaluated: 4 videos, 4 instances" in run_main([*test, "--class_names", file])
    for damaged in (["jump", "jump", 5], ["jump", "\ud800"], ["jump", "wa\0ve"], []):
        torch.save({**content, "classes": damaged}, tmp_path / "old.pth")
        assert '"classes" is not a list of different class names' in run_main(test, status=2)


def test_one_class_is_enough(tmp_path: Path) -> None:
    data = rename(make_data(tmp_path / "data", train=4), dict.fromkeys(LABELS, "jump"))
    flags = [*FAST, "--data_dir", data, "--save_dir", tmp_path / "run"]
    assert "classes: 1 from gt.json: jump" in run_main(flags)
    assert checkpoint(tmp_path / "run")["classes"] == ["jump"]
    found = run_main(
        ["--test", "--checkpoint", tmp_path / "run" / "custom_latest.pth", "--data_dir", data]
    )
    assert "instances of 1 classes" in found
    text = run_main([*flags, "--ftcl"], status=2)
    assert "--ftcl needs pairs of training videos without a common label" in text


def test_checkpoints_of_named_data_sets_store_classes_too(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    flags = ["--without_wandb", "--device", "cpu", "--epochs", "1", "--data_dir", data]
    text = run_main([*flags, "--save_dir", tmp_path])
    assert "classes:" not in text  # as always
    content = torch.load(tmp_path / "THUMOS_latest.pth", weights_only=True)
    assert content["classes"] == list(THUMOS14.classes)


@pytest.mark.slow
def test_several_processes_train_on_the_classes_of_the_annotations(
    data: Path, tmp_path: Path
) -> None:
    flags = [*FAST, "--data_dir", data, "--save_dir", tmp_path]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "main_thu.py"]
    text = subprocess.run(
        [*start, *map(str, flags)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert text.count("classes: 3 from gt.json") == 1
    assert checkpoint(tmp_path)["classes"] == list(SORTED)


def test_which_classes_an_experiment_has(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("b\na\n")
    assert find_classes(make_config()).names == THUMOS14.classes
    assert find_classes(make_config(dataset="custom")).names == ()
    own = make_config(dataset="custom", class_names=str(names))
    assert find_classes(own).names == ("b", "a")
    # The file names labels that are numbers, where the data set has classes of its own.
    assert find_classes(make_config(class_names=str(names))).names == THUMOS14.classes
    test = make_config(dataset="custom", test=True, checkpoint="c.pth")
    assert find_classes(test, ("x", "y")) == (("x", "y"), "checkpoint c.pth")
    with pytest.raises(UserError, match="stores no class names"):
        find_classes(test)
    both = make_config(dataset="custom", test=True, checkpoint="c.pth", class_names=str(names))
    assert find_classes(both, ("b", "a")).names == ("b", "a")
    with pytest.raises(UserError, match="another order"):
        find_classes(both, ("a", "b"))


def test_differences_between_class_lists() -> None:
    assert not class_difference(["a", "b"], ("a", "b"))
    assert class_difference("ab", "ba") == "another order (class 0 is a there, b here)"
    assert class_difference("abc", "ab") == "only the checkpoint has c"
    assert class_difference("ab", "abcd") == "it does not have c, d"
    many = find_classes(make_config(dataset="ActivityNet13"))
    assert classes_line(many).startswith("classes: 200 from config/datasets.py: Applying")
    assert classes_line(many).endswith(" and 170 more")
