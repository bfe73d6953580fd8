"""The folder that a run leaves of its gradients: the data, the pictures, the page."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from weft.telemetry import gradients, heatmap
from weft.telemetry.looks import KINDS, STATISTICS, Record
from weft.telemetry.page import curves, data, unpacked

LOOKS, EXPONENTS = [1, 50, 100], [-3, -2, -1, 0]


@pytest.fixture
def record() -> Record:
    draw = np.random.default_rng(0)
    names = ["layer.0.weight", "layer.0.bias", "</script><b>é", "last"]
    return Record(
        parameters=names,
        sizes=[6, 2, 3, 1],
        steps=np.array([1, 50, 100, 150]),
        statistics={name: draw.uniform(0.1, 1, (4, 4)).astype(np.float32) for name in STATISTICS},
        series=["layer.0", "</script><b>é", "last"],
        series_of=["layer.0", "layer.0", "</script><b>é", "last"],
        histogram_steps=np.array(LOOKS),
        exponents=np.array(EXPONENTS, dtype=np.int16),
        counts=draw.integers(0, 1000, (3, 3, 3, 2, 4)).astype(np.uint32),
        zeros=draw.integers(0, 1000, (3, 3, 3)).astype(np.uint32),
        nonfinite=draw.integers(0, 9, (3, 3, 3)).astype(np.uint32),
    )


class Reader(HTMLParser):
    """Takes a page apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._where = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._where = dict(attributes).get("id") or tag

    def handle_data(self, text: str) -> None:
        self.texts[self._where] = self.texts.get(self._where, "") + text


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


def test_the_data_comes_back_without_pickle(record: Record, tmp_path: Path) -> None:
    gradients.write(tmp_path / "g", "a run", record, {})
    with np.load(tmp_path / "g" / "histograms.npz", allow_pickle=False) as found:
        assert found["series"].tolist() == record.series
        assert found["kinds"].tolist() == list(KINDS)
        assert found["steps"].tolist() == LOOKS
        assert found["exponents"].tolist() == EXPONENTS
        for name in ("counts", "zeros", "nonfinite"):
            assert found[name].tolist() == getattr(record, name).tolist()
    with np.load(tmp_path / "g" / "statistics.npz", allow_pickle=False) as found:
        assert found["parameters"].tolist() == record.parameters
        assert found["series"].tolist() == record.series_of
        assert found["sizes"].tolist() == record.sizes
        assert found["steps"].tolist() == [1, 50, 100, 150]
        for name in STATISTICS:
            assert found[name].tolist() == record.statistics[name].tolist()


def test_there_is_a_picture_of_each_series_and_kind(record: Record, tmp_path: Path) -> None:
    gradients.write(tmp_path / "g", "a run", record, {})
    names = sorted(path.name for path in (tmp_path / "g" / "heatmaps").iterdir())
    assert names == sorted(
        f"{place:03d}_{name}_{kind}.png" for place, name in enumerate(["layer.0", "__script__b__", "last"]) for kind in KINDS
    )
    across, down = heatmap.cell(len(LOOKS), len(EXPONENTS) + 2)
    for name in names:
        with Image.open(tmp_path / "g" / "heatmaps" / name) as picture:
            assert picture.format == "PNG"
            width = heatmap.LEFT + 3 * across + heatmap.RIGHT
            assert picture.size == (width, heatmap.TOP + 6 * down + heatmap.BOTTOM)


