"""Decides whether a run can be resumed, and from which state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.model_config import Config, make_config, resume_free_flags
from dataset.classes import class_difference
from dataset.dataset import Dataset
from record.checkpoint import read_training_state, stored_classes
from utils.distributed import Processes
from utils.errors import UserError


def settings_and_data(config: Config, data: Dataset) -> dict[str, Any]:
    """Settings and data that identify a run in config.json and checkpoints."""
    return {**config.as_dict(), "data": data.fingerprint}


def resume_state(config: Config, data: Dataset, processes: Processes) -> dict[str, Any] | None:
    """The training state to resume from.

    Returns:
        Content of the latest checkpoint; None without `--resume`, or if the run was stopped before
        its first checkpoint.

    Raises:
        UserError: If the run cannot be resumed with these settings and data.
    """
    if not config.resume:
        return None
    settings = settings_and_data(config, data)
    defaults = make_config(dataset=config.dataset, ftcl=config.ftcl).as_dict()
    state = processes.broadcast_object(
        lambda: read_resume_point(
            config.run_dir, config.dataset, settings, defaults, config.force, data.classes
        )
    )
    if state and len(state["random"]) != processes.world_size:
        print(
            f"the run had {len(state['random'])} processes before and has {processes.world_size} "
            "now: it continues with other dropout masks"
        )
    return state


def read_resume_point(
    run_dir: Path,
    prefix: str,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any],
    force: bool,
    classes: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """Reads the checkpoint to resume from and compares its settings.

    Args:
        run_dir: Run directory.
        prefix: Prefix of the checkpoint files.
        settings: Requested settings and data (`settings_and_data`).
        defaults: Values of the settings that an older checkpoint does not have yet.
        force: Whether settings and data may differ from those of the checkpoint.
        classes: Class names of the data, to compare with those of the checkpoint.

    Returns:
        Content of `<prefix>_latest.pth`; None if the run has not written it yet.

    Raises:
        UserError: If settings or data differ, listing them; if the directory contains no run; if
            the checkpoint is damaged or does not contain a training state.
    """
    path = run_dir / f"{prefix}_latest.pth"
    if not path.exists():
        if (run_dir / "config.json").exists():
            print(f"{run_dir} has no checkpoint yet: the run starts from the beginning")
            return None
        raise UserError(f"--resume: there is no run in {run_dir}; start it without --resume")
    checkpoint = read_training_state(path)
    stored, wanted = _flat({**defaults, **checkpoint["config"]}), _flat(settings)
    differences = [
        f"  - {name}: {stored.get(name)!r} before, {wanted.get(name)!r} now"
        for name in sorted({*stored, *wanted} - resume_free_flags())
        if stored.get(name) != wanted.get(name)
    ]
    before = stored_classes(checkpoint, path)
    difference = "" if before is None or classes is None else class_difference(before, classes)
    if difference:
        differences.append(f"  - classes: {difference}")
    if differences and not force:
        listed = "\n".join(differences)
        raise UserError(
            f"--resume: settings or data differ from those of the run in {run_dir}; use the same "
            f"ones, or --force to continue with the new ones:\n{listed}"
        )
    return checkpoint


def warn_of_other_data(checkpoint: Mapping[str, Any], data: Dataset) -> None:
    """Prints a warning if the checkpoint was trained and evaluated with other data than these."""
    stored = checkpoint.get("config", {}).get("data")
    for part, now in data.fingerprint.items():
        before = stored.get(part) if isinstance(stored, dict) else None
        if before is None or before == now:
            continue
        warning = f"warning: the {part} data differ from those used when training the checkpoint"
        if isinstance(now, dict) and isinstance(before, dict):
            counts = [
                f"{before.get(key)} {word} then, {now[key]} now"
                for key, word in (("videos", "videos"), ("rows", "snippets"))
                if before.get(key) != now[key]
            ]
            same = "the same number of videos and snippets, but other names or values (as after"
            warning += f": {', '.join(counts) or f'{same} --to float16)'}"
        print(warning)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full name, such as `data train videos`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name} ")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
