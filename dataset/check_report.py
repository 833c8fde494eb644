"""The tables of `python -m dataset.check`."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from dataset.data_warnings import number_of_pairs, split_videos
from dataset.feature_warnings import Reference, number, references_for
from dataset.features.files import SnippetFile
from dataset.found_data import FoundData
from dataset.statistics import FeatureStatistics
from dataset.timing import SnippetTiming

SPLITS = ("train", "test")
CLASSES_SHOWN = 40


def split_table(found: FoundData, timing: SnippetTiming) -> str:
    """Videos, lengths, instances and files of each split."""
    rows = [["", *SPLITS]]
    columns = [_split_column(found, split) for split in SPLITS]
    rows += [[name, *(column[name] for column in columns)] for name in columns[0]]
    wanted = (
        "spread over the duration (--snippet_timing duration)"
        if timing.from_duration
        else f"{timing.frames} frames / {timing.frames_per_second:g} fps = {timing.seconds:.4g}"
    )
    for row in rows:
        if row[0] == "seconds per snippet":
            row.append(f"  settings: {wanted}")
    return aligned(rows)


def _split_column(found: FoundData, split: str) -> dict[str, str]:
    """What the table shows of a split, by name of the row."""
    videos, files = split_videos(found, split), found.files[split]
    segments = [s for video in videos for s in video.segments if s.can_be_found]
    durations = {video.name: video.duration for video in videos if video.duration}
    lengths = {file.name: file.shape[0] for file in files}
    both = durations.keys() & lengths.keys()
    snippets = sum(lengths[name] for name in both)
    seconds = sum(durations[name] for name in both) / snippets if snippets else math.nan
    return {
        "videos": f"{len(found.names[split]):,}",
        "  with a label": f"{sum(bool(video.labels) for video in videos):,}",
        "duration, total": _clock(sum(durations.values())) if durations else "unknown",
        "  shortest, mean, longest (s)": _spread(durations.values()),
        "snippets": f"{sum(lengths.values()):,}",
        "  shortest, mean, longest": _spread(lengths.values()),
        "seconds per snippet": f"{seconds:.4g}" if snippets else "unknown",
        "annotated instances": f"{len(segments):,}",
        "  shortest, mean, longest (s)  ": _spread([s.end - s.start for s in segments]),
        "  per video": f"{len(segments) / len(videos):.1f}" if videos else "-",
        "channels": _distinct(str(file.shape[1]) for file in files),
        "type": _distinct(file.dtype.name for file in files),
        "size": f"{sum(map(_bytes, files)) / 2**20:,.1f} MiB",
    }


def class_table(found: FoundData) -> str:
    """Videos and instances of every class; of many classes, those with the fewest videos."""
    videos = {split: split_videos(found, split) for split in SPLITS}
    shown_in = {s: Counter(label for v in videos[s] for label in v.labels) for s in SPLITS}
    instances = {s: Counter(i.label for v in videos[s] for i in v.segments) for s in SPLITS}
    names = list(found.classes)
    if len(names) > CLASSES_SHOWN:
        names = sorted(names, key=lambda name: shown_in["train"][name])[:CLASSES_SHOWN]
    rows = [["class", "train videos", "instances", "test videos", "instances"]]
    for name in names:
        counts = [counter[s][name] for s in SPLITS for counter in (shown_in, instances)]
        rows.append([name, *map(str, counts)])
    table = aligned(rows)
    hidden = len(found.classes) - len(names)
    more = f"\n... and {hidden} more classes with as many or more training videos" if hidden else ""
    positive, negative = number_of_pairs(found)
    pairs = f"pairs of training videos for --ftcl: {positive:,} positive, {negative:,} negative"
    return f"{table}{more}\n{pairs}"


def feature_table(found: FeatureStatistics) -> str:
    """Statistics of the features, beside those of real I3D features if they may be such."""
    references = references_for(found.channels)
    halves = found.channels == 2048
    rows = [
        [f"features of {found.videos} videos", "found", *(r.title for r in references)],
        ["norm of a snippet", _norm(found), *map(_norm, references)],
    ]
    for place, name in enumerate(("RGB", "flow") if halves else ()):
        real = [f"{r.half_norms[place]:.3g}" for r in references if r.half_norms]
        half = ("first", "second")[place]
        rows.append([f"  {half} half ({name})", number(found.half_norms[place]), *real])
    for title, name in (
        ("entries below 0.001", "near_zero"),
        ("negative entries", "negative"),
    ):
        rows.append([title, *(f"{100 * getattr(f, name):.2g} %" for f in (found, *references))])
    for title, name in (
        ("cosine of neighbouring snippets", "neighbours"),
        ("cosine of the means of two videos", "between"),
    ):
        rows.append([title, *(_decimals(getattr(f, name)) for f in (found, *references))])
    note = (
        ""
        if references
        else f"\n{found.channels} channels: not I3D (1,024 per stream), so there is no comparison"
    )
    return aligned(rows) + note


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text: the first column flush left, the others flush right."""
    columns = range(max(map(len, rows)))
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in columns]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[i]) if i else cell.ljust(widths[i]) for i, cell in enumerate(row)
        ]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)


def _norm(found: FeatureStatistics | Reference) -> str:
    low, high = found.norm_range
    return f"{number(found.norm)} ({number(low)} to {number(high)})"


def _decimals(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _spread(values: Iterable[float]) -> str:
    found = list(values)
    if not found:
        return "-"
    return " / ".join(f"{v:.4g}" for v in (min(found), sum(found) / len(found), max(found)))


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values)) or "-"


def _bytes(file: SnippetFile) -> int:
    return file.shape[0] * file.shape[1] * file.dtype.itemsize


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
