"""The edits of docs/EXTENDING.md, made in a copy of the repository, are all that is needed."""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.data_folder import LABELS, make_data

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "EXTENDING.md").read_text(encoding="utf-8")
# Title -> text of each section.
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EDIT = re.compile(r"`([\w/]+\.py)`:\n\n```(diff|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python main_thu\.py (.*)$", re.MULTILINE)
PACKAGES = ("config", "dataset", "eval", "models", "record", "utils")
Extend = Callable[..., str]


def changed(text: str, diff: str) -> str:
    """The text with the hunks of a diff applied, each of which fits exactly one place."""
    for hunk in diff.split("\n@@\n"):
        lines = [line or " " for line in hunk.rstrip("\n").split("\n")]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
        assert text.count(before) == 1, f"not exactly one place for:\n{hunk}"
        text = text.replace(before, after)
    return text


def make_edits(section: str, copy: Path) -> list[Path]:
    """Makes the edits of a section in a copy of the repository; returns the edited files."""
    edits = EDIT.findall(SECTIONS[section])
    assert len(edits) == SECTIONS[section].count("```diff") + SECTIONS[section].count("```python")
    for name, kind, text in edits:
        path = copy / name
        assert path.exists() == (kind == "diff"), name
        path.write_text(changed(path.read_text(), text) if kind == "diff" else text)
    return [copy / name for name, _, _ in edits]


def copy_program(target: Path) -> None:
    """Copies the program, without tests and documents."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, target / package, ignore=ignored)
    for path in [*ROOT.glob("*.py"), ROOT / "pyproject.toml"]:
        shutil.copy(path, target)


def check_style(copy: Path, edited: list[Path]) -> None:
    """Checks that `make lint` would accept the edited files."""
    for check in (["check", "--quiet"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, *map(str, edited)]
        linted = subprocess.run(ruff, cwd=copy, capture_output=True, text=True)
        assert linted.returncode == 0, linted.stdout + linted.stderr


@contextmanager
def imports_from(copy: Path) -> Iterator[None]:
    """Imports the modules of the program from a copy; a new process would import torch anew."""
    own = {*PACKAGES, *(path.stem for path in ROOT.glob("*.py"))}

    def forget() -> dict[str, ModuleType]:
        names = [name for name in sys.modules if name.partition(".")[0] in own]
        return {name: sys.modules.pop(name) for name in names}

    before = forget()
    sys.path.insert(0, str(copy))
    importlib.invalidate_caches()
    try:
        yield
        assert Path(sys.modules["experiment"].__file__ or "").parent == copy
    finally:
        sys.path.remove(str(copy))
        forget()
        sys.modules.update(before)


@pytest.fixture
def extend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Extend:
    """Makes the edits of a section and runs its commands on the data set in `data`."""

    def run(section: str, *first: str) -> str:
        """Returns the output; the runs with the flags in `first` come first."""
        copy = tmp_path / "copy"
        copy.mkdir()
        copy_program(copy)
        check_style(copy, make_edits(section, copy))
        commands = [*first, *COMMAND.findall(SECTIONS[section])]
        with imports_from(copy):
            main = importlib.import_module("main_thu").main
            for words in map(shlex.split, commands):
                monkeypatch.setattr(sys, "argv", ["main_thu.py", *small(words, tmp_path / "data")])
                main()
        return capsys.readouterr().out

    return run


def small(words: list[str], data: Path) -> list[str]:
    """The flags of a command of the page, for one epoch on the small data set."""
    if "--test" in words:
        checkpoint = data / words[words.index("--checkpoint") + 1].split("/", 2)[2]
        return [*words, "--checkpoint", str(checkpoint), "--data_dir", str(data)]
    sizes = ["--num_snippets", "24", "--epochs", "1", "--without_wandb"]
    # A command that names a data directory is one on data of another form.
    place = data.with_name("other") if "--data_dir" in words else data
    return [*words, *sizes, "--data_dir", str(place), "--device", "cpu"]


def metrics_of(folder: Path) -> dict[str, Any]:
    """The metrics of the only epoch of a run."""
    (line,) = (folder / "metrics.jsonl").read_text().splitlines()
    metrics: dict[str, Any] = json.loads(line)
    return metrics


def test_the_page_has_these_sections() -> None:
    assert list(SECTIONS) == ["A data set", "A feature layout", "A loss term", "A network"]


def test_a_data_set(extend: Extend, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    text = (data / "gt.json").read_text()
    for label, name in zip(LABELS, ("Hurdles", "Javelin", "Shot put"), strict=True):
        text = text.replace(label, name)
    (data / "gt.json").write_text(text.replace('"train"', '"training"'))
    printed = extend("A data set")
    run = data / "save" / "baseline" / "acmnet"
    assert "average mAP %   .1-.5: " in printed
    assert "mAP .3-.7" in printed  # the main average
    assert json.loads((run / "config.json").read_text())["frames_per_second"] == 30
    predictions = json.loads((run / "Sports_latest_predictions.json").read_text())
    labels = {row["label"] for rows in predictions["results"].values() for row in rows}
    assert labels <= {"Hurdles", "Javelin", "Shot put"}
    report = json.loads((run / "Sports_latest_report" / "report.json").read_text())
    assert report["headline"]["average"] == ".3-.7"
    assert "over 5 to 10 s" in report["errors"]["missed_by_length"]


def test_a_feature_layout(extend: Extend, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    other = shutil.copytree(data, tmp_path / "other")
    for split in ("train", "test"):
        for path in list((other / split).glob("*.npy")):
            (other / split / path.stem).mkdir()
            path.rename(other / split / path.stem / "i3d.npy")
    mapped = "--data_dir other --model_name mapped --feature_memory 0"
    extend("A feature layout", "--model_name acmnet", mapped)
    expected = metrics_of(data / "save" / "baseline" / "acmnet")
    for name in ("acmnet", "mapped"):
        found = metrics_of(other / "save" / "baseline" / name)
        assert {k: v for k, v in found.items() if not k.startswith("seconds")} == {
            k: v for k, v in expected.items() if not k.startswith("seconds")
        }


def test_a_loss_term(extend: Extend, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    extend("A loss term", "--model_name without")
    without, smooth = (
        metrics_of(data / "save" / "baseline" / name) for name in ("without", "acmnet")
    )
    assert smooth["loss/smooth"] > 0
    assert smooth["weighted/smooth"] == pytest.approx(1e-4 * smooth["loss/smooth"])
    assert "loss/smooth" not in without
    assert without["loss/total"] != smooth["loss/total"]


def test_a_network(extend: Extend, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    printed = extend("A network")
    run = data / "save" / "baseline" / "attention"
    losses = {name for name in metrics_of(run) if name.startswith("loss/")}
    assert losses == {"loss/instance", "loss/sparse", "loss/total"}
    assert printed.count("average mAP %") == 2
    assert (run / "THUMOS_latest_predictions.json").exists()
