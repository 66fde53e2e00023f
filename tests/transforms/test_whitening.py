"""Whitening: tiles of the training images lose their correlations, by PCA turned, by ZCA as near as can be."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.transforms.preprocess import PcaWhiten, ZcaWhiten
from pipeline.transforms.statistics import Statistics, Whitening, cut_tiles, measure
from tests.refusals import refused
from tests.transforms.photographs import photographs

Floats = NDArray[np.float64]

SIDES = (8, 12)
EPSILON = 0.01
KINDS = [(channels, patch) for channels in (1, 3) for patch in (None, 4)]


class Case:
    """Training images with their statistics, and what the classes make of them."""

    def __init__(self, channels: int, patch: int | None) -> None:
        self.tile = SIDES if patch is None else (patch, patch)
        self.patch = patch
        self.images = photographs(100, sides=SIDES, channels=channels)
        self.statistics = measure([self.images], patch=self.tile)
        assert self.statistics.whitening is not None
        self.white: Whitening = self.statistics.whitening
        self.tiles = cut_tiles(self.images, self.tile) / 255 - self.white.mean

    def whitened(self, kind: type[PcaWhiten | ZcaWhiten], epsilon: float = EPSILON) -> Floats:
        """Return whitened tiles (tiles, D)."""
        model = kind(self.statistics, patch=self.patch, epsilon=epsilon)
        made = model(torch.from_numpy(self.images).permute(0, 3, 1, 2))
        assert made.shape == (100, self.images.shape[-1], *SIDES)
        tiles: Floats = cut_tiles(made.permute(0, 2, 3, 1).numpy(), self.tile).astype(np.float64)
        return tiles


@pytest.fixture(params=KINDS, ids=[f"{channels} channels, patch {patch}" for channels, patch in KINDS])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*request.param)


def covariance_of(tiles: Floats) -> Floats:
    return np.cov(tiles, rowvar=False, bias=True)


@pytest.mark.parametrize("epsilon", [1e-4, 0.01, 1.0])
def test_parts_along_the_axes_get_variance_1_as_far_as_epsilon_lets_them(epsilon: float, case: Case) -> None:
    tiles = case.whitened(PcaWhiten, epsilon)
    wanted = case.white.variances / (case.white.variances + epsilon)
    assert wanted[0] > 1.5 * wanted[-1], "the tiles have no strong and weak axes"
    np.testing.assert_allclose(tiles.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(covariance_of(tiles), np.diag(wanted), atol=1e-3)


@pytest.mark.parametrize("epsilon", [1e-4, 0.01, 1.0])
def test_zca_gives_the_same_variances_along_the_axes(epsilon: float, case: Case) -> None:
    tiles, axes = case.whitened(ZcaWhiten, epsilon), case.white.axes
    wanted = axes * (case.white.variances / (case.white.variances + epsilon)) @ axes.T
    np.testing.assert_allclose(tiles.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(covariance_of(tiles), wanted, atol=1e-3)


def test_zca_is_pca_turned_back(case: Case) -> None:
    turned = case.whitened(PcaWhiten) @ case.white.axes.T
    np.testing.assert_allclose(case.whitened(ZcaWhiten), turned, atol=1e-4)


def test_zca_is_symmetric(case: Case) -> None:
    matrix = ZcaWhiten(case.statistics, patch=case.patch, epsilon=EPSILON).matrix
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-7)
    assert not torch.allclose(matrix, torch.diag(matrix.diagonal()), atol=1e-4)


def test_no_other_whitening_is_as_near_to_the_tiles_as_zca(case: Case) -> None:
    turned = case.whitened(PcaWhiten)
    nearest = np.square(case.whitened(ZcaWhiten) - case.tiles).mean()
    random = np.random.default_rng(0)
    size = turned.shape[1]
    for share in (0.03, 0.3, 1.0):  # from a slight turn of ZCA to any turn
        turn, _ = np.linalg.qr((1 - share) * case.white.axes + share * random.normal(size=(size, size)))
        turn *= np.sign((turn * case.white.axes).sum(axis=0))  # qr may mirror axes
        assert np.square(turned @ turn.T - case.tiles).mean() > nearest + 1e-6


def test_tiles_are_whitened_each_for_itself() -> None:
    case = Case(3, 4)
    model = ZcaWhiten(case.statistics, patch=4, epsilon=EPSILON)
    images = torch.from_numpy(case.images[:2]).permute(0, 3, 1, 2)
    changed = images.clone()
    changed[..., 4:, 8:] //= 2
    difference = (model(images) != model(changed)).any(dim=0).any(dim=0)
    assert difference[4:, 8:].all()
    assert not difference[:4].any()
    assert not difference[:, :8].any()


def test_mean_tile_becomes_0(case: Case) -> None:
    mean = np.rint(case.white.mean * 255)
    exact = Statistics(
        **{
            key: getattr(case.statistics, key)
            for key in ("mean", "deviation", "covariance", "pixels", "mean_image")
        },
        whitening=Whitening(mean / 255, case.white.variances, case.white.axes),
    )
    channels = case.images.shape[-1]
    tile = torch.from_numpy(mean.reshape(1, channels, *case.tile))
    for kind in (PcaWhiten, ZcaWhiten):
        assert kind(exact, patch=case.patch, epsilon=EPSILON)(tile).abs().max() < 1e-4


@pytest.mark.parametrize("kind", [PcaWhiten, ZcaWhiten])
@pytest.mark.parametrize("epsilon", [0.0, -0.01, float("nan")])
def test_epsilon_must_be_above_0(kind: type[PcaWhiten | ZcaWhiten], epsilon: float) -> None:
    text = f"preprocess.epsilon must be above 0, got {epsilon}; 0.01 is usual"
    with refused("preprocess.epsilon", allowed="above 0", hint="0.01", text=text):
        kind(Case(1, 4).statistics, patch=4, epsilon=epsilon)


@pytest.mark.parametrize("kind", [PcaWhiten, ZcaWhiten])
@pytest.mark.parametrize("sides", [(8, 10), (6, 12), (3, 4)])
def test_tiles_must_fill_the_image(kind: type[PcaWhiten | ZcaWhiten], sides: tuple[int, int]) -> None:
    text = (
        f"preprocess.patch: images cannot be divided into tiles of 4 x 4, got {sides}; choose a patch that divides "
        "their rows and columns"
    )
    model = kind(Case(1, 4).statistics, patch=4, epsilon=EPSILON)
    with refused("preprocess.patch", got=sides, hint="choose a patch", text=text):
        model(torch.zeros(2, 1, *sides))


@pytest.mark.parametrize("kind", [PcaWhiten, ZcaWhiten])
def test_crop_of_whole_tiles_is_whitened_as_within_the_image(kind: type[PcaWhiten | ZcaWhiten]) -> None:
    case = Case(3, 4)
    model = kind(case.statistics, patch=4, epsilon=EPSILON)
    images = torch.from_numpy(case.images[:3]).permute(0, 3, 1, 2)
    crop = model(images[..., 4:8, 4:12])
    torch.testing.assert_close(crop, model(images)[..., 4:8, 4:12], rtol=0, atol=1e-5)
