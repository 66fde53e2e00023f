"""Settings of augmentation: steps that cannot work on the images are refused, steps that change labels are reported."""

from typing import Any

import pytest

from pipeline.transforms.settings import AugmentationSettings, check_augmentation
from tests.refusals import refused

COLOUR, GREY = (3, 32, 24), (1, 32, 24)

Step = dict[str, Any]


def step(name: str, **settings: Any) -> Step:
    own = {"PcaColor": "pca_color", "PadCrop": "pad_crop"}
    module = f"pipeline.transforms.steps.{own[name]}" if name in own else "albumentations"
    return {"_target_": f"{module}.{name}", **settings}


def pad_crop(rows: int, columns: int, padding: float) -> Step:
    return step("PadCrop", rows=rows, columns=columns, padding=padding)


def random_crop(rows: int, columns: int, **settings: Any) -> Step:
    return step("RandomCrop", height=rows, width=columns, **settings)


def one_of(*steps: Step) -> Step:
    return step("OneOf", transforms=list(steps), p=1.0)


def check_steps(
    steps: list[Step], *, shape: tuple[int, ...] = COLOUR, copies: int | None = None, mirror: bool = False
) -> list[str]:
    settings = AugmentationSettings(steps=steps, mixing=None, copies=copies)
    return check_augmentation(settings, shape=shape, mirror_changes_label=mirror)


SHARE = " must be a probability from 0 to 1, got {}"
COLOURS = (
    ": {} needs colour images, got (1, 32, 24); remove the step, or use augmentation=color_jitter, which changes "
    "brightness and contrast of grey images"
)
CROP = ": the crop is larger than the image of {}, got {}; make the crop smaller"
JITTER, SMALLER = "augmentation=color_jitter", "make the crop smaller"
STEPS_REFUSED = [
    # steps, shape, which setting, what it got, the way out, what is said of it
    ([step("HorizontalFlip", p=1.5)], COLOUR, "[0].p", 1.5, "", SHARE.format(1.5)),
    ([step("Transpose"), one_of(step("Blur"), one_of(step("HorizontalFlip", p=-0.1)))],
     COLOUR, "[1].transforms[1].transforms[0].p", -0.1, "", SHARE.format(-0.1)),
    ([step("PcaColor", deviation=0.1)], GREY, "[0]", GREY, JITTER, COLOURS.format("PcaColor")),
    ([step("HorizontalFlip", p=0.5), step("ToGray")], GREY, "[1]", GREY, JITTER, COLOURS.format("ToGray")),
    ([one_of(step("FancyPCA"))], GREY, "[0].transforms[0]", GREY, JITTER, COLOURS.format("FancyPCA")),
    ([step("HueSaturationValue")], GREY, "[0]", GREY, JITTER, COLOURS.format("HueSaturationValue")),
    ([random_crop(33, 24)], COLOUR, "[0]", (33, 24), SMALLER, CROP.format("32 x 24", (33, 24))),
    ([step("HorizontalFlip"), step("CenterCrop", height=32, width=25)],
     COLOUR, "[1]", (32, 25), SMALLER, CROP.format("32 x 24", (32, 25))),
    ([random_crop(20, 20), step("CenterCrop", height=20, width=22)],
     COLOUR, "[1]", (20, 22), SMALLER, CROP.format("20 x 20", (20, 22))),
    ([pad_crop(32, 25, 0.0)], COLOUR, "[0]", (32, 25), SMALLER, CROP.format("32 x 24", (32, 25))),
    ([pad_crop(41, 24, 0.125)],
     COLOUR, "[0]", (41, 24), SMALLER, CROP.format("32 x 24 (40 x 30 when padded)", (41, 24))),
    ([random_crop(33, 24, pad_if_needed=False)],
     COLOUR, "[0]", (33, 24), SMALLER, CROP.format("32 x 24", (33, 24))),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "shape", "where", "got", "hint", "text"), STEPS_REFUSED)
def test_step_that_cannot_work_is_refused_by_its_path(
    steps: list[Step], shape: tuple[int, ...], where: str, got: Any, hint: str, text: str
) -> None:
    path = f"augmentation.steps{where}"
    with refused(path, got=got, hint=hint, text=path + text):
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


@pytest.mark.parametrize(
    ("copies", "num_steps", "allowed"),
    [
        (0, 1, "null or at least 1"),
        (-1, 1, "null or at least 1"),
        (1, 0, "null where augmentation.steps is empty"),
        (5, 0, "null where augmentation.steps is empty"),
    ],
)
def test_copies_of_nothing_are_refused(copies: int, num_steps: int, allowed: str) -> None:
    text = f"augmentation.copies must be {allowed}, got {copies}; null makes new draws in each epoch"
    with refused("augmentation.copies", got=copies, allowed=allowed, hint="null", text=text):
        check_steps([step("Blur")] * num_steps, copies=copies)
    assert check_steps([step("Blur")], copies=1) == []
    assert check_steps([], copies=None) == []


@pytest.mark.parametrize("name", ["HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry"])
def test_mirror_that_changes_the_label_gives_a_warning(name: str) -> None:
    steps = [step("Blur"), one_of(step("Blur"), step(name, p=0.5)), step(name)]
    warnings = [
        f"augmentation.steps[{where}]: {name} mirrors images, and data.mirror_changes_label says that a mirrored image "
        "may belong to another class; choose another augmentation"
        for where in ("1].transforms[1", "2")
    ]
    assert check_steps(steps, mirror=True) == warnings
    assert check_steps(steps, mirror=False) == []
    assert check_steps([step("Blur"), step("Rotate")], mirror=True) == []
