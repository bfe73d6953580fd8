"""Tables from files: read as they were written, or refused with the place."""

from __future__ import annotations

import csv as writer
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_basics.datasets.csv import csv

Table = list[list[Any]]


def written(folder: Path, rows: Table, name: str = "table.csv") -> str:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer.writer(file, quoting=writer.QUOTE_ALL).writerows(rows)
    return str(path)


def flowers(count: int = 30) -> Table:
    rows: Table = [["length", "colour", "wet", "kind"]]
    rows += [[i / 7, ("red", "blue", "white")[i % 3], i % 5, ("rose", "aster")[i % 2]] for i in range(count)]
    return rows


def whole(dataset: Any, place: int) -> torch.Tensor:
    return torch.cat([getattr(dataset, split)[place] for split in ("train", "valid", "test")])


def rows_of(tensor: torch.Tensor) -> list[tuple[float, ...]]:
    return sorted(tuple(round(number, 4) for number in row) for row in tensor.tolist())


def test_numbers_stay_and_texts_become_one_input_each(tmp_path: Path) -> None:
    dataset = csv(written(tmp_path, flowers()), "kind", 0, standardize=False)
    assert (dataset.task, dataset.inputs, dataset.outputs) == ("classification", (5,), 2)
    assert dataset.classes == ("aster", "rose")
    together = torch.cat([whole(dataset, 0), whole(dataset, 1)[:, None].float()], 1)
    expected = [
        (length, *(float(colour == known) for known in ("blue", "red", "white")), wet, float(kind == "rose"))
        for length, colour, wet, kind in flowers()[1:]
    ]
    assert rows_of(together) == rows_of(torch.tensor(expected))


def test_numbers_are_standardized_and_texts_are_not(tmp_path: Path) -> None:
    inputs = csv(written(tmp_path, flowers()), "kind", 0).train[0].double()
    for column in (0, 4):
        assert float(inputs[:, column].mean()) == pytest.approx(0, abs=1e-6)
        assert float(inputs[:, column].std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert set(inputs[:, 1:4].flatten().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("values", "task", "expected", "classes"),
    [
        (["b", "a"], "auto", "classification", ("a", "b")),
        ([10, 9, 2], "auto", "classification", ("2", "9", "10")),
        (["True", "False"], "auto", "classification", ("False", "True")),
        ([f"text{i:02}" for i in range(25)], "auto", "classification", tuple(f"text{i:02}" for i in range(25))),
        (list(range(21)), "auto", "regression", ()),
        ([0.5, 1.5], "auto", "regression", ()),
        ([1, 2], "regression", "regression", ()),
        ([1.0, 2.0], "classification", "classification", ("1", "2")),
        (list(range(21)), "classification", "classification", tuple(map(str, range(21)))),
    ],
)
def test_the_task_follows_from_the_target(
    tmp_path: Path, values: list[Any], task: Any, expected: str, classes: tuple[str, ...]
) -> None:
    rows = [["x", "y"], *([i, values[i % len(values)]] for i in range(12 * len(values)))]
    dataset = csv(written(tmp_path, rows), "y", 0, task)
    assert (dataset.task, dataset.classes) == (expected, classes)


def test_a_regression_leads_back_to_its_unit(tmp_path: Path) -> None:
    rows: Table = [["x", "y"], *([i, 1000 + 3.5 * i] for i in range(40))]
    dataset = csv(written(tmp_path, rows), "y", 0)
    found = whole(dataset, 1) * dataset.target_scale + dataset.target_mean
    assert sorted(found.flatten().tolist()) == pytest.approx([1000 + 3.5 * i for i in range(40)], rel=1e-6)
    raw = csv(written(tmp_path, rows), "y", 0, standardize=False)
    assert sorted(whole(raw, 1).flatten().tolist()) == pytest.approx([1000 + 3.5 * i for i in range(40)])
    assert sorted(whole(raw, 0).flatten().tolist()) == list(range(40))


def test_columns_can_be_left_out_and_constant_ones_are_no_error(tmp_path: Path) -> None:
    rows: Table = [["id", "x", "same", "kind"], *([f"name{i}", i, 0.1, "ab"[i % 2]] for i in range(300))]
    dataset = csv(written(tmp_path, rows), "kind", 0, ignore=("id",))
    assert dataset.inputs == (2,)
    assert float(dataset.train[0][:, 1].abs().max()) < 1e-6


@pytest.mark.parametrize(("target", "task"), [("kind", "classification"), ("length", "regression")])
def test_rows_of_a_group_stay_in_one_split_and_their_column_is_no_input(tmp_path: Path, target: str, task: str) -> None:
    rows = [[*row, "patient" if not place else f"p{place % 10}"] for place, row in enumerate(flowers(60))]
    dataset = csv(written(tmp_path, rows), target, 0, group="patient", ignore=("colour",), standardize=False)
    assert (dataset.task, dataset.inputs) == (task, (2,) if task == "classification" else (3,))
    lengths = {round(row[0], 4): row[4] for row in rows[1:]}
    owned = []
    for split in ("train", "valid", "test"):
        inputs, targets = getattr(dataset, split)
        numbers = inputs[:, 0] if task == "classification" else targets[:, 0]
        owned.append({lengths[round(number, 4)] for number in numbers.tolist()})
    assert sum(map(len, owned)) == len(set().union(*owned)) == 10
    assert [len(getattr(dataset, split)[1]) for split in ("train", "valid", "test")] == [48, 6, 6]


odd_names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ["", " ", "a,b", 'a"b', "a\nb", "0", "NA", "nan", "1.5", "Unnamed: 0", "x.1", "#", "'", "=1+1", "é", "\ufeffx"]
)


