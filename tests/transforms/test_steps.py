"""Own steps of augmentation: colours shift as the paper says, crops are shifts of a padded image."""

from collections import Counter
from typing import Any

import albumentations
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.training.construction import build_augmentation
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.statistics import measure
from pipeline.transforms.steps.affine import Affine
from pipeline.transforms.steps.pad_crop import PadCrop
from pipeline.transforms.steps.pca_color import PcaColor, shifted
from tests.refusals import refused

# Of a photograph, about: the three channels nearly agree, so that the first axis is brightness.
COVARIANCE = [[0.08, 0.06, 0.05], [0.06, 0.07, 0.06], [0.05, 0.06, 0.09]]
DIAGONAL = [[0.04, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.09]]
GREY = np.full((5, 4, 3), 128, np.uint8)
SQUARE = np.arange(1, 65, dtype=np.uint8).reshape(8, 8, 1)  # every pixel has its own value, none is 0

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


# Colours.


def draw_offsets(covariance: list[list[float]], *, deviation: float, count: int) -> Floats:
    """Return the offsets (count, C) of as many draws, each with its own seed, on the scale 0 to 1."""
    step = PcaColor(covariance, deviation)
    offsets = []
    for seed in range(count):
        step.set_random_state(np.random.default_rng(seed), None)
        offsets.append(step.get_params()["offset"])
    return np.array(offsets)


@pytest.mark.parametrize("covariance", [COVARIANCE, DIAGONAL], ids=["photograph", "diagonal"])
def test_offsets_have_the_mean_and_covariance_of_the_paper(covariance: list[list[float]]) -> None:
    deviation, count = 0.1, 6000
    offsets = draw_offsets(covariance, deviation=deviation, count=count)
    wanted = deviation**2 * np.array(covariance) @ np.array(covariance)  # P L^2 P^T is the square of P L P^T
    spread = np.diag(wanted)
    assert np.all(np.abs(offsets.mean(axis=0)) < 4 * np.sqrt(spread / count))
    error = np.sqrt((np.outer(spread, spread) + wanted**2) / count)
    assert np.all(np.abs(np.cov(offsets.T) - wanted) < 4 * error)


def test_draws_through_the_whole_augmentation_have_the_deviation_of_the_paper() -> None:
    augment = Augmentation([PcaColor(DIAGONAL, 1.0)])
    levels = np.array([augment(GREY, seed=seed).image[0, 0] for seed in range(1500)], dtype=float) - 128
    # 255 l_i = 10.2, 2.55, 22.95 grey levels; rounding adds a variance of 1/12.
    wanted = np.sqrt(np.array([10.2, 2.55, 22.95]) ** 2 + 1 / 12)
    np.testing.assert_allclose(levels.std(axis=0), wanted, rtol=4 / np.sqrt(2 * 1500))
    assert np.all(np.abs(levels.mean(axis=0)) < 4 * wanted / np.sqrt(1500))


def test_all_pixels_of_an_image_shift_alike() -> None:
    image = np.random.default_rng(0).integers(100, 156, (6, 5, 3), dtype=np.uint8)
    augment = Augmentation([PcaColor(COVARIANCE, 0.3)])
    offsets = set()
    for seed in range(10):
        moved = augment(image, seed=seed).image.astype(int) - image
        offsets |= {tuple(each) for each in moved.reshape(-1, 3)}
        assert np.unique(moved.reshape(-1, 3), axis=0).shape == (1, 3)
    assert len(offsets) > 5


def test_shifted_values_are_rounded_and_cut() -> None:
    image = np.array([[[0, 100, 250], [3, 101, 255]]], np.uint8)
    moved = shifted(image, np.array([-2.4, 1.6, 5.2]))
    # 0 - 2.4 and 255 + 5.2 are cut; 3 - 2.4 = 0.6, 101.6, 102.6 and 255.2 are rounded.
    np.testing.assert_array_equal(moved, [[[0, 102, 255], [1, 103, 255]]])
    assert moved.dtype == np.uint8


def test_offset_of_the_scale_0_to_1_is_added_in_grey_levels() -> None:
    moved = PcaColor(DIAGONAL, 0.1).apply(GREY, offset=np.array([0.1, -0.2, 0.004]))
    np.testing.assert_array_equal(moved, np.broadcast_to([154, 77, 129], GREY.shape))  # 153.5, 77, 129.02


def test_grey_levels_do_not_wrap_around() -> None:
    image = np.stack([np.zeros((4, 4, 3)), np.full((4, 4, 3), 255)]).astype(np.uint8)
    augment = Augmentation([PcaColor(DIAGONAL, 3.0)])
    for seed in range(20):
        dark, bright = (augment(each, seed=seed).image.astype(int) for each in image)
        assert np.all((dark == 0) | (bright == 255)), "no channel gets both brighter and darker"


