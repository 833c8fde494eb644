"""What a run writes into its directory (config.json, metrics.jsonl, checkpoints) and to wandb."""

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor
from tqdm import tqdm

from config.model_config import Config
from dataset.dataset import Dataset
from record.checkpoint import save_checkpoint
from record.environment import describe_environment
from record.resume import settings_and_data
from record.wandb_logs import WandbTraining
from record.wandb_run import DrawImages, Table, WandbRun
from utils.distributed import Processes
from utils.errors import UserError
from utils.files import append_line, remove_leftovers, write_json, write_text
from utils.interrupts import interrupts_wait


def open_run_log(
    config: Config, data: Dataset, processes: Processes, state: Mapping[str, Any] | None
) -> "RunLog | None":
    """Opens the log of a run in the main process; None in the others.

    Args:
        config: Settings of the run.
        data: Its data.
        processes: Called by all of them.
        state: Training state the run is resumed from (`record.resume.resume_state`).

    Raises:
        UserError: If the run directory cannot be written.
    """
    log = None
    if processes.is_main:
        log = RunLog(
            config.run_dir,
            config.dataset,
            settings_and_data(config, data),
            about={**describe_environment(), "processes": processes.world_size},
            resumed=state,
            resuming=config.resume,
            checkpoint_seconds=config.checkpoint_seconds,
            wandb_project=None if config.without_wandb else config.wandb_project,
            wandb_group=config.group,
            wandb_name=config.model_name,
            wandb_tags=config.wandb_tags,
            wandb_artifacts=config.wandb_artifacts,
        )
    processes.barrier()
    return log