@given(st.lists(odd_names, min_size=2, max_size=5, unique=True), st.data())
@settings(max_examples=120, deadline=None)
def test_any_column_name_is_read_back(names: list[str], data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(names))
    place = names.index(target)
    rows: Table = [names, *([10 * i + column for column in range(len(names))] for i in range(24))]
    for row in rows[1:]:
        row[place] = "pq"[row[0] // 10 % 2]
    with tempfile.TemporaryDirectory() as folder:
        if names[0].startswith("\ufeff"):
            return  # a mark that begins a file belongs to the file
        dataset = csv(written(Path(folder), rows), target, 0, standardize=False)
    assert (dataset.inputs, dataset.classes) == ((len(names) - 1,), ("p", "q"))
    expected = [tuple(float(v) for i, v in enumerate(row) if i != place) for row in rows[1:]]
    assert rows_of(whole(dataset, 0)) == sorted(expected)


@given(
    st.lists(
        st.tuples(
            st.floats(-(2.0**100), 2.0**100, width=32),
            st.sampled_from(["yes", "no", "  padded ", 'quo"te', "com,ma", "new\nline", "é"]),
        ),
        min_size=30,
        max_size=40,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_value_is_read_back(values: list[tuple[float, str]]) -> None:
    rows: Table = [["number", "text", "kind"], *([a, b, "uv"[i % 2]] for i, (a, b) in enumerate(values))]
    with tempfile.TemporaryDirectory() as folder:
        dataset = csv(written(Path(folder), rows), "kind", 0, standardize=False)
    texts = sorted({text for _, text in values})
    expected = torch.tensor([[a, *(float(text == known) for known in texts)] for a, text in values])
    found = whole(dataset, 0)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


def test_a_few_numbers_with_a_text_among_them_are_categories(tmp_path: Path) -> None:
    rows: Table = [["children", "kind"], *([("0", "1", "2", "3+")[i % 4], "uv"[i % 2]] for i in range(40))]
    assert csv(written(tmp_path, rows), "kind", 0).inputs == (4,)


def test_classes_may_be_numbers_and_a_text(tmp_path: Path) -> None:
    rows: Table = [["x", "code"], *([i, "other" if i % 31 == 30 else str(i % 31)] for i in range(310))]
    assert csv(written(tmp_path, rows), "code", 0, "classification").outputs == 31


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "marked.csv"
    path.write_bytes(b"\xef\xbb\xbfx,y\n" + b"".join(f"{i},{'ab'[i % 2]}\n".encode() for i in range(20)))
    assert csv(str(path), "y", 0).inputs == (1,)
    assert csv(str(path), "x", 0, "regression").inputs == (2,)


def change(row: int, column: int, value: Any) -> Table:
    rows = flowers()
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "target", "options", "message"),
    [
        (flowers(), "kin", {}, r"no column 'kin' \(did you mean 'kind'\?\); there are length, colour, wet, kind"),
        (flowers(), "kind", {"ignore": ("weather",)}, "no column 'weather'"),
        (flowers(), "kind", {"ignore": ("kind",)}, "target=kind is also to be ignored"),
        (flowers(), "kind", {"ignore": ("length", "colour", "wet")}, "no column beside kind"),
        (flowers(), "kind", {"ignore": ("length", "wet"), "group": "colour"}, "no column beside kind and colour"),
        (flowers(), "kind", {"group": "color"}, r"no column 'color' \(did you mean 'colour'\?\)"),
        (flowers(), "kind", {"group": "kind"}, "group=kind is also the target"),
        (flowers(), "kind", {"group": "wet", "ignore": ("wet",)}, "group=wet is also to be ignored"),
        (change(6, 2, ""), "kind", {"group": "wet"}, "column 'wet', row 6: a value is missing"),
        (change(1, 3, "lily"), "kind", {"group": "colour"}, "no group that is left for training has "),
        (flowers(), "length", {"group": "kind"}, "three groups or more, and there are 2: aster, rose"),
        (flowers(0), "kind", {}, "has no rows"),
        (change(3, 0, ""), "kind", {}, "column 'length', row 3: a value is missing .* and 0 more are"),
        (change(30, 1, "NA"), "kind", {}, "column 'colour', row 30: a value is missing"),
        (change(5, 3, ""), "kind", {}, "column 'kind', row 5: a value is missing"),
        (change(4, 0, "inf"), "kind", {}, "column 'length', row 4: inf is not a finite number of 32 bits"),
        (change(4, 0, 1e39), "kind", {}, r"column 'length', row 4: 1e\+39 is not a finite number"),
        (change(4, 2, 1e39), "wet", {"task": "regression"}, r"column 'wet', row 4: 1e\+39 is not a finite number"),
        (change(9, 0, "1,5"), "kind", {}, "column 'length', row 9: '1,5' has a comma, and numbers have a point"),
        (change(9, 2, "?"), "kind", {}, r"column 'wet', row 9: a value is missing \('\?' in a column of numbers\)"),
        (change(9, 2, "Unknown"), "wet", {}, r"column 'wet', row 9: a value is missing .* fill it in"),
        ([["x", "kind"], *([f"{i},5", "ab"[i % 2]] for i in range(30))], "kind", {}, "row 1: '0,5' has a comma, and numbers"),
        (change(9, 0, "tall"), "length", {}, "column 'length', row 9: 'tall' is a text in a column of numbers"),
        (flowers(), "kind", {"task": "regression"}, "needs numbers, and target 'kind' has texts such as 'rose'"),
        (flowers(), "length", {"task": "classification"}, "texts or whole numbers, and target 'length' has 0.14"),
        (change(7, 3, "lily"), "kind", {}, r"too few samples .*: lily \(1\)"),
        ([["x", "kind"], *([i, "rose"] for i in range(9))], "kind", {}, "target 'kind' has one class only: rose"),
        ([["x", "x", "kind"], *([i, i, "ab"[i % 2]] for i in range(9))], "kind", {}, "several columns are called 'x'"),
        ([["x", "kind"], *([f"n{i}", "ab"[i % 2]] for i in range(300))], "kind", {}, "column 'x' has 300 different texts"),
        (flowers(), "kind", {"valid": 0.5, "test": 0.5}, "leave nothing for training"),
        ([*flowers(), [1, "red", 2, "rose", 9]], "kind", {}, "can't be read as CSV"),
        ([*flowers(), [1, "red"]], "kind", {}, "row 31: a value is missing"),
        ([], "kind", {}, "can't be read as CSV"),
    ],
)
def test_tables_that_can_t_be_used_are_refused_with_the_place(
    tmp_path: Path, rows: Table, target: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        csv(written(tmp_path, rows), target, 0, **options)


def test_files_that_are_not_there_or_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file .*missing.csv"):
        csv(str(tmp_path / "missing.csv"), "y", 0)
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(ValueError, match="noise.csv can't be read as CSV"):
        csv(str(tmp_path / "noise.csv"), "y", 0)
