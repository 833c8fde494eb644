"""Names of videos and classes: which are valid, and which mean the same video."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath, PureWindowsPath

PREFIX = "v_"  # ActivityNet's video files have it, its annotations do not
NAMES_SHOWN = 3  # names in a message


def composed(name: str) -> str:
    """The name in composed Unicode (NFC); macOS writes file names decomposed."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_plain_name(name: str) -> bool:
    """Whether `name` is safe as a file name: no folder, drive or parent, nothing unprintable."""
    return (
        name not in {"", ".", ".."}
        and len(name.encode("utf-8", "replace")) <= 200
        and name.isprintable()
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )


def is_text(name: str) -> bool:
    """Whether `name` can be printed and written: no control characters, no lone surrogates."""
    if name.isascii():
        return name.isprintable()
    return not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name)


def match_names(wanted: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Finds each wanted name among the known ones, with and without the prefix `v_`.

    A name is taken with another prefix only if that is the whole difference and no other wanted
    name means the same video.

    Args:
        wanted: Names to find.
        known: Names to find them among, such as those of the annotation file.

    Returns:
        The known name of every wanted name that was found. Both are spelled as given, and may
        differ in their Unicode form.
    """
    spelled = {composed(name): name for name in known}
    forms = {name: composed(name) for name in wanted}
    found = {name: spelled[form] for name, form in forms.items() if form in spelled}
    taken = set(found.values())
    for name, form in forms.items():
        if name in found:
            continue
        for other in (PREFIX + form, form.removeprefix(PREFIX)):
            if other in spelled and spelled[other] not in taken:
                found[name] = spelled[other]
                taken.add(spelled[other])
                break
    return found


def prefix_note(found: Mapping[str, str], where: str, known: str) -> str:
    """One line about the names that `match_names` found under another prefix; "" if none.

    Args:
        found: Result of `match_names`.
        where: Source of the wanted names, such as "predictions".
        known: Source of the known names, such as "annotations".
    """
    other = [(a, b) for a, b in found.items() if composed(a) != composed(b)]
    if not other:
        return ""
    first, second = other[0]
    return (
        f"{where}: {len(other)} of {len(found)} video names matched with and without the prefix "
        f"{PREFIX} (first: {first} is {second} in the {known})"
    )


def look_alikes(unknown: Collection[str], known: Collection[str]) -> str:
    """The most similar known name of the first unknown ones, for a message.

    Returns:
        Such as "video_1 looks like video_001"; examples of both sides if no name is similar.
    """
    first = list(unknown)[:NAMES_SHOWN]
    pairs = [(name, get_close_matches(name, known, 1, 0.7)) for name in first]
    similar = [f"{name} looks like {near[0]}" for name, near in pairs if near]
    if similar:
        return ", ".join(similar)
    return f"such as {', '.join(first)}; known are {', '.join(list(known)[:NAMES_SHOWN])}"