class RunLog:
    """Logs a run epoch by epoch; a context manager, so that Ctrl-C loses no finished epoch.

    If no epoch was evaluated, the best checkpoint is that of the last epoch.

    Args:
        run_dir: Run directory. Unless the run is resumed, the files of an earlier run in it are
            moved to its subdirectory `earlier-1`, `earlier-2`, ...
        prefix: Prefix of the checkpoint files `<prefix>_latest.pth` and `<prefix>_best.pth`.
        config: Settings of the run as plain values.
        about: Further content of config.json, such as package versions.
        resumed: Training state the run is resumed from.
        resuming: Whether this run continues the one in the directory.
        checkpoint_seconds: Minimum time between two writes of `latest`; 0 writes it every epoch.
        wandb_project, wandb_group, wandb_name: Names in wandb; without a project, wandb is unused.
        wandb_tags: Tags in wandb.
        wandb_artifacts: Whether wandb stores the best checkpoint at the end of the run.

    Raises:
        UserError: If the run directory cannot be written.
    """

    def __init__(
        self,
        run_dir: Path,
        prefix: str,
        config: Mapping[str, Any],
        *,
        about: Mapping[str, Any] | None = None,
        resumed: Mapping[str, Any] | None = None,
        resuming: bool = False,
        checkpoint_seconds: float = 0.0,
        wandb_project: str | None,
        wandb_group: str,
        wandb_name: str,
        wandb_tags: Iterable[str] = (),
        wandb_artifacts: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self.latest = run_dir / f"{prefix}_latest.pth"
        self.best_file = run_dir / f"{prefix}_best.pth"
        self.metrics = run_dir / "metrics.jsonl"
        self.config = dict(config)
        self.checkpoint_seconds = checkpoint_seconds
        self.saved_at = time.monotonic()
        self.unsaved: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self.best: dict[str, Any] = {"name": "", "score": -math.inf, "epoch": 0}
        self.shown_warnings: set[str] = set()
        remove_leftovers(run_dir)
        if resumed:
            self.best = dict(resumed["best"])
        if resuming:
            self._cut_metrics(resumed["epoch"] if resumed else 0)
        else:
            settings = run_dir / "config.json"
            _move_earlier_run(run_dir, [self.latest, self.best_file, self.metrics, settings])
        write_json(run_dir / "config.json", {**config, **(about or {})}, indent=2)
        self.wandb: WandbTraining | None = None
        self.wandb_artifacts = wandb_artifacts
        if wandb_project:
            before = resumed or {}
            names = (wandb_project, wandb_group, wandb_name, before.get("wandb"))
            run = WandbRun(run_dir, config, *names, tags=wandb_tags)
            self.wandb = WandbTraining(run, before.get("wandb_best"))

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Saves the last finished epoch, whatever ended the run, and prints where to find it."""
        try:
            with interrupts_wait(act=kind is None):
                self._save_latest()
                if kind is None and self.last and not self.best["epoch"]:
                    save_checkpoint(self.best_file, self.last)  # the weights have not changed since
            if kind is KeyboardInterrupt:
                print(
                    "stopped; continue with the same command and --resume "
                    f"(run directory: {self.run_dir})"
                )
        finally:
            if self.wandb:
                if kind is None and self.wandb_artifacts:
                    self.wandb.log_checkpoint(self.best_file, self.best)
                self.wandb.finish(0 if kind is None else 1)
        if kind is None:
            print(f"checkpoints and metrics: {self.run_dir}")
            if self.best["epoch"]:
                name, score, epoch = self.best["name"], self.best["score"], self.best["epoch"]
                print(f"best epoch on the test videos: {epoch}, mAP {name} {score:.2f} %")
            elif self.last:
                print(f"no epoch was evaluated: {self.best_file.name} is the last one")

    def end_epoch(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        score: tuple[str, float] | None,
        model_state: Mapping[str, Any],
        training_state: Mapping[str, Any],
        warnings: Iterable[str] = (),
        *,
        table: Table | None = None,
        draw: DrawImages | None = None,
    ) -> None:
        """Logs an epoch and saves checkpoints.

        Args:
            epoch: Number of the epoch, from 1.
            metrics: Values by name; values that are not finite are logged as null.
            score: Name and value of the main metric, by which the best epoch is chosen; None if the
                epoch was not evaluated.
            model_state: What a checkpoint needs for evaluation, including `model_state_dict`.
            training_state: What `latest` needs in addition, to resume from it.
            warnings: Warnings about this epoch; each is printed only once per run.
            table: Average precision of each class, for wandb.
            draw: Draws the timelines of some videos for wandb; None in most epochs.
        """
        is_best = score is not None and score[1] > self.best["score"]
        if self.wandb:
            self.wandb.end_epoch(epoch, metrics, score, table, is_best=is_best)
        wandb_state = self.wandb.state() if self.wandb else {"wandb": None}
        values = {name: v if math.isfinite(v) else None for name, v in metrics.items()}
        content = {"epoch": epoch, **model_state, "config": self.config}
        self.last = content
        with interrupts_wait():  # every logged epoch must also be in a checkpoint
            append_line(self.metrics, json.dumps({"epoch": epoch, **values}))
            if score and is_best:
                self.best = {"name": score[0], "score": score[1], "epoch": epoch}
                save_checkpoint(self.best_file, content)
            self.unsaved = {**content, **training_state, "best": self.best, **wandb_state}
            if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
                self._save_latest()
            else:  # training will change these tensors: keep copies
                self.unsaved = _copied(self.unsaved)
            self._print(epoch, metrics, score, warnings)
        if self.wandb and draw:  # takes long enough for Ctrl-C, so the epoch is saved before
            self.wandb.run.log_timelines(epoch, draw)

    def _save_latest(self) -> None:
        if self.unsaved is not None:
            save_checkpoint(self.latest, self.unsaved)
            self.unsaved = None
            self.saved_at = time.monotonic()

    def _cut_metrics(self, epoch: int) -> None:
        """Drops what was logged after the checkpoint, including an incomplete last line."""
        kept = []
        text = (
            self.metrics.read_text(encoding="utf-8", errors="replace")
            if self.metrics.exists()
            else ""
        )
        for line in text.splitlines():
            try:
                if json.loads(line)["epoch"] <= epoch:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                break
        write_text(self.metrics, "".join(kept))

    def _print(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        score: tuple[str, float] | None,
        warnings: Iterable[str],
    ) -> None:
        """Prints one line for the epoch, and the warnings not printed before."""
        line = f"epoch {epoch:4d}   loss {metrics.get('loss/total', math.nan):9.4f}"
        if score:
            line += f"   mAP {score[0]} {score[1]:6.2f} %   best {self.best['score']:6.2f} %"
        skipped = sum(v for name, v in metrics.items() if name.startswith("skipped steps/"))
        if skipped:
            line += f"   {skipped:g} steps skipped: the loss was not finite"
        tqdm.write(line)  # not print: there may be a progress bar
        for warning in dict.fromkeys(warnings):
            if warning not in self.shown_warnings:
                self.shown_warnings.add(warning)
                tqdm.write(f"warning: {warning}")


def _copied(value: Any) -> Any:
    """The same structure with copies of its tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _move_earlier_run(run_dir: Path, files: list[Path]) -> None:
    """Moves the files of an earlier run in the directory aside, so that nothing is lost."""
    present = [file for file in files if file.exists()]
    if not present:
        return
    number = 1
    while (run_dir / f"earlier-{number}").exists():
        number += 1
    earlier = run_dir / f"earlier-{number}"
    try:
        earlier.mkdir()
        for file in present:
            file.rename(earlier / file.name)
    except OSError as error:
        raise UserError(
            f"cannot write {run_dir}: {error.strerror}; choose another --save_dir or --model_name"
        ) from error
    print(f"{run_dir} already contained a run; it was moved to {earlier}")
