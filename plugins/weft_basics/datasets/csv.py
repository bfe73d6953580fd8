"""A table of your own."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas
from numpy.typing import NDArray

from weft import did_you_mean
from weft_basics.datasets.dataset import Dataset, Numbers, classification, regression
from weft_basics.datasets.split import Test, Valid

MOST_CLASSES = 20
"""Distinct whole numbers up to which a target is taken for classes when nothing was said."""
MOST_MIXED = 20
"""Distinct texts up to which most may be numbers, as in 0, 1, 2, 3+. With more, the one that is none is a slip."""
MISSING = ("?", "-", "--", ".", "*", "missing", "unknown")
"""What stands among numbers for one that is missing, in small letters, beside what pandas takes for it."""
MOST_TEXTS = 256
"""Distinct texts up to which a column is taken for categories: one with more is a name or an identifier."""
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)


def csv(
    path: Annotated[str, "of the file; its first row names the columns"],
    target: Annotated[str, "column to be predicted"],
    split_seed: int,
    task: Annotated[
        Literal["auto", "classification", "regression"],
        "auto: texts, and up to 20 distinct whole numbers, are classes",
    ] = "auto",
    ignore: Annotated[tuple[str, ...], "columns to leave out"] = (),
    group: Annotated[str | None, "column that is no input: rows that share its value, a patient, are in the same split"] = None,
    standardize: Annotated[bool, "bring columns of numbers, and a target that is a number, to mean 0 and deviation 1"] = True,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """A table in a CSV file: columns of numbers as they are, columns of texts as one input for each text.

    Classes are the target's values, sorted. Statistics are those of the training samples.

    Raises:
        ValueError: a file or column that isn't there, a value that is missing or not finite, a text among numbers, a column
            with too many texts, a target that doesn't suit the task, or classes or groups with too few samples.
    """
    special = [target] if group is None else [target, group]
    table = _read(Path(os.path.expanduser(path)), (*special, *ignore))
    wanted = [column for column in table.columns if column not in (*special, *ignore)]
    for option, column in zip(("target", "group"), special, strict=False):
        if column in ignore:
            raise ValueError(f"{option}={column} is also to be ignored")
    if group == target:
        raise ValueError(f"group={group} is also the target")
    if not wanted:
        raise ValueError(f"{path} has no column beside {' and '.join(special)}: there is nothing to predict {target} from")
    _check_complete(table[[*wanted, *special]])
    groups = None if group is None else table[group].astype(str).tolist()
    for column in wanted:
        _check_not_mixed(table[column], "correct it, or leave the column out with ignore")
    columns, numeric = _inputs(table[wanted])
    answers = table[target]
    _check_not_mixed(answers, "correct it, or take task=classification", task == "classification")
    if _is_classification(answers, task):
        labels, classes = _labels(answers)
        return classification(
            columns,
            labels,
            classes,
            valid=valid,
            test=test,
            split_seed=split_seed,
            source=path,
            standardize=standardize & numeric,
            groups=groups,
        )
    return regression(
        columns,
        _numbers(answers),
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=path,
        standardize=standardize & numeric,
        standardize_targets=standardize,
        groups=groups,
    )


def _read(path: Path, named: tuple[str, ...]) -> pandas.DataFrame:
    """Return the table under its own column names, which pandas would change where two are alike or one is empty."""
    if not os.path.isfile(path):
        raise ValueError(f"there is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            names = (
                pandas.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
                .iloc[0]
                .tolist()
            )
            table = pandas.read_csv(path, index_col=False, low_memory=False, encoding="utf-8-sig")
    except (OSError, ValueError, pandas.errors.ParserWarning) as error:
        raise ValueError(f"{path} can't be read as CSV: {error}") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: several columns are called {', '.join(map(repr, twice))}")
    for name in named:
        if name not in names:
            raise ValueError(f"{path} has no column {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
    if table.empty:
        raise ValueError(f"{path} has no rows")
    table.columns = pandas.Index(names, dtype=object)
    return table


def _check_complete(table: pandas.DataFrame) -> None:
    rows, columns = np.nonzero(table.isna().to_numpy())
    if len(rows):
        raise ValueError(
            f"column {table.columns[columns[0]]!r}, row {rows[0] + 1}: a value is missing (nothing, or a word such as NA), and "
            f"{len(rows) - 1} more are; fill them in, or leave the column out with ignore"
        )


def _check_not_mixed(column: pandas.Series, advice: str, are_classes: bool = False) -> None:
    """Refuse a text among numbers, or numbers with a comma in them: each would become a category. Where they are classes anyway
    only what stands for a missing one is refused."""
    if pandas.api.types.is_numeric_dtype(column):
        return
    texts = column.astype(str).str.strip()
    is_text = pandas.to_numeric(texts, errors="coerce").isna()
    others = texts[is_text]
    if others.empty:
        return
    place = f"column {column.name!r}, row {int(np.flatnonzero(is_text)[0]) + 1}"
    if len(others) < len(texts) and others.str.lower().isin(MISSING).all():
        raise ValueError(f"{place}: a value is missing ({others.iloc[0]!r} in a column of numbers); fill it in")
    if are_classes:
        return
    if others.str.fullmatch(_WITH_COMMA).all():
        raise ValueError(f"{place}: {others.iloc[0]!r} has a comma, and numbers have a point; {advice}")
    if texts.nunique() > MOST_MIXED and others.nunique() < texts.nunique() / 2:
        raise ValueError(f"{place}: {others.iloc[0]!r} is a text in a column of numbers; {advice}")


def _inputs(table: pandas.DataFrame) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the inputs (N, features), and which of the features are numbers rather than texts."""
    blocks: list[Numbers] = []
    numeric: list[bool] = []
    for name in table.columns:
        column = table[name]
        if pandas.api.types.is_numeric_dtype(column):
            blocks.append(_numbers(column)[:, None])
            numeric.append(True)
            continue
        texts, places = np.unique(column.astype(str).to_numpy(dtype=str), return_inverse=True)
        if len(texts) > MOST_TEXTS:
            raise ValueError(
                f"column {name!r} has {len(texts)} different texts, more than the {MOST_TEXTS} that make categories; "
                "leave it out with ignore"
            )
        blocks.append(np.eye(len(texts))[places])
        numeric.extend([False] * len(texts))
    return np.concatenate(blocks, axis=1), np.array(numeric)


