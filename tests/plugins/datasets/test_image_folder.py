"""Pictures from folders: each with its own class, seen as Pillow sees them; and which folders are refused."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from weft_basics.datasets.image_folder import image_folder

SPLITS = ("train", "valid", "test")
KINDS = ("cat", "dog", "emu")


def picture(number: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
    """Return a picture, (height, width), all of one colour, which tells its number."""
    return Image.new("RGB", size[::-1], (number, 255 - number, 7))


def saved(folder: Path, number: int, name: str = "{}.png", **given: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name.format(f"{number:03}")
    picture(number, **given).save(path)
    return path


def kinds(folder: Path, each: int = 8, first: int = 0) -> Path:
    """Fill a folder with classes of as many pictures each, whose numbers are 100 to a class."""
    for label, kind in enumerate(KINDS):
        for index in range(each):
            saved(folder / kind, 100 * label % 256 + first + index)
    return folder


def numbers(dataset: Any, split: str) -> list[int]:
    """Return the numbers of the pictures in a split: what their red is."""
    return (getattr(dataset, split)[0][:, 0, 0, 0] * 255).round().int().tolist()


def test_a_folder_is_a_class_and_a_file_a_sample(tmp_path: Path) -> None:
    dataset = image_folder(str(kinds(tmp_path)), 0)
    assert (dataset.task, dataset.inputs, dataset.outputs, dataset.classes) == ("classification", (3, 6, 4), 3, KINDS)
    assert dataset.source == str(tmp_path)
    seen = []
    for split in SPLITS:
        inputs, targets = getattr(dataset, split)
        assert inputs.dtype == torch.float32
        assert set(targets.tolist()) == {0, 1, 2}
        for image, number, label in zip(inputs, numbers(dataset, split), targets.tolist(), strict=True):
            expected = np.asarray(picture(number)).transpose(2, 0, 1) / 255
            np.testing.assert_allclose(image.numpy(), expected, atol=1e-6)
            assert number // 100 == label
            seen.append(number)
    assert sorted(seen) == [100 * label + index for label in range(3) for index in range(8)]


def test_the_same_seed_gives_the_same_splits_and_another_others(tmp_path: Path) -> None:
    first, again, other = (image_folder(str(kinds(tmp_path)), seed) for seed in (3, 3, 4))
    assert [numbers(first, split) for split in SPLITS] == [numbers(again, split) for split in SPLITS]
    assert numbers(first, "train") != numbers(other, "train")


def test_grey_is_one_channel_by_the_eye_s_weights(tmp_path: Path) -> None:
    dataset = image_folder(str(kinds(tmp_path)), 0, colour=False)
    assert dataset.inputs == (1, 6, 4)
    red = np.array([100 * label + index for label in range(3) for index in range(8)])
    expected = 0.299 * red + 0.587 * (255 - red) + 0.114 * 7
    found = torch.cat([getattr(dataset, split)[0][:, 0, 0, 0] for split in SPLITS]) * 255
    assert sorted(found.tolist()) == pytest.approx(sorted(expected), abs=1)


def test_pictures_are_brought_to_a_size(tmp_path: Path) -> None:
    kinds(tmp_path)
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 255
    Image.fromarray(half).save(tmp_path / "cat" / "wide.png")
    dataset = image_folder(str(tmp_path), 0, size=(2, 4))
    assert dataset.inputs == (3, 2, 4)
    inputs = torch.cat([getattr(dataset, split)[0] for split in SPLITS])
    wide = next(image for image in inputs if image[0, 0, 0] < 0.01 and image[1, 0, 0] < 0.1)
    # Pillow's triangle over twice the pixels of one: halves meet between the second and the third.
    assert wide[0, 0].tolist() == pytest.approx([0, 0.125, 0.875, 1], abs=0.01)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".gif", ".tif", ".ppm", ".webp", ".jpg", ".jpeg"])
def test_all_types_are_read(tmp_path: Path, suffix: str) -> None:
    kinds(tmp_path)
    for file in sorted((tmp_path / "cat").iterdir()):
        Image.open(file).save(file.with_suffix(suffix))
        if suffix != ".png":
            file.unlink()
    dataset = image_folder(str(tmp_path), 0)
    found = sorted(number for split in SPLITS for number in numbers(dataset, split))[:8]
    assert found == pytest.approx(list(range(8)), abs=3)  # JPEG and GIF are not exact


def replaced(tmp_path: Path, image: Image.Image, name: str = "000.png", **given: Any) -> torch.Tensor:
    """Return how a picture is read that takes the place of the first, which is always among those for training."""
    for label, kind in enumerate(("a", "b")):
        for index in range(4):
            saved(tmp_path / "train" / kind, 100 * label + index, size=image.size[::-1])
            saved(tmp_path / "test" / kind, 50, size=image.size[::-1])
            saved(tmp_path / "valid" / kind, 50, size=image.size[::-1])
    (tmp_path / "train" / "a" / "000.png").unlink()
    image.save(tmp_path / "train" / "a" / name, **given)
    found: torch.Tensor = image_folder(str(tmp_path), 0).train[0][0]
    return found


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    levels = (np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)
    for name in ("000.png", "000.tif", "000.ppm"):
        image = replaced(tmp_path / name, Image.fromarray(levels), name)
        np.testing.assert_allclose(image[0].numpy(), levels / 65535, atol=1 / 255)


def test_a_picture_is_turned_as_its_camera_noted(tmp_path: Path) -> None:
    pixels = np.zeros((5, 5, 3), np.uint8)
    pixels[0, 4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: turn by 90 degrees clockwise
    image = replaced(tmp_path, Image.fromarray(pixels), exif=exif)
    assert torch.nonzero(image[0]).tolist() == [[4, 4]]


def test_transparency_palettes_and_animations_are_read_without_a_word(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (3, 3), (255, 0, 0, 0))
    assert replaced(tmp_path / "clear", clear)[:, 0, 0].tolist() == [1, 0, 0]
    palette = Image.new("P", (3, 3), 1)
    palette.putpalette([0, 0, 0, 0, 255, 0])
    image = replaced(tmp_path / "palette", palette, transparency=bytes([0, 128]))
    assert image[:, 0, 0].tolist() == [0, 1, 0]
    moving = replaced(
        tmp_path / "moving", Image.new("L", (3, 3), 255), "000.gif", save_all=True, append_images=[Image.new("L", (3, 3))]
    )
    assert float(moving.min()) == 1


def test_folders_can_be_the_splits(tmp_path: Path) -> None:
    for place, split in enumerate(SPLITS):
        kinds(tmp_path / split, each=3 + place, first=10 * place)
    dataset = image_folder(str(tmp_path), 0)
    for place, split in enumerate(SPLITS):
        assert numbers(dataset, split) == [100 * label + 10 * place + index for label in range(3) for index in range(3 + place)]


@pytest.mark.parametrize("name", ["valid", "val", "Validation", "dev", "DEVELOPMENT"])
def test_a_split_that_is_missing_is_taken_from_train(tmp_path: Path, name: str) -> None:
    kinds(tmp_path / "train", each=10)
    kinds(tmp_path / name, each=2, first=20)
    dataset = image_folder(str(tmp_path), 0, test=0.2)
    assert numbers(dataset, "valid") == [100 * label + 20 + index for label in range(3) for index in range(2)]
    assert torch.bincount(dataset.test[1]).tolist() == [2, 2, 2]
    assert sorted(numbers(dataset, "train") + numbers(dataset, "test")) == [100 * a + b for a in range(3) for b in range(10)]


def test_splits_are_known_by_their_other_names_and_one_alone_may_be_a_class(tmp_path: Path) -> None:
    kinds(tmp_path / "images" / "Training", each=10)
    kinds(tmp_path / "images" / "TESTING", each=2, first=20)
    assert len(image_folder(str(tmp_path / "images"), 0).test[1]) == 6
    for name in ("train", "bus", "tram"):
        for number in range(5):
            saved(tmp_path / "vehicles" / name, number)
    assert image_folder(str(tmp_path / "vehicles"), 0).classes == ("bus", "train", "tram")


def test_names_can_tell_class_and_group(tmp_path: Path) -> None:
    for number in range(24):
        saved(tmp_path / "all" / f"patient{number // 4}", number, name=f"{'sick' if number % 2 else 'well'}.{{}}.png")
    dataset = image_folder(str(tmp_path), 0, "all/{group}/{label}.{index}.png", "group")
    assert dataset.classes == ("sick", "well")
    owned = [{number // 4 for number in numbers(dataset, split)} for split in SPLITS]
    assert sorted(group for several in owned for group in several) == list(range(6))
    for split in SPLITS:
        assert getattr(dataset, split)[1].tolist() == [1 - number % 2 for number in numbers(dataset, split)]


def test_names_can_tell_the_split(tmp_path: Path) -> None:
    for number in range(24):
        split = ("Train", "train", "test")[number % 3]
        saved(tmp_path, number, name=f"{split}_{'sick' if number % 2 else 'well'}_{{}}.png")
    dataset = image_folder(str(tmp_path), 0, "{split}_{label}_{index}.png", valid=0.2)
    assert numbers(dataset, "test") == sorted(range(2, 24, 3), key=lambda number: 1 - number % 2)
    assert sorted(numbers(dataset, "train") + numbers(dataset, "valid")) == [n for n in range(24) if n % 3 != 2]
    with pytest.raises(ValueError, match="says which split a file is in, and so does split=group"):
        image_folder(str(tmp_path), 0, "{split}_{label}_{group}.png", "group")
    with pytest.raises(ValueError, match=r"sick_003.png: 003 is no split; there are train, training, valid"):
        image_folder(str(tmp_path), 0, "{index}_{label}_{split}.png")


def test_what_is_hidden_is_passed_over_and_folders_may_be_nested_or_links(tmp_path: Path) -> None:
    folder = kinds(tmp_path / "pictures")
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini", "readme.txt", "cat/._000.png"):
        (folder / name).write_bytes(b"no picture")
    (folder / ".git").mkdir()
    saved(folder / "cat" / "more.png", 30)
    saved(tmp_path / "elsewhere", 31)
    (folder / "cat" / "others").symlink_to(tmp_path / "elsewhere")
    dataset = image_folder(str(folder), 0)
    found = sorted(number for split in SPLITS for number in numbers(dataset, split))
    assert found == sorted([100 * label + index for label in range(3) for index in range(8)] + [30, 31])


def emptied(folder: Path) -> None:
    for kind in KINDS:
        for file in (folder / kind).iterdir():
            file.unlink()
        (folder / kind).rmdir()


def only(folder: Path) -> None:
    for kind in KINDS[1:]:
        for file in (folder / kind).iterdir():
            file.unlink()
        (folder / kind).rmdir()


def few(folder: Path) -> None:
    for file in sorted((folder / "dog").iterdir())[2:]:
        file.unlink()


def cut(folder: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    file = folder / "dog" / "broken.jpg"
    Image.fromarray(noisy).save(file)
    file.write_bytes(file.read_bytes()[:900])


def bomb(folder: Path) -> None:
    file = saved(folder / "dog", 99, name="bomb.png")
    data = bytearray(file.read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    file.write_bytes(data)


def splits(folder: Path, *names: str) -> None:
    emptied(folder)
    for name in names:
        kinds(folder / name)


REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "empty": (emptied, {}, "has no folders in it: one for each class is needed, or a pattern"),
    "one class": (only, {}, "has one class only: cat"),
    "no sample of a class": (lambda folder: (folder / "fox").mkdir(), {}, "the folder .*fox has nothing in it"),
    "too few of a class": (few, {}, r"too few samples .*: dog \(2\)"),
    "broken": (cut, {}, r"dog/broken.jpg can't be read as a picture: .*truncated"),
    "bomb": (bomb, {}, r"dog/bomb.png can't be read as a picture: .*decompression bomb"),
    "no picture": (lambda folder: (folder / "emu/x.png").write_bytes(b"hello"), {}, r"emu/x.png can't be read as a picture"),
    "nothing": (lambda folder: (folder / "emu/x.png").write_bytes(b""), {}, r"emu/x.png can't be read as a picture"),
    "other type": (lambda folder: (folder / "emu/x.heic").write_bytes(b""), {}, r"emu/x.heic is none of .png, .jpg"),
    "other size": (lambda folder: saved(folder / "emu", 1, size=(9, 5)), {}, r"000.png is \[6, 4\], .*emu/001.png \[9, 5\]"),
    "no class": (lambda folder: saved(folder, 1), {}, "001.png is in no class's folder"),
    "link": (lambda folder: (folder / "emu/x.png").symlink_to("nowhere"), {}, "emu/x.png is neither a file nor a folder"),
    "loop": (lambda folder: (folder / "emu/x").symlink_to("."), {}, "the link .*emu/x leads back"),
    "pipe": (lambda folder: os.mkfifo(folder / "emu/x.png"), {}, "emu/x.png is neither a file nor a folder"),
    "real": (
        lambda folder: Image.fromarray(np.zeros((6, 4), np.float32)).save(folder / "emu/x.tif"),
        {},
        "emu/x.tif can't be read as a picture: its pixels are neither of 8 nor of 16 bits",
    ),
    "no train": (lambda folder: splits(folder, "test", "val"), {}, "has the splits test, val: it needs train"),
    "two of a split": (lambda folder: splits(folder, "train", "valid", "val"), {}, "may have one valid and one test"),
    "split beside others": (
        lambda folder: splits(folder, "train", "holdout", "Test"),
        {},
        "has the splits Test, train and beside them holdout: are its folders splits, or classes",
    ),
    "class of one split": (
        lambda folder: (splits(folder, "train", "test"), saved(folder / "test" / "cats", 1)),
        {},
        r"test/cats/001.png is of a class that train has not: cats \(did you mean 'cat'\?\)",
    ),
    "group without pattern": (lambda _: None, {"split": "group"}, r"split=group needs a pattern with \{group\} in it"),
    "group without group": (
        lambda _: None,
        {"split": "group", "pattern": "{label}/{gruop}.png"},
        r"has no \{group\} \(did you mean 'gruop'\?\)",
    ),
    "shares": (lambda _: None, {"valid": 0.5, "test": 0.5}, "leave nothing for training"),
}


@pytest.mark.parametrize(("harm", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_folders_that_can_t_be_used_are_refused_with_the_place(
    tmp_path: Path, harm: Callable[[Path], Any], options: dict[str, Any], message: str
) -> None:
    harm(kinds(tmp_path))
    with pytest.raises(ValueError, match=message):
        image_folder(str(tmp_path), 0, **options)


def test_paths_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder .*missing"):
        image_folder(str(tmp_path / "missing"), 0)
    file = saved(tmp_path, 1)
    with pytest.raises(ValueError, match=r"001.png is a file, not a folder"):
        image_folder(str(file), 0)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    kinds(tmp_path)
    listed, opened = Path.iterdir, Image.open

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    if what == "folder":
        monkeypatch.setattr(Path, "iterdir", lambda path: refuse() if path.name == "dog" else listed(path))
    else:
        monkeypatch.setattr(Image, "open", lambda file, **given: refuse() if "dog" in str(file) else opened(file, **given))
    with pytest.raises(ValueError, match=r"dog.* can't be read.*: .*Permission denied"):
        image_folder(str(tmp_path), 0)