def test_deviation_0_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Augmentation([PcaColor(COVARIANCE, 0.0)])(image, seed=3).image, image)


def test_negative_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"deviation"):
        PcaColor(COVARIANCE, -0.1)


def test_colours_of_grey_images_are_not_shifted() -> None:
    with refused("augmentation.steps[0]", got=(1, 32, 32), hint="remove the step"):
        compose(["augmentation=pca_color"])


def test_covariance_is_that_of_the_training_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)
    images[..., 1] = images[..., 0]
    statistics = measure([images], patch=None)
    sections = compose_sections(["augmentation=pca_color", "data.shape=[3,6,5]"])
    augment = build_augmentation(Declaration.parse(sections), statistics)
    assert augment is not None
    own = Augmentation([PcaColor(np.cov(images.reshape(-1, 3).T / 255, bias=True).tolist(), 0.1)])
    for seed in range(8):
        np.testing.assert_array_equal(augment(GREY, seed=seed).image, own(GREY, seed=seed).image)


def test_fancy_pca_of_albumentations_is_another_step() -> None:
    """It takes the covariance of the one image, so that an image of constant colour stays as it is."""
    theirs, ours = albumentations.FancyPCA(alpha=0.5, p=1.0), PcaColor(COVARIANCE, 0.5)
    drawn = [[Augmentation([step])(GREY, seed=seed).image for seed in range(8)] for step in (theirs, ours)]
    assert [len({image.tobytes() for image in images}) for images in drawn] == [1, 8]


# Crops.


def crop(image: Pixels, rows: int, columns: int, *, padding: float, **fill: float) -> Augmentation:
    return Augmentation([PadCrop(rows, columns, padding, **fill)])


def test_no_padding_and_the_same_sides_is_the_identity() -> None:
    augment = crop(SQUARE, 8, 8, padding=0.0)
    for seed in range(20):
        drawn = augment(SQUARE, SQUARE[..., 0], seed=seed)
        np.testing.assert_array_equal(drawn.image, SQUARE)
        np.testing.assert_array_equal(drawn.mask, SQUARE[..., 0])


# rows, columns, padding -> how many places down and across: side + 2 int(side padding) - crop + 1
CROPS = [(8, 8, 0.125, 3, 3), (8, 8, 0.25, 5, 5), (5, 6, 0.0, 4, 3), (5, 6, 0.2, 6, 5), (8, 8, 0.1, 1, 1)]


@pytest.mark.parametrize(("rows", "columns", "padding", "down", "across"), CROPS)
def test_every_place_in_the_padded_image_is_cut_out_equally_often(
    rows: int, columns: int, padding: float, down: int, across: int
) -> None:
    width = int(8 * padding)
    padded = np.pad(SQUARE[..., 0], width)
    windows = {
        padded[top : top + rows, left : left + columns].tobytes(): (top, left)
        for top in range(down)
        for left in range(across)
    }
    augment, places = crop(SQUARE, rows, columns, padding=padding), down * across
    drawn = [augment(SQUARE, seed=seed).image for seed in range(60 * places)]
    assert {image.shape for image in drawn} == {(rows, columns, 1)}
    counts = Counter(windows[image.tobytes()] for image in drawn)  # a KeyError is no crop of the padded image
    assert set(counts) == set(windows.values())
    assert all(abs(count - 60) <= 4.5 * np.sqrt(60) for count in counts.values())


def test_rows_and_columns_are_padded_by_the_same_share() -> None:
    image = np.ones((8, 16, 1), np.uint8)
    augment = crop(image, 8, 16, padding=0.25)
    drawn = [augment(image, seed=seed).image[..., 0] for seed in range(200)]
    for axis, width in ((0, 2), (1, 4)):
        shown = [each.any(axis=1 - axis) for each in drawn]
        assert max(int(each.argmax()) for each in shown) == width, "before the image"
        assert max(int(each[::-1].argmax()) for each in shown) == width, "behind it"


def test_padded_pixels_have_the_values_asked_for() -> None:
    image, mask = np.full((8, 8, 3), 50, np.uint8), np.ones((8, 8), np.uint8)
    augment = crop(image, 8, 8, padding=0.25, fill=7, fill_mask=255)
    seen = set()
    for seed in range(30):
        drawn = augment(image, mask, seed=seed)
        assert drawn.mask is not None
        np.testing.assert_array_equal(
            drawn.image, np.where(drawn.mask == 1, 50, 7)[..., None].repeat(3, axis=-1)
        )
        seen |= set(np.unique(drawn.mask))
    assert seen == {1, 255}


