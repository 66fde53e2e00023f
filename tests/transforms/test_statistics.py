"""Statistics: those of numpy on the whole array, however it is cut, in memory that does not grow."""

import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.transforms import statistics
from pipeline.transforms.statistics import Statistics, cut_tiles, measure, pieces_of, principal_axes
from tests.transforms.photographs import photographs

NUMBERS = ("mean", "deviation", "covariance", "pixels")
WHITENING = ("mean", "variances", "axes")
PATCHES = [None, (2, 2), (4, 3), (4, 6)]


SMAPS = Path("/proc/self/smaps")


def resident(path: Path) -> int:
    """Return how many bytes of a mapped file are in the memory of this process."""
    (mapping,) = re.findall(rf"{re.escape(str(path))}\n(?:.+\n)*?Rss: +(\d+) kB", SMAPS.read_text())
    return int(mapping) * 1024


def assert_equal(one: Statistics, other: Statistics) -> None:
    """Ask for the same bits."""
    for name in NUMBERS:
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.mean_image, other.mean_image)
    assert (one.whitening is None) == (other.whitening is None)
    for part in WHITENING if one.whitening else ():
        np.testing.assert_array_equal(getattr(one.whitening, part), getattr(other.whitening, part))


@settings(deadline=None)
@given(
    count=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    top=st.integers(1, 255),
    seed=st.integers(0, 99),
)
def test_numbers_are_those_of_numpy(count: int, channels: int, top: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, top + 1, (count, 5, 4, channels), dtype=np.uint8)
    values = images / 255
    found = measure([images], patch=None)
    np.testing.assert_allclose(found.mean, values.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, values.std(axis=(0, 1, 2)), rtol=1e-9, atol=1e-12)
    covariance = np.cov(values.reshape(-1, channels), rowvar=False, bias=True).reshape(channels, channels)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found.mean_image, values.mean(axis=0), rtol=1e-12)
    assert (found.pixels, found.whitening) == (count * 20, None)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("patch", PATCHES[1:])
def test_axes_of_tiles_are_those_of_numpy(patch: tuple[int, int], channels: int) -> None:
    images = photographs(60, sides=(4, 6), channels=channels)
    found = measure([images], patch=patch).whitening
    assert found is not None
    tiles = cut_tiles(images, patch) / 255
    np.testing.assert_allclose(found.mean, tiles.mean(axis=0), rtol=1e-12)
    covariance = np.cov(tiles, rowvar=False, bias=True)
    np.testing.assert_allclose(found.axes * found.variances @ found.axes.T, covariance, rtol=0, atol=1e-12)
    np.testing.assert_allclose(((tiles - found.mean) @ found.axes).var(axis=0), found.variances, atol=1e-12)


@settings(deadline=None)
@given(step=st.integers(1, 12), patch=st.sampled_from(PATCHES))
def test_result_does_not_depend_on_the_cut(step: int, patch: tuple[int, int] | None) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(statistics, "PIECE", step * images[0].size)
        pieces = list(pieces_of(images))
        assert max(map(len, pieces)) == min(step, 10)
        np.testing.assert_array_equal(np.concatenate(pieces), images)
        # What the axes are computed from, and not what LAPACK makes of it.
        changed.setattr(statistics, "principal_axes", lambda matrix: (np.diagonal(matrix), matrix))
        assert_equal(measure(pieces, patch=patch), measure([images], patch=patch))


def test_image_larger_than_a_piece_is_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "PIECE", 5)
    assert [len(piece) for piece in pieces_of(np.zeros((3, 4, 4, 1), np.uint8))] == [1, 1, 1]


@pytest.mark.parametrize("patch", [None, (8, 8)])
def test_memory_does_not_grow_with_the_number_of_images(patch: tuple[int, int] | None) -> None:
    def pieces(count: int) -> Iterator[NDArray[np.uint8]]:
        return (photographs(32, sides=(16, 16), channels=3, seed=seed) for seed in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        measure(pieces(count), patch=patch)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)  # what is allocated once for all
    assert peak(40) == pytest.approx(peak(4), rel=0.1)


def test_pieces_of_a_memory_map_leave_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not SMAPS.exists():
        pytest.skip("only Linux tells what of a memory map is in memory")
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (512, 256, 256, 1), dtype=np.uint8))
    monkeypatch.setattr(statistics, "PIECE", 2**20)
    images = np.load(path, mmap_mode="r")
    seen = []
    for piece in pieces_of(images):
        assert piece.any()
        seen.append(resident(path))
    assert len(seen) == 32
    assert min(seen) >= 2**20
    assert max(seen) <= images.nbytes / 4  # the system maps up to some megabytes more than was asked for
    np.testing.assert_array_equal(images, np.load(path))


@pytest.mark.parametrize("mode", ["c", None])
def test_changes_in_memory_are_not_forgotten(mode: str | None, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 4, 4, 1), np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode=mode)
    images[:] = 255
    for _ in range(2):
        assert measure(pieces_of(images), patch=None).mean == [1]


@pytest.mark.parametrize("patch", PATCHES)
def test_result_does_not_depend_on_the_parts_of_a_piece(
    patch: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 3), dtype=np.uint8)
    monkeypatch.setattr(statistics, "principal_axes", lambda matrix: (np.diagonal(matrix), matrix))
    whole = measure([images], patch=patch)
    monkeypatch.setattr(statistics, "PART", 7)
    assert_equal(measure([images], patch=patch), whole)


def test_sums_of_many_bright_images_do_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.broadcast_to(np.uint8(255), (2**24, 1, 1, 1))  # their sum is above 2**32 - 1 - 255
    found = measure([images[1:], images[1:]], patch=None)
    assert (found.mean, found.mean_image.tolist(), found.deviation) == ([1], [[[1]]], [0])


