"""A wandb run whose problems never stop the training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.errors import first_line


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
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        project: str,
        group: str,
        name: str,
        run_id: str | None = None,
    ) -> None:
        self.run: Any = None
        self.run_id = run_id
        try:
            import wandb
        except ImportError:
            _print("wandb is not installed (pip install wandb); metrics.jsonl contains all values")
            return
        arguments = {
            "project": project,
            "group": group,
            "name": name,
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

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch."""
        self._try(lambda run: run.log(dict(metrics), step=epoch))

    def finish(self, exit_code: int = 0) -> None:
        """Ends the run; if it was offline, prints how to upload it later."""
        run = self.run
        self._try(lambda run: run.finish(exit_code=exit_code))
        if self.run is not None and run.settings.mode == "offline":
            _print(f"to upload this run to wandb later: wandb sync {Path(run.dir).parent}")

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
        _print(
            f"wandb failed ({_short(error)}); training continues, metrics.jsonl contains all values"
        )
        self.run = None


def _print(message: str) -> None:
    tqdm.write(message)  # not print: there may be a progress bar


def _short(error: Exception) -> str:
    return first_line(error, 150)
