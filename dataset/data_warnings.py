"""Warnings about annotations, classes, durations and files of a data directory."""

from collections import Counter
from collections.abc import Sequence

from dataset.dataset import label_matrix
from dataset.found_data import FoundData
from dataset.pair_sampling import PairSampler
from dataset.timing import SnippetTiming, timing_warning
from dataset.video_names import match_names
from dataset.videos import Segment, Video

MANY_SHORT = 0.2  # fraction of instances shorter than a snippet that needs a warning
LATE = 1.0  # seconds that an instance may end after its video
NAMES_SHOWN = 5


def data_warnings(found: FoundData, timing: SnippetTiming) -> list[str]:
    """What is doubtful about a data directory and what helps; one line each.

    Args:
        found: The data directory.
        timing: When its snippets start, according to the settings.
    """
    texts = [
        timing_warning(found.extents(), timing),
        *_class_warnings(found),
        _no_pairs(found),
        *_instance_warnings(found, timing),
        _unlisted_files(found),
    ]
    return [text for text in texts if text]


def split_videos(found: FoundData, split: str) -> list[Video]:
    """The annotated videos of a split."""
    return [found.database[name] for name in found.names[split] if name in found.database]


def number_of_pairs(found: FoundData) -> tuple[int, int]:
    """Numbers of positive and negative pairs of training videos, as `--ftcl` uses them."""
    videos = [video for video in split_videos(found, "train") if video.labels]
    if not videos:
        return 0, 0
    sampler = PairSampler(label_matrix(videos, found.classes))
    return sampler.num_positive, sampler.num_negative


def _class_warnings(found: FoundData) -> list[str]:
    """Classes with too few videos to be trained or evaluated."""
    videos = {s: split_videos(found, s) for s in ("train", "test")}
    counts = {s: Counter(label for v in videos[s] for label in v.labels) for s in videos}
    single = [name for name in found.classes if counts["train"][name] == 1]
    unseen = [name for name in found.classes if not counts["test"][name]]
    warnings = []
    if single:
        warnings.append(
            f"{_number(single, 'class', 'es')} with a single training video, too few to learn "
            f"from: {_listed(single)}; label more videos"
        )
    if not any(video.segments for video in videos["test"]):
        warnings.append(
            "no test video has an annotated instance: training works, but nothing is evaluated; "
            "add segments of test videos to gt.json"
        )
    elif unseen:
        warnings.append(
            f"{_number(unseen, 'class', 'es')} in no test video, so the mAP says nothing about "
            f"them: {_listed(unseen)}"
        )
    return warnings


def _no_pairs(found: FoundData) -> str:
    positive, negative = number_of_pairs(found)
    if (positive and negative) or not found.names["train"]:
        return ""
    missing = "without a common class" if positive else "with the same classes"
    return f"--ftcl will not work: no two training videos {missing}; ACM-Net can be trained"


def _instance_warnings(found: FoundData, timing: SnippetTiming) -> list[str]:
    """Instances that are invalid, end after their video or are shorter than a snippet."""
    timed = [
        (v, s) for name in ("train", "test") for v in split_videos(found, name) for s in v.segments
    ]
    invalid = [segment for _, segment in timed if segment.flaw]
    valid = [(video, segment) for video, segment in timed if segment.can_be_found]
    late = [(v, s) for v, s in valid if v.duration and s.end > v.duration + LATE]
    short = [s for _, s in valid if _length(s) < timing.seconds]
    warnings = []
    if invalid:
        warnings.append(f"{_number(invalid, 'invalid segment')} (first: {invalid[0].flaw})")
    if late:
        video, segment = late[0]
        warnings.append(
            f"{_number(late, 'instance')} of {len(valid)} end after their video (first: "
            f"{video.name}, [{segment.start:g}, {segment.end:g}] of {video.duration:g} s); correct "
            "times or durations in gt.json"
        )
    if valid and not timing.from_duration and len(short) > MANY_SHORT * len(valid):
        warnings.append(
            f"{len(short)} of {len(valid)} instances are shorter than a snippet "
            f"({timing.seconds:.3g} s) and hard to find; extract features with a smaller stride "
            "(python -m extraction --stride)"
        )
    return warnings


def _unlisted_files(found: FoundData) -> str:
    """Feature files that belong to no video, beside those that do."""
    files = [file for listed in found.files.values() for file in listed]
    folders = {file.path.parent for file in files}
    present = {path.stem: path for folder in folders for path in folder.glob("*.npy")}
    listed_names = {name for listed in found.names.values() for name in listed}
    known = set(match_names(listed_names, present).values())
    extra = [path for stem, path in sorted(present.items()) if stem not in known]
    if not extra or len({file.path for file in files}) < len(files):  # one file of all videos
        return ""
    return (
        f"{_number(extra, 'feature file')} of videos in neither split, such as {extra[0].name}: "
        "left out; to use them, add the videos to gt.json and to the split files"
    )


def _length(segment: Segment) -> float:
    return segment.end - segment.start


def _number(things: Sequence[object], name: str, plural: str = "s") -> str:
    return f"{len(things)} {name}{plural if len(things) != 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
