"""A folder of files, each a sample: which class it is of, and which split or group."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from weft import did_you_mean

Pattern = Annotated[
    str | None,
    "what the files' names tell, such as {label}_{group}_{index}.wav or {split}/{label}/{index}.wav; null: their folders are "
    "the classes. In a shell it is quoted twice: \"dataset.pattern='{label}_{index}.wav'\"",
]
Split = Annotated[Literal["stratified", "group"], "group: files of the same {group}, say a speaker, are in the same split"]

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The splits that folders are by their names, in small letters."""
_MANAGERS = ("thumbs.db", "desktop.ini")
"""What file managers leave in folders, in small letters."""


@dataclass(frozen=True)
class Samples:
    """Files, each with its class, a place in `classes`, and its split; with its group too, where groups stay together."""

    files: list[Path]
    labels: NDArray[np.int64]
    classes: list[str]
    places: list[str]
    groups: list[str] | None


def samples(path: str, suffixes: Sequence[str], pattern: str | None, split: str) -> Samples:
    """Return the files below a folder, in the order of their names. `suffixes` are theirs, in small letters.

    Without a pattern each folder in it is a class, and all files below that are of it. Or its folders are the splits, train
    (or training) and maybe valid (val, validation, dev, development) and test (testing); the classes are those of train. A
    pattern describes the names of all files below that have a suffix, from the folder on: its {label} is the class, its
    {split}, if it has one, the split by these names. Hidden files are passed over; links are followed.

    Raises:
        ValueError: a folder that isn't there, can't be read or has nothing in it, splits beside other folders, a file of
            another type in a class's folder or of none of the classes, a pattern that can't be understood or doesn't fit, or
            one class only.
    """
    folder = existing(path)
    if pattern is not None:
        return _by_name(folder, suffixes, pattern, split == "group")
    if split == "group":
        raise ValueError("split=group needs a pattern with {group} in it, which says what belongs together")
    return _by_folder(folder, suffixes)


def existing(path: str) -> Path:
    """Return the path of a folder.

    Raises:
        ValueError: there is none.
    """
    folder = Path(os.path.expanduser(path))
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} is a file, not a folder" if os.path.exists(folder) else f"there is no folder {folder}")
    return folder


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder in the order of the names, without what is hidden or a file manager's.

    Raises:
        ValueError: it can't be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"the folder {folder} can't be read: {error.strerror}") from error
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in _MANAGERS]


def _by_folder(folder: Path, suffixes: Sequence[str]) -> Samples:
    inside = _folders(folder, suffixes)
    names = [inner.name for inner in inside]
    others = [name for name in names if name.lower() not in SPLITS]
    splits = [SPLITS[name.lower()] for name in names if name not in others]
    if others and "train" in splits and len(set(splits)) > 1:  # one alone may be a class: a train is a vehicle, too
        raise ValueError(
            f"{folder} has the splits {', '.join(name for name in names if name not in others)} and beside them "
            f"{', '.join(others)}: are its folders splits, or classes?"
        )
    if others:
        found = [("train", kind.name, file) for kind in inside for file in _of_class(kind, suffixes)]
    elif "train" in splits and len(set(splits)) == len(splits):
        found = [
            (split, kind.name, file)
            for split, inner in zip(splits, inside, strict=True)
            for kind in _folders(inner, suffixes)
            for file in _of_class(kind, suffixes)
        ]
    else:
        raise ValueError(f"{folder} has the splits {', '.join(names)}: it needs train, and may have one valid and one test")
    places, labels, files = (list(column) for column in zip(*found, strict=True))
    return _of_classes(folder, files, labels, places)


def _of_classes(
    folder: Path, files: list[Path], labels: list[str], places: list[str], groups: list[str] | None = None
) -> Samples:
    """Return samples whose classes are those of the ones for training."""
    classes = sorted({label for label, place in zip(labels, places, strict=True) if place == "train"})
    for file, label in zip(files, labels, strict=True):
        if label not in classes:
            raise ValueError(f"{file} is of a class that train has not: {label}{did_you_mean(label, classes)}")
    return Samples(files, _labels(labels, classes, folder), classes, places, groups)


