"""Puts a page together: template, style and scripts of the folder `assets` in one HTML file."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from eval.detection.average_precision import thresholds_of
from eval.report.encoding import script_json

HERE = Path(__file__).parent
STYLES = ("report.css",)
# In the order of use; together they are one script, whose functions see each other.
SCRIPTS = (
    *("data.js", "dom.js", "charts.js", "tables.js", "layout.js", "timeline.js"),
    *("interaction.js", "player.js", "legend.js", "videos.js", "report.js"),
)


def render(
    template: str,
    values: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    scripts: tuple[str, ...] = SCRIPTS,
    styles: tuple[str, ...] = STYLES,
) -> str:
    """Renders a template of this folder, which escapes every value, with style and script in it.

    The page allows no other script than its own and no request to a network.

    Args:
        template: Name of the template.
        values: Values by name.
        data: What the script reads from the element `report-data`.
        scripts, styles: Files of the folder `assets`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fixed": _fixed, "thresholds": thresholds_of, "plain": _plain}
    script = '(() => {\n"use strict";\n' + _assets(scripts) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = environment.get_template(template).render(
        **values,
        style=Markup(_assets(styles)),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        data=Markup(script_json(data)),
        plays=bool(data.get("media")),
    )
    # A path that is not UTF-8 reaches Python as lone surrogates, which no file can hold.
    return page.encode("utf-8", "replace").decode("utf-8")


def _assets(names: tuple[str, ...]) -> str:
    """Files of the folder `assets`, one after the other."""
    return "".join((HERE / "assets" / name).read_text(encoding="utf-8") for name in names)


def _fixed(value: float | None, decimals: int = 1) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.{decimals}f}"


def _plain(value: Any) -> str:
    """A setting as text: lists with commas."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
