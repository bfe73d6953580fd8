"""A table in a CSV file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from weft_basics.datasets.split import Classes, Numbers, Share

_MOST_CLASSES = 20


class CSV:
    """A CSV file with a header: one column is the target, all others are inputs.

    Numbers are standardised by the training part; texts become one column for each value. A target of texts, or of at most
    twenty different whole numbers, is a classification, any other a regression; `task` says it instead.

    Raises:
        ValueError: no such file or column, an empty or missing or infinite value (says where), or a target that can't be.
    """

    vocabulary = None

    def __init__(
        self,
        split_seed: int,
        path: Annotated[str, "of the file"],
        target: Annotated[str, "column to be predicted"],
        task: Literal["auto", "classification", "regression"] = "auto",
        separator: Annotated[str, "between columns"] = ",",
        valid: Share = 0.15,
        test: Share = 0.15,
    ):
        table = _read(path, separator)
        if target not in table.columns:
            raise ValueError(f"{path} has no column {target!r}; there are {', '.join(map(str, table.columns))}")
        if len(table.columns) < 2:
            raise ValueError(f"{path} has no column beside the target {target!r}")
        _refuse_gaps(table, path)
        answers = table[target]
        inputs = _numbers(table.drop(columns=target))
        numeric = _is_numeric(answers)
        if task == "auto":
            few = answers.nunique() <= _MOST_CLASSES and (not numeric or bool((answers % 1 == 0).all()))
            task = "classification" if few or not numeric else "regression"
        source = str(Path(path).resolve())
        if task == "classification":
            values, targets = np.unique(answers.to_numpy(dtype=None if numeric else str), return_inverse=True)
            made: Any = Classes(inputs, targets, [str(value) for value in values], source, valid, test, split_seed, table=True)
            self.classes = made.classes
        elif numeric:
            made = Numbers(inputs, answers.to_numpy(dtype=float), source, valid, test, split_seed)
        else:
            raise ValueError(f"column {target!r} of {path} holds texts such as {answers.iloc[0]!r}: not a regression's target")
        self.task: str = made.task
        self.inputs: tuple[int, ...] = made.inputs
        self.outputs: int = made.outputs
        self.train, self.valid, self.test = made.train, made.valid, made.test
        self.source = source


def _read(path: str, separator: str) -> Any:
    import pandas

    try:
        table = pandas.read_csv(path, sep=separator, skipinitialspace=True)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path!r}") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise ValueError(f"{path!r} can't be read: {error}") from None
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path!r} is no CSV file: {error}") from None
    if not len(table):
        raise ValueError(f"{path!r} has a header and no rows")
    return table


def _refuse_gaps(table: Any, path: str) -> None:
    for column in table.columns:
        values = table[column]
        bad = values.isna()
        if _is_numeric(values):
            bad |= ~np.isfinite(values.to_numpy(dtype=float))
        if bool(bad.any()):
            row = int(np.flatnonzero(bad.to_numpy())[0])
            raise ValueError(
                f"{path}: column {str(column)!r} has no finite value in row {row + 2}, {int(bad.sum())} such in all"
            )


def _numbers(table: Any) -> Any:
    """Return all columns as numbers: texts as one column for each of their values."""
    import pandas

    texts = [column for column in table.columns if not _is_numeric(table[column])]
    return pandas.get_dummies(table, columns=texts, dtype=float).to_numpy(dtype=float)


def _is_numeric(values: Any) -> bool:
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(values))
