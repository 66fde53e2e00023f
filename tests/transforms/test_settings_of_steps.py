"""Settings of augmentation: steps that cannot work on the images are refused, those that change labels are told."""

import re
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.transforms.settings import AugmentationSettings, check_augmentation

COLOUR, GREY = (3, 32, 24), (1, 32, 24)

Step = dict[str, Any]


def step(name: str, **settings: Any) -> Step:
    room = "pipeline.transforms.steps" if name in ("PcaColor", "PadCrop") else "albumentations"
    return {"_target_": f"{room}.{name}", **settings}


def pad_crop(rows: int, columns: int, padding: float) -> Step:
    return step("PadCrop", rows=rows, columns=columns, padding=padding)


def random_crop(rows: int, columns: int, **settings: Any) -> Step:
    return step("RandomCrop", height=rows, width=columns, **settings)


def one_of(*steps: Step) -> Step:
    return step("OneOf", transforms=list(steps), p=1.0)


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


def check_steps(
    steps: list[Step], *, shape: tuple[int, ...] = COLOUR, copies: int | None = None, mirror: bool = False
) -> list[str]:
    settings = AugmentationSettings(steps=steps, mixing=None, copies=copies)
    return check_augmentation(settings, shape=shape, mirror_changes_label=mirror)


GREY_STEP = (
    "augmentation.steps[{0}: {1} shifts colours, and images of 1 x 32 x 24 are grey; remove the step, or use "
    "augmentation=color_jitter, which changes brightness and contrast of grey images"
)
STEPS_REFUSED = [
    # steps, shape, what is said
    (
        [step("HorizontalFlip", p=1.5)],
        COLOUR,
        "augmentation.steps[0].p is a probability, from 0 to 1; got 1.5",
    ),
    (
        [step("Transpose"), one_of(step("Blur"), one_of(step("HorizontalFlip", p=-0.1)))],
        COLOUR,
        "augmentation.steps[1].transforms[1].transforms[0].p is a probability, from 0 to 1; got -0.1",
    ),
    ([step("PcaColor", deviation=0.1)], GREY, GREY_STEP.format("0]", "PcaColor")),
    ([step("HorizontalFlip", p=0.5), step("ToGray")], GREY, GREY_STEP.format("1]", "ToGray")),
    ([one_of(step("FancyPCA"))], GREY, GREY_STEP.format("0].transforms[0]", "FancyPCA")),
    ([step("HueSaturationValue")], GREY, GREY_STEP.format("0]", "HueSaturationValue")),
    (
        [random_crop(33, 24)],
        COLOUR,
        "augmentation.steps[0]: a crop of 33 x 24 is larger than the image of 32 x 24; crop less",
    ),
    (
        [step("HorizontalFlip"), step("CenterCrop", height=32, width=25)],
        COLOUR,
        "augmentation.steps[1]: a crop of 32 x 25 is larger than the image of 32 x 24; crop less",
    ),
    (
        [random_crop(20, 20), step("CenterCrop", height=20, width=22)],
        COLOUR,
        "augmentation.steps[1]: a crop of 20 x 22 is larger than the image of 20 x 20; crop less",
    ),
    (
        [pad_crop(32, 25, 0.0)],
        COLOUR,
        "augmentation.steps[0]: a crop of 32 x 25 is larger than the image of 32 x 24; crop less",
    ),
    (
        [pad_crop(41, 24, 0.125)],
        COLOUR,
        "augmentation.steps[0]: a crop of 41 x 24 is larger than the image of 32 x 24, 40 x 30 with its padding; "
        "crop less",
    ),
    (
        [random_crop(33, 24, pad_if_needed=False)],
        COLOUR,
        "augmentation.steps[0]: a crop of 33 x 24 is larger than the image of 32 x 24; crop less",
    ),
]


@pytest.mark.parametrize(("steps", "shape", "text"), STEPS_REFUSED)
def test_step_that_cannot_work_is_refused_by_its_path(
    steps: list[Step], shape: tuple[int, ...], text: str
) -> None:
    with pytest.raises(ConfigError, match=exactly(text)):
        check_steps(steps, shape=shape)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step("HorizontalFlip", p=0), step("VerticalFlip", p=1), step("Blur")],
        [one_of(step("PcaColor", deviation=0.1), step("ToGray", p=0.5))],
        [random_crop(32, 24), step("CenterCrop", height=1, width=1)],
        [random_crop(99, 99, pad_if_needed=True)],
        [pad_crop(40, 30, 0.125)],  # 4 rows and 3 columns at each side
        [pad_crop(40, 30, 0.125), random_crop(40, 30)],
        [step("Resize", height=64, width=64), random_crop(48, 48)],
        [step("RandomResizedCrop", size=[64, 64]), random_crop(48, 48)],
        [step("LongestMaxSize", max_size=64), random_crop(48, 48)],
    ],
)
def test_steps_that_work_are_accepted_without_a_word(steps: list[Step]) -> None:
    assert check_steps(steps) == []


@pytest.mark.parametrize(("copies", "num_steps"), [(0, 1), (-1, 1), (1, 0), (5, 0)])
def test_copies_of_nothing_are_refused(copies: int, num_steps: int) -> None:
    text = (
        f"augmentation.copies must be null, or at least 1 draw of some steps, got {copies} of {num_steps} steps; null "
        "draws anew in each epoch"
    )
    with pytest.raises(ConfigError, match=exactly(text)):
        check_steps([step("Blur")] * num_steps, copies=copies)
    assert check_steps([step("Blur")], copies=1) == []
    assert check_steps([], copies=None) == []


@pytest.mark.parametrize("name", ["HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry"])
def test_mirror_that_changes_the_label_is_told(name: str) -> None:
    steps = [step("Blur"), one_of(step("Blur"), step(name, p=0.5)), step(name)]
    told = [
        f"augmentation.steps[{where}]: {name} mirrors images, and data.mirror_changes_label says that a mirrored image "
        "may belong to another class; choose another augmentation"
        for where in ("1].transforms[1", "2")
    ]
    assert check_steps(steps, mirror=True) == told
    assert check_steps(steps, mirror=False) == []
    assert check_steps([step("Blur"), step("Rotate")], mirror=True) == []
