"""The file of scores that `--test` writes: what a network says about each video, as NumPy arrays.

Prediction files hold what was localized; this file holds the curves from which it was localized,
so that reports and figures can be drawn again without the network. docs/FORMATS.md describes it.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.video_names import is_text
from eval.scores import VideoScores
from utils.errors import UserError
from utils.files import write_atomically

REQUIRED = (
    *("videos", "classes", "lengths", "snippets", "seconds"),
    *("cas", "attention", "class_scores"),
)
OPTIONAL = "branch_attention"
FORM = "wanted the .npz file that main_thu.py --test writes (docs/FORMATS.md)"


class ScoresFile(NamedTuple):
    """Content of a file of scores.

    Attributes:
        classes: Names of the C action classes, in the order of the columns.
        videos: Scores of each video, all with their `span`.
    """

    classes: tuple[str, ...]
    videos: list[VideoScores]


def write_scores(
    path: Path, videos: Sequence[VideoScores], classes: Sequence[str], snippet_seconds: float
) -> None:
    """Writes the scores of all videos, rounded to float16.

    Args:
        path: File to write, by custom `<checkpoint>_scores.npz`.
        videos: Scores of each video.
        classes: Names of the C action classes; the background, if any, is the column after them.
        snippet_seconds: Seconds between the starts of neighbouring snippets of a feature file.

    Raises:
        UserError: If the file cannot be written.
    """
    columns = len(classes) + 1
    arrays: dict[str, NDArray] = {
        "videos": np.array([video.name for video in videos], np.str_),
        "classes": np.array(list(classes), np.str_),
        "lengths": np.array([len(video.attention) for video in videos], np.int64),
        "snippets": np.array([video.snippets for video in videos], np.int64),
        "seconds": np.array([video.seconds(snippet_seconds) for video in videos], np.float64),
        "cas": _joined([video.cas for video in videos], (0, columns)),
        "attention": _joined([video.attention for video in videos], (0,)),
        "class_scores": _joined([video.class_scores[None] for video in videos], (0, columns)),
    }
    branches = [v.branch_attention for v in videos if v.branch_attention is not None]
    if branches and len(branches) == len(videos):
        arrays[OPTIONAL] = _joined(branches, (0, 3))
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def read_scores(path: Path) -> ScoresFile:
    """Reads a file of scores.

    Raises:
        UserError: If the file is missing, is of another kind, or its arrays do not fit together.
    """
    arrays = _arrays(path)
    lengths, cas, attention = arrays["lengths"], arrays["cas"], arrays["attention"]
    classes, names = arrays["classes"].tolist(), arrays["videos"].tolist()
    branches = arrays.get(OPTIONAL)
    number, rows = len(names), int(lengths.sum())
    wanted = {
        "lengths": (number,),
        "snippets": (number,),
        "seconds": (number,),
        "cas": (rows, *cas.shape[1:2]),
        "attention": (rows,),
        "class_scores": (number, *cas.shape[1:2]),
        **({OPTIONAL: (rows, 3)} if branches is not None else {}),
    }
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise UserError(
                f"scores file {path}: {name} has shape {arrays[name].shape}, wanted {shape}; {FORM}"
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"scores file {path}: {name} holds numbers that are not finite")
    if cas.shape[1] not in (len(classes), len(classes) + 1):
        raise UserError(
            f"scores file {path}: cas has {cas.shape[1]} columns, wanted one for each of the "
            f"{len(classes)} classes and one for the background"
        )
    if not all(map(is_text, names + classes)):
        raise UserError(f"scores file {path}: a name has control characters or is not Unicode")
    ends = np.cumsum(lengths)
    videos = [
        VideoScores(
            name,
            int(arrays["snippets"][i]),
            cas[end - length : end].astype(np.float32),
            attention[end - length : end].astype(np.float32),
            arrays["class_scores"][i].astype(np.float32),
            float(arrays["seconds"][i]),
            None if branches is None else branches[end - length : end].astype(np.float32),
        )
        for i, (name, length, end) in enumerate(zip(names, lengths, ends, strict=True))
    ]
    return ScoresFile(tuple(classes), videos)


def _joined(parts: Sequence[NDArray], empty: tuple[int, ...]) -> NDArray[np.float16]:
    """The arrays one after another."""
    largest = float(np.finfo(np.float16).max)
    whole = np.concatenate(parts) if parts else np.empty(empty)
    return np.clip(whole, -largest, largest).astype(np.float16)


def _arrays(path: Path) -> dict[str, NDArray]:
    """The arrays of the file by name."""
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise UserError(f"scores file {path} is a single array; {FORM}")
        with content:
            missing = [name for name in REQUIRED if name not in content]
            if missing:
                raise UserError(f"scores file {path} has no {', '.join(missing)}; {FORM}")
            return {name: content[name] for name in (*REQUIRED, OPTIONAL) if name in content}
    except FileNotFoundError:
        raise UserError(f"scores file {path} does not exist; check the path") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"scores file {path} cannot be read as .npz; {FORM}") from error
