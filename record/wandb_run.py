"""A wandb run that never stops a training, whatever happens to wandb."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm


class WandbRun:
    """One run in wandb: online if a key and the network are there, else offline.

    Trouble (no package, no key, no network, a crash) is said once and otherwise ignored.

    Args:
        folder: wandb keeps its files in `<folder>/wandb`.
        config: settings of the run.
        project, group, name: of the run.
        run_id: of the run to continue; None for a new one.
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
            _say("wandb is not installed (pip install wandb); metrics.jsonl has every value")
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
        except Exception as error:  # of many kinds, none of which may stop a training
            self._give_up(error)

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Sends the metrics of an epoch."""
        self._try(lambda run: run.log(dict(metrics), step=epoch))

    def finish(self, exit_code: int = 0) -> None:
        """Ends the run; says how to sync it later if it was offline."""
        run = self.run
        self._try(lambda run: run.finish(exit_code=exit_code))
        if self.run is not None and run.settings.mode == "offline":
            _say(f"to send this run to wandb later: wandb sync {Path(run.dir).parent}")

    def _start(self, wandb: Any, arguments: dict[str, Any]) -> Any:
        chosen = wandb.setup().settings.mode
        if chosen in ("offline", "disabled"):  # the user's wish, by WANDB_MODE or `wandb offline`
            return wandb.init(**arguments)
        # prompt=False: a run must not wait for somebody to type a key.
        if not wandb.login(prompt=False, verify=False):
            _say("wandb has no key, so this run is logged offline; `wandb login` stores one")
            return wandb.init(**arguments, mode="offline")
        try:
            return wandb.init(**arguments)
        except Exception as error:
            _say(f"wandb cannot be reached ({_short(error)}), so this run is logged offline")
            return wandb.init(**arguments, mode="offline")

    def _try(self, action: Callable[[Any], object]) -> None:
        if self.run is None:
            return
        try:
            action(self.run)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _say(f"wandb failed ({_short(error)}); the run goes on, metrics.jsonl has every value")
        self.run = None


def _say(message: str) -> None:
    tqdm.write(message)  # not print: there may be a progress bar


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:150]