@pytest.mark.parametrize(("rows", "padding"), [(8, 0.25), (5, 0.25), (5, 0.0)])
def test_boxes_and_points_move_along(rows: int, padding: float) -> None:
    boxes, points = np.array([[3, 3, 5, 5, 9.0]]), np.array([[4.5, 3.5], [3.5, 4.5]])
    augment = crop(SQUARE, rows, rows, padding=padding)
    num_seen = 0
    for seed in range(40):
        drawn = augment(SQUARE, seed=seed, boxes=boxes, points=points)
        for y, x in np.argwhere(drawn.image[..., 0] == SQUARE[3, 4, 0]):  # none where the pixel was cut off
            num_seen += 1
            np.testing.assert_allclose(drawn.points, [[x + 0.5, y + 0.5], [x - 0.5, y + 1.5]], atol=1e-5)
            wanted = [x - 1, y, x + 1, y + 2]  # the pixel is the box's upper right
            np.testing.assert_allclose(drawn.boxes, [[*wanted, 9]], atol=1e-5)
    assert num_seen >= 10


@pytest.mark.parametrize("padding", [-0.1, 1.5])
def test_padding_is_a_share(padding: float) -> None:
    with pytest.raises(ValueError, match="padding"):
        PadCrop(8, 8, padding)


# Affine.

AFFINE = {
    "jitter": {
        "translate_percent": (-0.06, 0.06),
        "rotate": (-10.0, 10.0),
        "scale": (0.9, 1.1),
        "shear": (-5.0, 5.0),
    },
    "half the time": {"shear": (-15.0, 15.0), "p": 0.5},
    "whole pixels, filled": {"translate_px": (-5, 5), "fill": 7, "fill_mask": 2},
    "a colour around": {"rotate": (-90.0, 90.0), "fill": (1.0, 2.0, 3.0)},
    "one axis, cubic": {"scale": {"x": (0.5, 2.0), "y": (1.0, 1.0)}, "interpolation": 2},
    "repeated border": {"rotate": (-180.0, 180.0), "border_mode": 1, "mask_interpolation": 1},
    "nothing": {"rotate": (0.0, 0.0)},
    "whole image in sight": {"rotate": (-90.0, 90.0), "fit_output": True},
    "one scale": {"scale": (0.5, 2.0), "keep_ratio": True, "balanced_scale": True},
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", AFFINE.values(), ids=AFFINE)
def test_affine_draws_the_pixels_masks_boxes_and_points_of_albumentations(
    settings: dict[str, Any], channels: int
) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (48, 40, channels), dtype=np.uint8)
    mask = random.integers(0, 5, (48, 40), dtype=np.uint8)
    boxes, points = np.array([[10.0, 12, 30, 33, 1]]), np.array([[0.0, 0], [20, 31]])
    ours, theirs = (
        Augmentation([made(**{"p": 1.0, **settings})]) for made in (Affine, albumentations.Affine)
    )
    for seed in range(40):
        for more in ({}, {"boxes": boxes, "points": points}):
            drawn, wanted = (each(image, mask, seed=seed, **more) for each in (ours, theirs))
            for part, wanted_part in zip(drawn, wanted, strict=True):
                np.testing.assert_array_equal(part, wanted_part)


@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_affine_inside_other_steps_draws_as_albumentations_does_and_is_told_of(p: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)

    def steps(made: type[albumentations.Affine]) -> Augmentation:
        affine = made(rotate=(-30.0, 30.0), p=p)
        return Augmentation(
            [albumentations.OneOf([affine, albumentations.Transpose(p=1 - p)], p=0.8), affine]
        )

    ours, theirs = steps(Affine), steps(albumentations.Affine)
    applied = set()
    for seed in range(40):
        drawn, names = ours.draw_with_trace(image, seed=seed)
        np.testing.assert_array_equal(drawn.image, theirs(image, seed=seed).image)
        np.testing.assert_array_equal(drawn.image, ours(image, seed=seed).image)
        assert ("Affine" in names) <= (drawn.image.shape != image.shape or (drawn.image != image).any())
        applied.update(names)
    assert ("Affine" in applied) == (p > 0)


def test_affine_keeps_what_it_drew_and_leaves_the_rest_of_a_sample_alone() -> None:
    image = np.zeros((8, 8, 1), np.uint8)
    affine = Affine(rotate=(30.0, 30.0), p=1.0)
    assert affine(image=image, mask=None, other="kept").items() >= {"mask": None, "other": "kept"}.items()
    assert affine(image=image)["image"].shape == image.shape
    assert affine.get_applied_params()["matrix"].shape == (2, 3)
    with pytest.raises(KeyError):
        affine(image)
