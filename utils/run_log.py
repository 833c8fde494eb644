"""What a run leaves in its folder: config.json, metrics.jsonl, checkpoints; and in wandb."""

import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from utils.checkpoint import save_checkpoint
from utils.errors import UserError
from utils.files import write_json
from utils.wandb_run import WandbRun


class RunLog:
    """Records a run, an epoch at a time.

    Args:
        folder: of the run. What an earlier run left there is moved to `earlier-1`, `-2`, ... in it.
        prefix: of the checkpoint files `<prefix>_latest.pth` and `<prefix>_best.pth`.
        config: settings of the run, as plain values.
        wandb_project, wandb_group, wandb_name: of the run in wandb; no project, no wandb.

    Raises:
        UserError: if the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        config: Mapping[str, Any],
        *,
        wandb_project: str | None,
        wandb_group: str,
        wandb_name: str,
    ) -> None:
        self.folder = folder
        self.latest = folder / f"{prefix}_latest.pth"
        self.best = folder / f"{prefix}_best.pth"
        self.metrics = folder / "metrics.jsonl"
        self.config = dict(config)
        self.best_score = -math.inf
        self.best_epoch = 0
        self.score_name = ""
        self.warned = False
        _move_earlier_run(folder, [self.latest, self.best, self.metrics, folder / "config.json"])
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        write_json(folder / "config.json", {**config, "versions": versions}, indent=2)
        self.wandb = None
        if wandb_project:
            self.wandb = WandbRun(folder, config, wandb_project, wandb_group, wandb_name)

    def end_epoch(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        score: tuple[str, float] | None,
        model_state: Mapping[str, Any],
        training_state: Mapping[str, Any],
    ) -> None:
        """Logs an epoch and saves checkpoints.

        Args:
            epoch: counted from 1.
            metrics: by name; values that are not finite become null.
            score: what to be the best in, by name, None if the epoch was not evaluated.
            model_state: what a checkpoint needs for evaluation, `model_state_dict` among it.
            training_state: what `latest` needs besides, to go on from here.
        """
        values = {name: v if math.isfinite(v) else None for name, v in metrics.items()}
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch, **values}) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.metrics}: {error.strerror}") from error
        if self.wandb:
            self.wandb.log(epoch, metrics)
        content = {"epoch": epoch, **model_state, "config": self.config}
        if score and score[1] > self.best_score:
            self.score_name, self.best_score = score
            self.best_epoch = epoch
            save_checkpoint(self.best, content)
        best = {"best_score": self.best_score, "best_epoch": self.best_epoch}
        save_checkpoint(self.latest, {**content, **training_state, **best})
        self._say(epoch, metrics, score)

    def finish(self) -> None:
        """Ends the run in wandb and says where everything is."""
        if self.wandb:
            self.wandb.finish()
        print(f"checkpoints and metrics: {self.folder}")
        if self.best_epoch:
            print(
                f"best epoch on the test videos: {self.best_epoch}, "
                f"mAP {self.score_name} {self.best_score:.2f} %"
            )

    def _say(
        self, epoch: int, metrics: Mapping[str, float], score: tuple[str, float] | None
    ) -> None:
        """One line for an epoch, and what the user should hear once."""
        line = f"epoch {epoch:4d}   loss {metrics.get('loss/total', math.nan):9.4f}"
        if score:
            line += f"   mAP {score[0]} {score[1]:6.2f} %   best {self.best_score:6.2f} %"
        skipped = sum(v for name, v in metrics.items() if name.startswith("skipped steps/"))
        if skipped:
            line += f"   {skipped:g} steps skipped: the loss was not finite"
        tqdm.write(line)
        if metrics.get("lcs match share") == 0 and not self.warned:
            self.warned = True
            tqdm.write(
                "warning: no two snippets were as similar as --thres asks, so the LCS contrast "
                "teaches nothing; lower --thres or train with --without_lcs"
            )


def _move_earlier_run(folder: Path, files: list[Path]) -> None:
    """A new run in the folder of another must lose nothing of it."""
    present = [file for file in files if file.exists()]
    if not present:
        return
    number = 1
    while (folder / f"earlier-{number}").exists():
        number += 1
    earlier = folder / f"earlier-{number}"
    try:
        earlier.mkdir()
        for file in present:
            file.rename(earlier / file.name)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; choose another --save_dir or --model_name"
        ) from error
    print(f"{folder} held a run already; it is now in {earlier}")
