"""What wandb shows of a training run and of a test besides the metrics of every epoch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from config.model_config import Config
from record.wandb_names import MAIN_AVERAGE, wandb_name
from record.wandb_run import DrawImages, Table, WandbRun

LAST, BEST = "last", "best"


class WandbTraining:
    """The wandb run of a training, with its last and its best evaluated epoch.

    The summary contains the mAP of both as `last/...` and `best/...`, and at the end of the run the
    tables `classes/last` and `classes/best` are logged.

    Args:
        run: The run.
        best: The best epoch of the training that is continued, see `state`.
    """

    def __init__(self, run: WandbRun, best: Mapping[str, Any] | None = None) -> None:
        self.run = run
        self.evaluated: dict[str, dict[str, Any]] = (
            {BEST: dict(best)} if isinstance(best, Mapping) else {}
        )
        self.epoch = 0

    def end_epoch(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        score: tuple[str, float] | None = None,
        table: Table | None = None,
        *,
        is_best: bool = False,
    ) -> None:
        """Logs an epoch.

        Args:
            epoch: Number of the epoch.
            metrics: Values by their name in metrics.jsonl.
            score: Name and value of the main metric; None if the epoch was not evaluated.
            table: Average precision of each class.
            is_best: Whether it is the best epoch so far.
        """
        self.epoch = epoch
        self.run.log(epoch, metrics, score)
        if not score:
            return
        content = {
            "epoch": epoch,
            "metrics": {**_mean_precisions(metrics), MAIN_AVERAGE: float(score[1])},
            "columns": list(table.columns) if table else [],
            "rows": [list(row) for row in table.rows] if table else [],
        }
        self.evaluated[LAST] = content
        if is_best:
            self.evaluated[BEST] = content
        for which, of in self.evaluated.items():
            values = {f"{which}/{name}": value for name, value in of["metrics"].items()}
            self.run.summarize({f"{which}/epoch": of["epoch"], **values})

    def state(self) -> dict[str, Any]:
        """What a continued run needs: plain values for the checkpoint."""
        return {"wandb": self.run.run_id, "wandb_best": self.evaluated.get(BEST)}

    def finish(self, exit_code: int = 0) -> None:
        """Logs the tables of the last and the best epoch, and ends the run."""
        for which, of in self.evaluated.items():
            if self.epoch and of["rows"]:
                self.run.log_table(f"classes/{which}", self.epoch, Table(of["columns"], of["rows"]))
        self.run.finish(exit_code)

    def log_checkpoint(self, path: Path, best: Mapping[str, Any]) -> None:
        """Stores the best checkpoint as an artifact.

        Args:
            path: The checkpoint.
            best: Its epoch and name and value of its main metric; epoch 0 if none was evaluated, so
                that it is the last one.
        """
        about = dict(best) if best["epoch"] else {"epoch": self.epoch}
        self.run.log_artifact(
            "checkpoint", "model", [path], about, [BEST if best["epoch"] else LAST]
        )


def log_test(
    config: Config,
    folder: Path,
    settings: Mapping[str, Any],
    epoch: int,
    metrics: Mapping[str, float],
    score: tuple[str, float],
    table: Table,
    draw: DrawImages,
    artifacts: Mapping[str, Iterable[Path]],
) -> None:
    """Logs the test of a checkpoint as a run of its own, with the job type "test".

    Args:
        config: Names, tags and switches of the run.
        folder: Directory in which wandb keeps its files.
        settings: Settings and data of the test.
        epoch: Epoch of the checkpoint.
        metrics: Values by their name in metrics.jsonl.
        score: Name and value of the main metric.
        table: Average precision of each class.
        draw: Draws the timelines of some videos, unless `--wandb_timelines` is 0.
        artifacts: Files and folders to store with `--wandb_artifacts`, by the kind of artifact.
    """
    names = (config.wandb_project, config.group, config.model_name)
    run = WandbRun(folder, settings, *names, tags=config.wandb_tags, job_type="test")
    run.log(epoch, metrics, score)
    run.log_table("classes/test", epoch, table)
    if config.wandb_timelines:
        run.log_timelines(epoch, draw)
    about = {"epoch": epoch, "name": score[0], "score": score[1]}
    for kind, paths in artifacts.items() if config.wandb_artifacts else ():
        run.log_artifact(kind, kind, paths, about)
    run.finish()


def _mean_precisions(metrics: Mapping[str, float]) -> dict[str, float]:
    """The mAP among the metrics, by its name in wandb."""
    names = {wandb_name(name): value for name, value in metrics.items()}
    return {name: float(value) for name, value in names.items() if name.startswith("mAP/")}
