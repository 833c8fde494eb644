"""Which videos form a split, which are left out, and where their features are.

The split files decide. Without them a split is the subset of the annotation file, as far as there
are features, which is how ActivityNet is distributed.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from dataset.checks import known_names
from dataset.text_files import read_split
from dataset.video_names import composed, match_names
from dataset.videos import Video
from utils.errors import UserError
from utils.files import read_json

FLAT = "features"  # the folder of a data directory without train/ and test/
SAME_SUBSET = ({"training", "train"}, {"validation", "val"}, {"testing", "test"})


def feature_folder(folder: Path, split: str) -> Path:
    """The folder with the feature files of a split: train/ or test/, else features/, else flat."""
    for found in (folder / split, folder / FLAT):
        if found.is_dir():
            return found
    flat = next(folder.glob("*.npy"), None)
    return folder if flat else folder / split


def split_names(
    folder: Path,
    split: str,
    subset: str,
    database: Mapping[str, Video],
    with_features: Collection[str],
    annotations: str = "gt.json",
) -> list[str]:
    """The names of the videos of a split, as the annotations spell them.

    Args:
        folder: Data directory.
        split: "train" or "test".
        subset: Subset of the annotations that is the split if there is no split file.
        database: All annotated videos by name.
        with_features: Names of the videos that have features.
        annotations: File or folder of the annotations, for messages.

    Raises:
        UserError: If there is neither a split file nor a video of the subset with features.
    """
    path = folder / f"split_{split}.txt"
    if path.exists():
        return known_names(read_split(path), database, path.name)
    wanted = [video.name for video in database.values() if _is_same(video.subset, subset)]
    found = match_names(wanted, {composed(name) for name in with_features})
    if not found:
        raise UserError(
            f"split file {path} does not exist, and no video of the subset {subset!r} of "
            f"{annotations} has a feature file; write a split file with one video name per line"
        )
    missing = len(wanted) - len(found)
    left_out = f"; {missing} others have no feature file" if missing else ""
    print(
        f"no {path.name}: the {split} split is the subset {subset!r} of {annotations}, "
        f"{len(found)} videos{left_out}"
    )
    return [name for name in wanted if name in found]


def read_blocked(path: str, database: Mapping[str, Video]) -> frozenset[str]:
    """The blocked videos of a file (a JSON list, or one name per line) that are annotated.

    Args:
        path: File; "" blocks no video.
        database: All annotated videos by name.

    Raises:
        UserError: If the file cannot be read or is no list of names.
    """
    if not path:
        return frozenset()
    if Path(path).suffix.lower() == ".json":
        listed = read_json(Path(path), "list of blocked videos")
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise UserError(f"list of blocked videos {path}: wanted a JSON list of video names")
    else:
        listed = read_split(Path(path), "list of blocked videos")
    blocked = frozenset(match_names(listed, database).values())
    print(f"blocked videos: {len(blocked)} of the {len(listed)} in {path} are annotated, left out")
    return blocked


def without(names: Collection[str], blocked: Collection[str]) -> list[str]:
    """The names that are not blocked."""
    return [name for name in names if name not in blocked]


def _is_same(one: str, other: str) -> bool:
    """Whether two names mean the same subset, such as "val" and "validation"."""
    return one == other or any({one, other} <= names for names in SAME_SUBSET)
