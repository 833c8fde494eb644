"""A wandb run whose problems never stop the training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from record.wandb_names import MAIN_AVERAGE, image_name, wandb_name
from utils.errors import first_line

DrawImages = Callable[[], Mapping[str, NDArray[np.uint8]]]  # (height, width, 3) by video


class Table(NamedTuple):
    """A table of plain values, such as the average precision of each class.

    Attributes:
        columns: Names of the columns.
        rows: Rows of text, numbers and None.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class WandbRun:
    """A run in wandb: online if an API key and the network are available, otherwise offline.

    A problem (no package, no key, no network, a crash) is printed once and otherwise ignored.

    Args:
        folder: Run directory; wandb keeps its files in its subdirectory `wandb`.
        config: Settings of the run.
        project: Project in wandb.
        group: Group of runs in the project.
        name: Display name of the run.
        run_id: Identifier of the wandb run to continue; None for a new one.
        tags: Tags of the run.
        job_type: Kind of the run: "train" or "test".
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        project: str,
        group: str,
        name: str,
        run_id: str | None = None,
        *,
        tags: Iterable[str] = (),
        job_type: str = "train",
    ) -> None:
        self.run: Any = None
        self.run_id = run_id
        self.main_metric = ""
        try:
            import wandb
        except ImportError:
            _print("wandb is not installed (pip install wandb); metrics.jsonl contains all values")
            return
        arguments = {
            "project": project,
            "group": group,
            "name": name,
            "tags": tuple(tags),
            "job_type": job_type,
            "dir": str(folder),
            "config": dict(config),
            "settings": wandb.Settings(console="off", init_timeout=20, silent=True),
        }
        if run_id:
            arguments |= {"id": run_id, "resume": "allow"}
        try:
            self.run = self._start(wandb, arguments)
            self.run_id = self.run.id
        except Exception as error:  # many types, none of which may stop the training
            self._give_up(error)
        self._try(lambda run: run.define_metric("epoch", hidden=True))
        self._try(lambda run: run.define_metric("*", step_metric="epoch"))

    def log(
        self, epoch: int, metrics: Mapping[str, float], score: tuple[str, float] | None = None
    ) -> None:
        """Logs the metrics of an epoch.

        Args:
            epoch: Number of the epoch.
            metrics: Values by their name in metrics.jsonl.
            score: Name and value of the main metric, also logged as `mAP/average`.
        """
        values = {"epoch": epoch, **{wandb_name(name): v for name, v in metrics.items()}}
        if score:
            values[MAIN_AVERAGE] = score[1]
            self._define_main_metric(wandb_name(f"average {score[0]}"))
        self._try(lambda run: run.log(values, step=epoch))

    def log_table(self, name: str, epoch: int, table: Table) -> None:
        """Logs a table."""

        def action(run: Any) -> None:
            import wandb

            rows: list[Iterable[Any]] = [list(row) for row in table.rows]
            content = wandb.Table(columns=list(table.columns), data=rows)
            run.log({name: content}, step=epoch)

        self._try(action)

    def log_timelines(self, epoch: int, draw: DrawImages) -> None:
        """Draws the timelines of some videos and logs them; a problem of drawing is printed."""
        if self.run is None:
            return
        try:
            images = draw()
        except Exception as error:  # must not stop the training, nor the rest of the log
            _print(f"warning: no timelines in wandb, drawing them failed: {_short(error)}")
            return

        def action(run: Any) -> None:
            import wandb

            values = {
                image_name(number, video): wandb.Image(pixels, caption=f"{video}, epoch {epoch}")
                for number, (video, pixels) in enumerate(images.items(), 1)
            }
            run.log(values, step=epoch)

        self._try(action)

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Sets values of the summary of the run."""
        self._try(lambda run: run.summary.update(dict(values)))

    def log_artifact(
        self,
        name: str,
        kind: str,
        paths: Iterable[Path],
        metadata: Mapping[str, Any],
        aliases: Sequence[str] = (),
    ) -> None:
        """Stores files and folders as an artifact.

        Args:
            name: Beginning of its name, which ends with the identifier of the run.
            kind: Type of the artifact, such as "model".
            paths: Files and folders; a folder keeps its name.
            metadata: What is to be known about them, plain values.
            aliases: Aliases besides "latest".
        """

        def action(run: Any) -> None:
            import wandb

            artifact = wandb.Artifact(f"{name}-{run.id}", kind, metadata=dict(metadata))
            for path in paths:
                if path.is_dir():
                    artifact.add_dir(str(path), name=path.name)
                else:
                    artifact.add_file(str(path))
            run.log_artifact(artifact, aliases=[*aliases, "latest"])

        self._try(action)

    def finish(self, exit_code: int = 0) -> None:
        """Ends the run; if it was offline, prints how to upload it later."""
        run = self.run
        self._try(lambda run: run.finish(exit_code=exit_code))
        if self.run is not None and run.settings.mode == "offline":
            _print(f"to upload this run to wandb later: wandb sync {Path(run.dir).parent}")

    def _define_main_metric(self, name: str) -> None:
        """Shows the largest value of the main metric in the summary, besides the last."""
        if name != self.main_metric:
            self.main_metric = name
            self._try(lambda run: run.define_metric(name, step_metric="epoch", summary="max,last"))

    def _start(self, wandb: Any, arguments: dict[str, Any]) -> Any:
        chosen = wandb.setup().settings.mode
        if chosen in ("offline", "disabled"):  # chosen by the user: WANDB_MODE or `wandb offline`
            return wandb.init(**arguments)
        # prompt=False: training must not wait for input.
        if not wandb.login(prompt=False, verify=False):
            _print("wandb has no API key, so this run is logged offline; `wandb login` stores one")
            return wandb.init(**arguments, mode="offline")
        try:
            return wandb.init(**arguments)
        except Exception as error:
            _print(f"wandb cannot be reached ({_short(error)}), so this run is logged offline")
            return wandb.init(**arguments, mode="offline")

    def _try(self, action: Callable[[Any], object]) -> None:
        if self.run is None:
            return
        try:
            action(self.run)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        message = f"wandb failed ({_short(error)}); this run continues without it"
        _print(f"{message}, and its directory contains all values")
        self.run = None


def _print(message: str) -> None:
    tqdm.write(message)  # not print: there may be a progress bar


def _short(error: Exception) -> str:
    return first_line(error, 150)