@pytest.mark.parametrize("num_pixels", [1, 7, 49, 30_720])
def test_deviation_of_a_constant_is_exactly_zero(num_pixels: int) -> None:
    for value in range(256):
        images = np.full((num_pixels, 1, 1, 1), value, np.uint8)
        found = measure([images], patch=None)
        assert found.deviation == [0]
        assert found.mean == pytest.approx([value / 255])


def test_values_of_four_pixels_by_hand() -> None:
    images = np.array([[[[0, 255]], [[255, 255]]], [[[0, 0]], [[255, 255]]]], np.uint8)
    found = measure([images], patch=(2, 1))
    assert found.mean == [0.5, 0.75]
    assert found.deviation == [0.5, pytest.approx(np.sqrt(3) / 4)]
    assert found.covariance == [[0.25, 0.125], [0.125, 0.1875]]
    assert found.pixels == 4
    np.testing.assert_array_equal(found.mean_image, [[[0, 0.5]], [[1, 1]]])
    assert found.whitening is not None  # two tiles: (0, 255, 255, 255) and (0, 255, 0, 255)
    np.testing.assert_array_equal(found.whitening.mean, [0, 1, 0.5, 1])
    np.testing.assert_array_equal(found.whitening.variances, [0.25, 0, 0, 0])
    np.testing.assert_array_equal(found.whitening.axes[:, 0], [0, 0, 1, 0])


def test_tiles_are_ordered_by_channel_row_and_column() -> None:
    image = np.array(
        [  # each pixel tells its row, column and channel
            [[110, 111], [120, 121], [130, 131], [140, 141]],
            [[210, 211], [220, 221], [230, 231], [240, 241]],
        ],
        np.uint8,
    )
    wanted = [
        [110, 120, 210, 220, 111, 121, 211, 221],
        [130, 140, 230, 240, 131, 141, 231, 241],
    ]
    np.testing.assert_array_equal(cut_tiles(image[None], (2, 2)), wanted)
    rows = [[110, 120, 130, 140, 111, 121, 131, 141], [210, 220, 230, 240, 211, 221, 231, 241]]
    np.testing.assert_array_equal(cut_tiles(image[None], (1, 4)), rows)
    two = np.stack([image, image // 2])
    np.testing.assert_array_equal(cut_tiles(two, (2, 2)), [*wanted, *(np.array(wanted) // 2)])


@settings(deadline=None)
@given(size=st.integers(1, 12), rank=st.integers(0, 12), seed=st.integers(0, 99))
def test_axes_are_orthonormal_sorted_and_turned_one_way(size: int, rank: int, seed: int) -> None:
    factors = np.random.default_rng(seed).normal(size=(size, rank))
    covariance = factors @ factors.T
    variances, axes = principal_axes(covariance)
    np.testing.assert_allclose(axes.T @ axes, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(axes * variances @ axes.T, covariance, atol=1e-10)
    assert (np.diff(variances) <= 0).all()
    assert (variances >= 0).all()
    assert (axes.max(axis=0) == np.abs(axes).max(axis=0)).all()


def test_colour_axes_by_hand() -> None:
    # Red and green vary together, blue by itself and more.
    covariance = [[0.25, 0.25, 0.0], [0.25, 0.25, 0.0], [0.0, 0.0, 0.75]]
    found = Statistics([0.5] * 3, [0.5] * 3, covariance, 1, np.zeros((1, 1, 3)))
    variances, axes = found.colour_axes()
    half = np.sqrt(0.5)
    np.testing.assert_allclose(variances, [0.75, 0.5, 0], atol=1e-15)
    np.testing.assert_allclose(axes[:, :2], [[0, half], [0, half], [1, 0]], atol=1e-15)
    np.testing.assert_allclose(np.abs(axes[:, 2]), [half, half, 0], atol=1e-15)


@pytest.mark.parametrize("patch", PATCHES)
def test_load_undoes_save(patch: tuple[int, int] | None, tmp_path: Path) -> None:
    found = measure([photographs(9, sides=(4, 6), channels=3)], patch=patch)
    found.save(tmp_path)
    assert_equal(Statistics.load(tmp_path), found)
    white = {"whitening_mean.npy", "whitening_variances.npy", "whitening_axes.npy"} if patch else set()
    assert {path.name for path in tmp_path.iterdir()} == {"statistics.json", "mean_image.npy"} | white


def test_load_undoes_save_of_numbers_hard_to_write(tmp_path: Path) -> None:
    found = Statistics(
        [0.1, 1 / 3], [2 / 3, 1e-17], [[5e-324, -0.1], [-0.1, 2.5]], 10**12, np.zeros((1, 1, 2))
    )
    found.save(tmp_path)
    assert_equal(Statistics.load(tmp_path), found)


def test_centred_keeps_the_middle_of_the_mean_image_and_all_else() -> None:
    found = measure([photographs(9, sides=(8, 6), channels=3)], patch=(2, 2))
    centre = found.centred(4, 6)
    np.testing.assert_array_equal(centre.mean_image, found.mean_image[2:6])
    assert (centre.mean, centre.covariance, centre.whitening) == (
        found.mean,
        found.covariance,
        found.whitening,
    )
    np.testing.assert_array_equal(found.centred(5, 3).mean_image, found.mean_image[1:6, 1:4])
    assert_equal(found.centred(8, 6), found)


def test_principal_axes_do_not_depend_on_the_threads_of_blas() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2000, 512)).astype(np.float64)
    covariance = np.cov(values.T)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(principal_axes(covariance))
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)