def test_a_cell_s_colour_is_its_share(tmp_path: Path) -> None:
    """Large numbers stand above small ones; zeros and what isn't finite below them all."""
    counts = np.array([[0, 10, 0, 90], [0, 0, 0, 1000]])
    picture = heatmap.draw("é → title", np.array([1, 9]), np.array(EXPONENTS), counts, np.array([900, 0]), np.array([0, 0]))
    picture.save(tmp_path / "picture.png")
    across, down = heatmap.cell(2, 6)
    with Image.open(tmp_path / "picture.png") as opened:
        colours = opened.convert("RGB")
    palette = [tuple(colour) for colour in heatmap.palette().tolist()]

    def at(look: int, row: int) -> Any:
        return colours.getpixel((heatmap.LEFT + look * across + across // 2, heatmap.TOP + row * down + down // 2))

    def colour(share: float) -> Any:
        return palette[int(heatmap.shades(np.array([share]))[0])]

    assert [at(0, row) for row in range(6)] == [colour(share) for share in (0.09, 0, 0.01, 0, 0.9, 0)]
    assert [at(1, row) for row in range(6)] == [colour(share) for share in (1, 0, 0, 0, 0, 0)]
    assert at(1, 0) == (0xFD, 0xE7, 0x25)
    assert at(1, 1) == palette[2]
    brightness = [sum(colour(10.0**-decade)) for decade in range(7)]
    assert brightness == sorted(brightness, reverse=True)
    assert colour(1e-9) == colour(1e-6) != colour(0)


def test_the_page_needs_nothing_else(record: Record, tmp_path: Path) -> None:
    gradients.write(tmp_path / "g", "a <run> & more", record, {})
    reader = read(tmp_path / "g" / "gradients.html")
    source = (tmp_path / "g" / "gradients.html").read_text(encoding="utf-8")
    for tag, attributes in reader.tags:
        assert not {"src", "href", "srcset", "data", "action"} & attributes.keys(), tag
    assert not [tag for tag, _ in reader.tags if tag in ("link", "iframe", "object", "img", "b")]
    for scheme in ("http://", "https://", "//cdn", "@import", "url(", "fetch(", "XMLHttpRequest", "import("):
        assert scheme not in source.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    policy = next(attributes["content"] for tag, attributes in reader.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert reader.texts["title"].strip() == "Gradients of a <run> & more"
    assert [attributes["type"] for tag, attributes in reader.tags if tag == "input"] == ["range"]


def test_the_page_holds_the_data(record: Record, tmp_path: Path) -> None:
    gradients.write(tmp_path / "g", "a run", record, {})
    found = json.loads(read(tmp_path / "g" / "gradients.html").texts["data"])
    assert found["series"] == record.series
    assert (found["steps"], found["exponents"]) == (LOOKS, EXPONENTS)
    with np.load(tmp_path / "g" / "histograms.npz", allow_pickle=False) as kept:
        for name in ("counts", "zeros", "nonfinite"):
            assert np.array_equal(unpacked(found[name]), kept[name])
    assert found["curve_steps"] == [1, 50, 100, 150]


def test_curves_of_several_parameters_are_taken_together(record: Record) -> None:
    found = curves(record)
    norms, shares = record.statistics["grad_norm"].astype(float), record.statistics["grad_zeros"].astype(float)
    assert found["grad_norm"][:, 0] == pytest.approx(np.hypot(norms[:, 0], norms[:, 1]))
    assert found["grad_norm"][:, 1] == pytest.approx(norms[:, 2])
    assert found["grad_zeros"][:, 0] == pytest.approx((6 * shares[:, 0] + 2 * shares[:, 1]) / 8)


def test_long_curves_are_thinned_out_for_the_page(record: Record) -> None:
    many = {name: np.repeat(values, 900, 0) for name, values in record.statistics.items()}
    found = data(Record(**{**vars(record), "steps": np.arange(3600), "statistics": many}))
    assert found["curve_steps"] == [*range(0, 3600, 4)]
    assert unpacked(found["curves"]["grad_norm"]).shape == (900, 3)


def test_without_histograms_there_are_curves_alone(record: Record, tmp_path: Path) -> None:
    empty = {name: getattr(record, name)[:0] for name in ("histogram_steps", "counts", "zeros", "nonfinite")}
    gradients.write(tmp_path / "g", "a run", Record(**{**vars(record), **empty}), {})
    assert list((tmp_path / "g" / "heatmaps").iterdir()) == []
    assert json.loads(read(tmp_path / "g" / "gradients.html").texts["data"])["steps"] == []


def test_what_is_not_finite_is_written_alone_too(tmp_path: Path) -> None:
    gradients.write(tmp_path / "g", "a run", None, {"step": 4})
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["non_finite.json"]
    assert json.loads((tmp_path / "g" / "non_finite.json").read_text()) == {"step": 4}


def test_the_first_bad_gradient_is_found(record: Record) -> None:
    assert gradients.first_bad_gradient(None) is None
    record.statistics["grad_nonfinite"][:] = 0
    assert gradients.first_bad_gradient(record) is None
    record.statistics["grad_nonfinite"][2, 1:3] = 0.5
    record.statistics["grad_nonfinite"][3, 0] = 1
    assert gradients.first_bad_gradient(record) == (100, record.parameters[1:3])


@pytest.mark.integration
def test_a_browser_draws_the_page(record: Record, tmp_path: Path) -> None:
    """From a file, with no network."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    gradients.write(tmp_path / "g", "a run", record, {})
    drawn = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"),
            *("--virtual-time-budget=10000", "--dump-dom", (tmp_path / "g" / "gradients.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    page = tmp_path / "drawn.html"
    page.write_text(drawn.stdout, encoding="utf-8")
    reader = read(page)
    assert ("body", {"data-drawn": "yes"}) in reader.tags
    assert not reader.texts["problem"].strip()
    bars = [int(attributes["data-count"] or 0) for tag, attributes in reader.tags if tag == "rect"]
    shown = record.counts[-1, 0]  # the last step of the first series
    assert sorted(bars) == sorted(count for count in shown.reshape(-1).tolist() if count)
    total = int(shown[0].sum() + record.zeros[-1, 0, 0] + record.nonfinite[-1, 0, 0])
    assert reader.texts["gradient-caption"].startswith(f"{total} elements at step 100")
    assert len([tag for tag, attributes in reader.tags if tag == "polyline"]) == 4
    assert len([tag for tag, _ in reader.tags if tag == "option"]) == 3
