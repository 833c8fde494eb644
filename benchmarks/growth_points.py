"""Measured points of `benchmarks/growth.py` as a Markdown table and as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        over: Quantity that is varied.
        what: What is timed.
        size: Value of the varied quantity.
        ms: Measured time in milliseconds.
        floor: Lower bound of the time that the hardware allows, in milliseconds, an estimate.
        peak: Peak memory in bytes, where it was measured.
    """

    over: str
    what: str
    size: int
    ms: float
    floor: float
    peak: float | None = None


def markdown(points: Sequence[Point]) -> str:
    """The points as a Markdown table, one row per size."""
    lines = [
        "| varied | size | measured | time, ms | floor, ms | ratio | peak, GiB |",
        "|---" * 7 + "|",
    ]
    for p in points:
        ratio = f"{p.ms / p.floor:.2f}" if p.ms < 10 * p.floor else f"{p.ms / p.floor:,.0f}"
        peak = f"{p.peak / 2**30:.2f}" if p.peak else ""
        lines.append(
            f"| {p.over} | {p.size} | {p.what} | {p.ms:,.2f} | {p.floor:,.3f} | {ratio} | {peak} |"
        )
    return "\n".join(lines)


def draw(points: Sequence[Point], path: Path, title: str) -> None:
    """Draws one panel per varied quantity: measured times as solid lines, floors dashed.

    Args:
        points: All measurements; at most six quantities are varied.
        path: Image file to write.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11, 7))
    panels = figure.subplots(2, 3).flatten()
    overs = list(dict.fromkeys(p.over for p in points))
    for panel, over in zip(panels, overs, strict=False):
        _draw_panel(panel, [p for p in points if p.over == over], over)
    for panel in panels[len(overs) :]:
        panel.axis("off")
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _draw_panel(panel: Axes, points: Sequence[Point], over: str) -> None:
    for number, what in enumerate(dict.fromkeys(p.what for p in points)):
        chosen = [p for p in points if p.what == what]
        sizes = [p.size for p in chosen]
        color = f"C{number}"
        panel.plot(sizes, [p.ms for p in chosen], "o-", color=color, label=what)
        panel.plot(sizes, [p.floor for p in chosen], "--", color=color, linewidth=1)
    panel.set_xscale("log")
    panel.set_yscale("linear" if over == "processes" else "log")
    panel.set_xticks(sorted({p.size for p in points}))
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.minorticks_off()
    panel.tick_params(axis="x", labelsize=7)
    panel.set_xlabel(over)
    panel.set_ylabel("ms (dashed: floor)", fontsize=8)
    panel.legend(fontsize=7)
    panel.grid(alpha=0.3)
    if over == "processes":
        panel.set_ylim(bottom=0)
