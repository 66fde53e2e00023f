"""The archives with boxes and points: sizes and counts as their README says, exact targets, no source on two sides."""

from __future__ import annotations

import csv
import dataclasses
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.random import RandomState
from PIL import Image

from pipeline.data.bundled import scenes
from pipeline.data.bundled.clocks import POINTS, SIDE, draw_clock
from pipeline.data.bundled.digits import find_form
from tests.data.test_bundled import find_archive

SCENES = ["digits_scenes", "digits_located"]
BOX = ("x_min", "y_min", "x_max", "y_max")
Rows = list[dict[str, str]]


@cache
def read_rows(name: str) -> Rows:
    with zipfile.ZipFile(find_archive(name)) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))


@cache
def read_images(name: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(find_archive(name)) as archive:
        names = [each for each in archive.namelist() if each.endswith(".jpg")]
        return {each: np.asarray(Image.open(io.BytesIO(archive.read(each)))) for each in names}


def test_archives_are_small_enough_for_git() -> None:
    sizes = {name: find_archive(name).stat().st_size for name in [*SCENES, "clocks"]}
    assert max(sizes.values()) <= 3_000_000
    assert sum(sizes.values()) <= 8_000_000


@pytest.mark.parametrize("name", [*SCENES, "clocks"])
def test_each_image_has_rows_of_one_split(name: str) -> None:
    splits = defaultdict(set)
    for row in read_rows(name):
        splits[row["file"]].add(row["split"])
    assert splits.keys() == read_images(name).keys()
    assert all(len(each) == 1 for each in splits.values())
    assert all(file.startswith(f"images/{next(iter(each))}_") for file, each in splits.items())


@pytest.mark.parametrize(
    ("name", "side", "most", "counts"),
    [("digits_scenes", 128, 6, (1200, 200, 400)), ("digits_located", 64, 1, (1800, 300, 400))],
)
def test_scenes_have_the_objects_that_their_readme_says(
    name: str, side: int, most: int, counts: tuple[int, ...]
) -> None:
    assert {image.shape for image in read_images(name).values()} == {(side, side)}
    num_digits: dict[str, Counter[str]] = {split: Counter() for split in ("train", "val", "test")}
    for row in read_rows(name):
        num_digits[row["split"]][row["file"]] += row["class"] != ""
    assert tuple(len(each) for each in num_digits.values()) == counts
    for each in num_digits.values():
        assert Counter(each.values())[0] == len(each) // 10
        assert max(each.values()) == most


@pytest.mark.parametrize("name", SCENES)
def test_boxes_are_inside_and_of_the_size_of_a_digit_and_apart(name: str) -> None:
    side = len(next(iter(read_images(name).values())))
    boxes = defaultdict(list)
    for row in read_rows(name):
        cells = [row[key] for key in (*BOX, "class")]
        assert all(cells) or not any(cells)
        if row["class"]:
            boxes[row["file"]].append([int(row[key]) for key in BOX])
    every = np.array([box for each in boxes.values() for box in each])
    assert every.min() >= 0
    assert every.max() <= side
    lengths = every[:, 2:] - every[:, :2]
    assert lengths.max() <= 48
    assert lengths.max(axis=1).min() >= 8
    for each in boxes.values():
        covered = np.zeros((side, side), int)
        for x_min, y_min, x_max, y_max in each:
            covered[y_min:y_max, x_min:x_max] += 1
        assert covered.max() == 1


def test_a_box_is_that_of_the_ink() -> None:
    glyph = np.zeros((8, 8), np.uint8)
    glyph[2:6, 3:5] = 255
    scene = np.full((64, 64), 100.0)
    (box,) = scenes.add_digits(scene, glyph[None], RandomState(3), smallest=24)
    changed = np.abs(scene - 100)
    rows, columns = np.nonzero(changed >= changed.max() / 2)
    assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert (box[3] - box[1]) / (box[2] - box[0]) == pytest.approx(2, rel=0.2)


def test_a_scene_without_room_gets_fewer_digits() -> None:
    full = np.full((30, 8, 8), 255, np.uint8)
    boxes = scenes.add_digits(np.full((64, 64), 100.0), full, RandomState(0), smallest=16)
    assert 1 <= len(boxes) < 16


@pytest.mark.parametrize("name", SCENES)
def test_no_form_and_no_photograph_is_on_two_sides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes into each scene is noted while it is made; few scenes of each split are enough."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    known = {
        (each * 255 / 16).round().astype(np.uint8).tobytes(): i for i, each in enumerate(load_digits().images)
    }
    forms, photographs = defaultdict(set), defaultdict(set)
    counts = {"train": 60, "val": 60, "test": 60}
    few = dataclasses.replace(scenes.COLLECTIONS[name], num_scenes=counts)
    monkeypatch.setitem(scenes.COLLECTIONS, name, few)
    splits: Iterator[str] = iter([split for split, count in counts.items() for _ in range(count)])
    split = ""

    def crop(photograph: np.ndarray, side: int, random: RandomState) -> np.ndarray:
        nonlocal split
        split = next(splits)
        photographs[split].add(photograph.tobytes())
        return made_crop(photograph, side, random)

    def noting(write: Callable[..., object]) -> Callable[..., object]:
        def note(scene: np.ndarray, glyphs: np.ndarray, *rest: object, **options: object) -> object:
            forms[split] |= {find_form(known[glyph.tobytes()]) for glyph in glyphs}
            return write(scene, glyphs, *rest, **options)

        return note

    made_crop = scenes.crop_photograph
    monkeypatch.setattr(scenes, "crop_photograph", crop)
    for writer in ("add_digits", "add_fragments"):
        monkeypatch.setattr(scenes, writer, noting(getattr(scenes, writer)))
    scenes.list_scenes(name)
    assert forms == {"train": {0, 1, 3, 5, 6, 7, 9, 11, 13}, "val": {2, 10}, "test": {4, 8, 12}}
    assert [len(photographs[each]) for each in ("train", "val", "test")] == [6, 2, 3]
    assert len(set().union(*photographs.values())) == 11


def angle(start: Sequence[float], end: Sequence[float]) -> float:
    """Return the direction in degrees, clockwise from the top."""
    return float(np.degrees(np.arctan2(end[0] - start[0], start[1] - end[1]))) % 360


def test_hands_of_a_clock_tell_one_time() -> None:
    for row in read_rows("clocks"):
        centre, hour, minute = ([float(row[f"{name}_{axis}"]) for axis in "xy"] for name in POINTS)
        assert min(*centre, *hour, *minute) > 0
        assert max(*centre, *hour, *minute) < SIDE
        lengths = [float(np.hypot(*np.subtract(tip, centre))) for tip in (hour, minute)]
        assert lengths[0] < 0.8 * lengths[1]
        # The clock is turned by 10 degrees at most, which turns the minutes by as much as the hours.
        turns = np.linspace(-10, 10, 401)
        differences = angle(centre, minute) - turns - 12 * (angle(centre, hour) - turns)
        assert np.abs((differences + 180) % 360 - 180).min() < 3  # places are written with two digits


def test_tip_of_a_hand_is_where_its_ink_ends() -> None:
    picture, (centre, hour, _) = draw_clock(RandomState([0, 0, 8]))
    along = np.subtract(hour, centre) / np.hypot(*np.subtract(hour, centre))
    inside, outside = (np.add(hour, along * step) for step in (-2, 3))
    ink, ground = (picture[int(y), int(x)] for x, y in (inside, outside))
    assert abs(ink - ground) > 40
