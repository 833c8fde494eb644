"""What a run leaves in its folder: config.json, metrics.jsonl, checkpoints; and in wandb."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor
from tqdm import tqdm

from record.checkpoint import read_training_state, save_checkpoint
from record.wandb_run import WandbRun
from utils.errors import UserError
from utils.files import append_line, remove_leftovers, write_json, write_text
from utils.interrupts import interrupts_wait

# What may differ between a run and its continuation: it changes no epoch, or nothing but where.
FREE_TO_DIFFER = {
    *(
        "epochs",
        "resume",
        "force",
        "report",
        "num_workers",
        "feature_memory",
        "without_wandb",
        "wandb_project",
        "checkpoint_seconds",
    ),
    *("data_dir", "save_dir", "device", "gpu"),
}


def read_resume_point(
    folder: Path, prefix: str, config: Mapping[str, Any], force: bool
) -> dict[str, Any] | None:
    """The checkpoint to go on from.

    Args:
        folder: of the run.
        prefix: of its checkpoint files.
        config: settings asked for now.
        force: whether other settings than those of the checkpoint are accepted.

    Returns:
        The content of `<prefix>_latest.pth`, None if the run did not come to its first one.

    Raises:
        UserError: if the settings differ, naming them; if there is no run in the folder; if the
            checkpoint is damaged or cannot be resumed from.
    """
    path = folder / f"{prefix}_latest.pth"
    if not path.exists():
        if (folder / "config.json").exists():
            print(f"{folder} has no checkpoint yet: the run starts from its beginning")
            return None
        raise UserError(f"--resume: there is no run in {folder}; start it without --resume")
    checkpoint = read_training_state(path)
    stored, wanted = _flat(checkpoint["config"]), _flat(config)
    differences = [
        f"  - {name}: {stored.get(name)!r} before, {wanted.get(name)!r} now"
        for name in sorted({*stored, *wanted} - FREE_TO_DIFFER)
        if stored.get(name) != wanted.get(name)
    ]
    if differences and not force:
        listed = "\n".join(differences)
        raise UserError(
            f"--resume: the settings are not those of the run in {folder}; give the same, or "
            f"--force to go on with the new ones:\n{listed}"
        )
    return checkpoint


class RunLog:
    """Records a run, an epoch at a time; used with `with`, so that Ctrl-C loses no finished epoch.

    Args:
        folder: of the run. Unless the run is resumed, what an earlier run left there is moved to
            `earlier-1`, `-2`, ... in it.
        prefix: of the checkpoint files `<prefix>_latest.pth` and `<prefix>_best.pth`.
        config: settings of the run, as plain values.
        about: what else config.json shall say, such as versions and data.
        resumed: what `read_resume_point` returned.
        resuming: whether this run continues the one in the folder.
        checkpoint_seconds: `latest` is not written more often than this; 0 for every epoch.
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
        about: Mapping[str, Any] | None = None,
        resumed: Mapping[str, Any] | None = None,
        resuming: bool = False,
        checkpoint_seconds: float = 0.0,
        wandb_project: str | None,
        wandb_group: str,
        wandb_name: str,
    ) -> None:
        self.folder = folder
        self.latest = folder / f"{prefix}_latest.pth"
        self.best_file = folder / f"{prefix}_best.pth"
        self.metrics = folder / "metrics.jsonl"
        self.config = dict(config)
        self.checkpoint_seconds = checkpoint_seconds
        self.saved_at = time.monotonic()
        self.unsaved: dict[str, Any] | None = None
        self.best: dict[str, Any] = {"name": "", "score": -math.inf, "epoch": 0}
        self.warned = False
        remove_leftovers(folder)
        if resumed:
            self.best = dict(resumed["best"])
        if resuming:
            self._cut_metrics(resumed["epoch"] if resumed else 0)
        else:
            settings = folder / "config.json"
            _move_earlier_run(folder, [self.latest, self.best_file, self.metrics, settings])
        write_json(folder / "config.json", {**config, **(about or {})}, indent=2)
        self.wandb = None
        if wandb_project:
            run_id = resumed.get("wandb") if resumed else None
            self.wandb = WandbRun(folder, config, wandb_project, wandb_group, wandb_name, run_id)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Saves the last finished epoch, whatever ended the run, and says where everything is."""
        try:
            with interrupts_wait(act=kind is None):
                self._save_latest()
            if kind is KeyboardInterrupt:
                print(f"stopped; go on with the same command and --resume (run in {self.folder})")
        finally:
            if self.wandb:
                self.wandb.finish(0 if kind is None else 1)
        if kind is None:
            print(f"checkpoints and metrics: {self.folder}")
            if self.best["epoch"]:
                name, score, epoch = self.best["name"], self.best["score"], self.best["epoch"]
                print(f"best epoch on the test videos: {epoch}, mAP {name} {score:.2f} %")

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
        if self.wandb:
            self.wandb.log(epoch, metrics)
        wandb_id = self.wandb.run_id if self.wandb else None
        values = {name: v if math.isfinite(v) else None for name, v in metrics.items()}
        content = {"epoch": epoch, **model_state, "config": self.config}
        with interrupts_wait():  # an epoch that has its line is also kept
            append_line(self.metrics, json.dumps({"epoch": epoch, **values}))
            if score and score[1] > self.best["score"]:
                self.best = {"name": score[0], "score": score[1], "epoch": epoch}
                save_checkpoint(self.best_file, content)
            self.unsaved = {**content, **training_state, "best": self.best, "wandb": wandb_id}
            if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
                self._save_latest()
            else:  # the tensors go on changing: keep them as they are now
                self.unsaved = _copied(self.unsaved)
            self._say(epoch, metrics, score)

    def _save_latest(self) -> None:
        if self.unsaved is not None:
            save_checkpoint(self.latest, self.unsaved)
            self.unsaved = None
            self.saved_at = time.monotonic()

    def _cut_metrics(self, epoch: int) -> None:
        """Drops what was logged after the checkpoint, a half-written line among it."""
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

    def _say(
        self, epoch: int, metrics: Mapping[str, float], score: tuple[str, float] | None
    ) -> None:
        """One line for an epoch, and what the user should hear once."""
        line = f"epoch {epoch:4d}   loss {metrics.get('loss/total', math.nan):9.4f}"
        if score:
            line += f"   mAP {score[0]} {score[1]:6.2f} %   best {self.best['score']:6.2f} %"
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


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings within settings by their whole name, such as `data train videos`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name} ")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _copied(value: Any) -> Any:
    """The same structure with copies of its tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


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
