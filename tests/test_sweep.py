"""The sweep file: valid for the program and for wandb, and two runs of it started offline."""

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.data_folder import make_data
from tests.program import run_main
from tools import sweep as tool
from tools.sweep import ROOT, checked_config, is_complete
from tools.sweep_file import Parameter, draw_values, read_sweep, run_command
from utils.errors import UserError

FILE = ROOT / "config" / "sweep.yaml"

pytest.importorskip("yaml")


def test_every_value_of_the_sweep_file_is_valid() -> None:
    sweep = read_sweep(FILE)
    for values in draw_values(sweep.parameters, "random", 50, seed=1):
        config = checked_config(sweep, values, ["--epochs", "2"])
        assert config.ftcl
        assert (config.lr, config.lcs_threshold) == (values["lr"], values["thres"])
        assert config.resample_pairs is values["resample_pairs"]
        assert config.epochs == 2


def test_the_command_of_a_run_is_that_of_the_wandb_agent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agent of wandb starts runs of the same file; the process it would start is caught."""
    wandb = pytest.importorskip("wandb")
    from wandb import wandb_agent
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    from record.wandb_run import WandbRun
    from tests.wandb_file import OfflineRun

    started: list[dict[str, Any]] = []

    def catch(**process: Any) -> SimpleNamespace:
        started.append(process)
        return SimpleNamespace()

    monkeypatch.setattr(wandb_agent, "AgentProcess", catch)
    monkeypatch.chdir(tmp_path)  # the agent leaves a file with the values there
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # the agent sets them
        monkeypatch.setenv(name, "earlier")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    sweep, content = read_sweep(FILE), load_sweep_config(str(FILE))
    assert content is not None
    agent: Any = SimpleNamespace(
        _in_jupyter=False,
        _function=None,
        _forward_signals=False,
        _run_processes={},
        _sweep_command=content["command"],
    )
    (values,) = draw_values(sweep.parameters, "random", 1, seed=0)
    values["resample_pairs"] = False
    job = {
        "run_id": "abc123",
        "program": content["program"],
        "args": {name: {"value": value} for name, value in values.items()},
    }
    wandb_agent.Agent._command_run(agent, job)
    (process,) = started
    assert process["command"] == run_command(sweep, values, "python")
    shown = ["echo" if part == "python" else part for part in process["command"]]
    printed = subprocess.run(shown, env=process["env"], capture_output=True, text=True).stdout
    program, *flags = printed.split()
    assert program == "main_thu.py"
    assert flags[:2] == ["--model_name", "sweep-abc123"]
    assert "--ftcl" in flags
    assert f"--lr={values['lr']}" in flags
    assert not any(flag.startswith("--resample_pairs") for flag in flags)

    wandb.teardown()  # the settings of the environment are read again
    run = WandbRun(tmp_path, {"lr": values["lr"]}, "p", "sweep", "sweep-abc123")
    run.finish()
    wandb.teardown()
    about = OfflineRun(tmp_path).about
    assert (about.run_id, about.sweep_id) == ("abc123", "sweep1")


@pytest.mark.parametrize(
    ("parameter", "inside"),
    [
        (Parameter("categorical", (3, 5)), lambda value: value in (3, 5)),
        (Parameter("uniform", (), 0.85, 0.98), lambda value: 0.85 <= value <= 0.98),
        (Parameter("int_uniform", (), 2, 5), lambda value: value in (2, 3, 4, 5)),
        (Parameter("log_uniform_values", (), 1e-5, 1e-3), lambda value: 1e-5 <= value <= 1e-3),
    ],
)
def test_values_are_drawn_within_their_range(
    parameter: Parameter, inside: Callable[[Any], bool]
) -> None:
    drawn = [parameter.draw(random.Random(seed)) for seed in range(200)]
    assert all(map(inside, drawn))
    assert len(set(drawn)) > 1


def test_a_logarithmic_range_has_as_many_small_values_as_large_ones() -> None:
    generator = random.Random(0)
    parameter = Parameter("log_uniform_values", (), 1e-5, 1e-3)
    below = sum(parameter.draw(generator) < 1e-4 for _ in range(2000))
    assert 900 < below < 1100


def test_the_seed_decides_and_more_runs_do_not_change_the_first_ones() -> None:
    parameters = read_sweep(FILE).parameters
    first = draw_values(parameters, "random", 3, seed=4)
    assert draw_values(parameters, "random", 5, seed=4)[:3] == first
    assert draw_values(parameters, "random", 3, seed=5) != first


def test_a_grid_has_all_combinations() -> None:
    parameters = {"a": Parameter("categorical", (1, 2)), "b": Parameter("categorical", ("x", "y"))}
    grid = draw_values(parameters, "grid", 10, seed=0)
    assert [(v["a"], v["b"]) for v in grid] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert draw_values(parameters, "grid", 3, seed=0) == grid[:3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("method: grid", "has no parameters"),
        ("parameters: {learning_rate: {value: 1}}", "'learning_rate': no flag of the program"),
        ("parameters: {lr: 0.1}", "parameter lr: 0.1; wanted distribution, max, min"),
        ("parameters: {lr: {values: 3}}", "values 3; wanted a list"),
        ("parameters: {lr: {min: 1e-4, max: 1}}", "1.0e-4, since 1e-4 is text"),
        ("parameters: {lr: {min: 2.0, max: 1.0}}", "min 2.0, max 1.0; wanted min < max"),
        (
            "parameters: {lr: {distribution: log_uniform_values, min: 0, max: 1}}",
            "wanted 0 < min < max",
        ),
        (
            "parameters: {lr: {distribution: beta, min: 0, max: 1}}",
            "distribution 'beta'; drawn here are uniform",
        ),
    ],
)
def test_wrong_sweep_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_sweep(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("method", "message"), [("bayes", "wandb server"), ("grid", "has a range")]
)
def test_what_cannot_be_drawn_here_is_an_error(method: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw_values({"lr": Parameter("uniform", (), 0, 1)}, method, 2, seed=0)


def run_tool(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tools/sweep.py", *map(str, arguments)])
    try:
        tool.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def start_here(arguments: Sequence[str], log: Path) -> int:
    """Runs the command in this process, which need not import everything again."""
    wandb = pytest.importorskip("wandb")
    flags = arguments[arguments.index(sys.executable) + 1 :]
    name = f"{number_of(log)}{number_of(log)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_RUN_ID", name)
        wandb.teardown()
        log.write_text(run_main(["--model_name", f"sweep-{name}", *flags]))
        wandb.teardown()
    return 0


def number_of(log: Path) -> str:
    return log.stem.removeprefix("run-")


@pytest.mark.parametrize("own_processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_runs_of_the_sweep_file_offline(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_processes: bool,
) -> None:
    """The command of docs/WANDB.md on a small data set."""
    pytest.importorskip("wandb")
    if not own_processes:
        monkeypatch.setattr(tool, "start", start_here)
    from tests.wandb_file import OfflineRun

    data, output = make_data(tmp_path / "data", train=8, test=4), tmp_path / "sweep"
    size = ["--data_dir", data, "--num_snippets", 24, "--device", "cpu"]
    run_main([*size, "--epochs", 1, "--without_wandb", "--save_dir", tmp_path / "acm"])
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    start = ["--checkpoint", tmp_path / "acm" / "THUMOS_latest.pth", "--fc_dim", 8, "--epochs", 2]
    flags = [*size, *start, "--pairs_per_epoch", 8, "--wandb_timelines", 0]
    arguments = ["--runs", 2, "--seed", 3, "--output", output, "--flags", *flags]
    capsys.readouterr()
    assert run_tool(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    parameters = read_sweep(FILE).without({"checkpoint"})
    draws = draw_values(parameters, "random", 2, seed=3)
    names = set()
    for number, values in enumerate(draws, 1):
        run = OfflineRun(output / f"run-{number}")
        assert {name: run.config[name] for name in values} == values
        assert run.about.run_group == "sweep"
        assert run.about.display_name == f"sweep-{run.about.run_id}"
        assert "mAP/average" in run.summary
        names.add(run.about.display_name)
    assert len(names) == 2
    table = pd.read_csv(output / "sweep.csv", index_col=0)
    assert set(table.index) == {"run-1", "run-2"}
    assert table.loc["run-2", "lr"] == draws[1]["lr"]
    assert table["average .1-.7"].is_monotonic_decreasing
    assert "run 2 of 2: " in printed
    assert "average .1-.7" in printed

    assert run_tool(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out.count("finished before") == 2
    config = checked_config(read_sweep(FILE), draws[0], [*map(str, flags), "--lr", "0.5"])
    assert not is_complete(config, output / "run-1")


def test_a_failed_run_is_reported_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str], log: Path) -> int:
        log.write_text("computing on CPU\nmain_thu.py: error: the disk is full\n")
        return 2

    monkeypatch.setattr(tool, "start", fail)
    assert run_tool(monkeypatch, "--runs", 2, "--output", tmp_path / "sweep") == 2
    captured = capsys.readouterr()
    assert captured.out.count("failed with status 2") == 2
    assert "main_thu.py: error: the disk is full" in captured.out
    assert "no run of the sweep succeeded" in captured.err


def test_wrong_flags_are_reported_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "sweep"
    for flags, message in (
        (["--thres", "3"], "--thres 3.0: must be"),
        (["--save_dir", "x"], "--output names the directory"),
    ):
        assert run_tool(monkeypatch, "--output", output, "--flags", *flags) == 2
        assert message in capsys.readouterr().err
    assert not output.exists()
