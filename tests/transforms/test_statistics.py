"""Statistics: those of numpy on the whole array, however it is cut."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.transforms import statistics
from pipeline.transforms.statistics import Statistics, channel_statistics, chunks


@settings(deadline=None)
@given(
    count=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    top=st.integers(1, 255),
    seed=st.integers(0, 99),
)
def test_mean_and_deviation_are_those_of_numpy(count: int, channels: int, top: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, top + 1, (count, 5, 4, channels), dtype=np.uint8)
    found = channel_statistics([images], channels=channels)
    np.testing.assert_allclose(found.mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, (images / 255).std(axis=(0, 1, 2)), rtol=1e-9, atol=1e-12)
    assert found.pixels == count * 20


@settings(deadline=None)
@given(chunk=st.integers(1, 12))
def test_result_does_not_depend_on_the_cut(chunk: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "CHUNK", chunk)
        pieces = list(chunks(images))
    assert max(map(len, pieces)) <= chunk
    np.testing.assert_array_equal(np.concatenate(pieces), images)
    assert channel_statistics(pieces, channels=3) == channel_statistics([images], channels=3)


@pytest.mark.parametrize("num_pixels", [1, 7, 49, 30_720])
def test_deviation_of_a_constant_is_exactly_zero(num_pixels: int) -> None:
    for value in range(256):
        images = np.full((num_pixels, 1, 1, 1), value, np.uint8)
        found = channel_statistics([images], channels=1)
        assert found.deviation == [0]
        assert found.mean == pytest.approx([value / 255])


def test_values_of_four_pixels_by_hand() -> None:
    images = np.array([[[[0, 255]], [[255, 255]]], [[[0, 0]], [[255, 255]]]], np.uint8)
    expected = Statistics(mean=[0.5, 0.75], deviation=[0.5, pytest.approx(np.sqrt(3) / 4)], pixels=4)
    assert channel_statistics([images], channels=2) == expected


def test_load_undoes_save(tmp_path: Path) -> None:
    found = Statistics([0.1, 1 / 3], [2 / 3, 1e-17], 10**12)
    found.save(tmp_path / "statistics.json")
    assert Statistics.load(tmp_path / "statistics.json") == found