def _by_name(folder: Path, suffixes: Sequence[str], pattern: str, by_group: bool) -> Samples:
    expression, fields = _expression(pattern)
    for needed in ("label", *["group"] * by_group):
        if needed not in fields:
            raise ValueError(f"pattern {pattern} has no {{{needed}}}{did_you_mean(needed, fields)}")
    files = [file for file in _walk(folder) if file.suffix.lower() in suffixes]
    if not files:
        raise ValueError(f"{folder} has no file that ends in {', '.join(suffixes)}")
    found = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        match = expression.fullmatch(name)
        if match is None:
            raise ValueError(f"{name} in {folder} doesn't fit the pattern {pattern}")
        found.append(match)
    names = [match["label"] for match in found]
    if "split" not in fields:
        groups = [match["group"] for match in found] if by_group else None
        return _of_classes(folder, files, names, ["train"] * len(files), groups)
    if by_group:
        raise ValueError(f"pattern {pattern} says which split a file is in, and so does split=group: take one of them")
    places = []
    for file, match in zip(files, found, strict=True):
        if match["split"].lower() not in SPLITS:
            raise ValueError(f"{file}: {match['split']} is no split; there are {', '.join(SPLITS)}")
        places.append(SPLITS[match["split"].lower()])
    if "train" not in places:
        raise ValueError(f"{folder} has no file for training, by the pattern {pattern}")
    return _of_classes(folder, files, names, places)


def _expression(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """Return the regular expression of a pattern, and its fields. A field is as long as it can be without any of the
    punctuation that the pattern has itself: what stands where is then never in doubt."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"pattern {pattern} can't be understood: {error}") from error
    fields = [field for _, field, _, _ in parts if field is not None]
    wrong = next((field for field in fields if not field.isidentifier() or fields.count(field) > 1), None)
    if wrong is not None or any(form or conversion for _, _, form, conversion in parts):
        raise ValueError(f"pattern {pattern} can't be understood: it takes names in braces, each once, such as {{label}}")
    if not all(text for text, field, _, _ in parts[1:] if field is not None):
        raise ValueError(f"pattern {pattern} doesn't say where one field ends: put something between them")
    marks = {mark for text, _, _, _ in parts for mark in text if not mark.isalnum()} | {"/"}
    one = f"[^{''.join(map(re.escape, sorted(marks)))}]+"
    pieces = (re.escape(text) + (f"(?P<{field}>{one})" if field is not None else "") for text, field, _, _ in parts)
    return re.compile("".join(pieces), re.IGNORECASE), fields


def _labels(names: list[str], classes: list[str], folder: Path) -> NDArray[np.int64]:
    if len(classes) == 1:
        raise ValueError(f"{folder} has one class only: {classes[0]}")
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[name] for name in names])


def _folders(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the folders in a folder, which are classes or splits. What lies beside them belongs to none: a read-me may."""
    found = entries(folder)
    stray = next((entry for entry in found if entry.suffix.lower() in suffixes and not os.path.isdir(entry)), None)
    if stray is not None:
        raise ValueError(f"{stray} is in no class's folder: a folder for each class is needed, or a pattern")
    inside = [entry for entry in found if os.path.isdir(entry)]
    if not inside:
        raise ValueError(f"{folder} has no folders in it: one for each class is needed, or a pattern")
    return inside


def _of_class(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    files = list(_walk(folder))
    for file in files:
        if file.suffix.lower() not in suffixes:
            raise ValueError(f"{file} is none of {', '.join(suffixes)}: move it out of its class's folder")
    if not files:
        raise ValueError(f"the folder {folder} has nothing in it: a class needs samples")
    return files


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files in a folder and in those below it."""
    here = folder.resolve()
    if here in above:
        raise ValueError(f"the link {folder} leads back to a folder that it is in")
    for entry in entries(folder):
        if os.path.isdir(entry):
            yield from _walk(entry, (*above, here))
        elif os.path.isfile(entry):
            yield entry
        else:
            raise ValueError(f"{entry} is neither a file nor a folder, or a link to nothing")