def _numbers(column: pandas.Series) -> Numbers:
    numbers: Numbers = column.to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~(np.abs(numbers) <= _LARGEST))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"column {column.name!r}, row {row + 1}: {numbers[row]} is not a finite number of 32 bits")
    return numbers


def _is_classification(column: pandas.Series, task: str) -> bool:
    texts = not pandas.api.types.is_numeric_dtype(column) or pandas.api.types.is_bool_dtype(column)
    if task == "regression" and texts:
        raise ValueError(f"task=regression needs numbers, and target {column.name!r} has texts such as {str(column.iloc[0])!r}")
    if task != "auto":
        return task == "classification"
    return texts or (pandas.api.types.is_integer_dtype(column) and column.nunique() <= MOST_CLASSES)


def _labels(column: pandas.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return each sample's class, and the classes' names: numbers in their order, texts in the alphabet's."""
    if pandas.api.types.is_float_dtype(column) and (column % 1 != 0).any():
        odd = column[column % 1 != 0].iloc[0]
        raise ValueError(f"task=classification needs texts or whole numbers, and target {column.name!r} has {odd}")
    plain = pandas.api.types.is_numeric_dtype(column) and not pandas.api.types.is_bool_dtype(column)
    values = _numbers(column) if plain else column.astype(str).to_numpy(dtype=str)
    classes, labels = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"target {column.name!r} has one class only: {classes[0]}")
    return labels.astype(np.int64), [f"{value:.0f}" if plain else str(value) for value in classes]
