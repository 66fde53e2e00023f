"""Views: what a model is shown of an image, and that its answers count alike."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.tasks.classification.task import Classification
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.tasks.task import Task
from pipeline.transforms.settings import ViewSettings
from pipeline.transforms.views import View, make_views, see

SIDES = (4, 6)
IMAGES = torch.arange(2 * 3 * 7 * 11, dtype=torch.float32).view(2, 3, 7, 11)  # every value once
WHOLE, FLIPS = ViewSettings(crops="centre", mirror=False), ViewSettings(crops="centre", mirror=True)
TEN, FIVE = ViewSettings(crops="corners", mirror=True), ViewSettings(crops="corners", mirror=False)
LABELS = Classification(classes=["a", "b"], label_smoothing=0.0, class_weights="none")
MASKS = Segmentation(
    classes=["a", "b"],
    background=None,
    ignore_label=None,
    dice_weight=1.0,
    dice_background=True,
    class_weights="none",
)


class Recorder:
    """A model that keeps what it is shown, and puts out other classes for each view."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        self.outputs.append(torch.randn(len(image), 5, generator=torch.manual_seed(len(self.shown))))
        return self.outputs[-1]


def predict(
    settings: ViewSettings,
    model: Callable[[Tensor], Tensor],
    images: Tensor = IMAGES,
    sides: tuple[int, int] = SIDES,
    task: Task = LABELS,
) -> Tensor:
    """Return the merged outputs for all views of images, as an evaluation makes them."""
    views = make_views(settings, (images.shape[2], images.shape[3]), sides)
    outputs = [model(see(images, view, sides)) for view in views]
    return task.merge(outputs, [view.is_mirrored for view in views])


def shown(settings: ViewSettings, sides: tuple[int, int] = SIDES) -> list[Tensor]:
    model = Recorder()
    predict(settings, model, sides=sides)
    return model.shown


def centre(images: Tensor) -> Tensor:
    return images[:, :, 1:5, 2:8]  # (7 - 4) // 2 = 1 and (11 - 6) // 2 = 2


def dense(image: Tensor) -> Tensor:
    """Tell two classes of each pixel from the pixel alone."""
    return torch.stack((image[:, 0] / 100, -image[:, 1] / 200), dim=1)


def test_whole_view_is_the_model_on_the_centre() -> None:
    model = Recorder()
    outputs = predict(WHOLE, model)
    (view,) = model.shown
    assert torch.equal(view, centre(IMAGES))
    assert torch.equal(outputs, model.outputs[0]), "outputs of one view stay as they are"


@pytest.mark.parametrize("sides", [(7, 11), (7, 6), (4, 11), (1, 1)])
def test_centre_is_that_which_training_and_statistics_take(sides: tuple[int, int]) -> None:
    (view,) = shown(WHOLE, sides)
    top, left = (7 - sides[0]) // 2, (11 - sides[1]) // 2
    assert torch.equal(view, IMAGES[:, :, top : top + sides[0], left : left + sides[1]])


@pytest.mark.parametrize(("settings", "count"), [(FLIPS, 2), (TEN, 10), (FIVE, 5)])
def test_softmax_of_several_views_is_their_mean(settings: ViewSettings, count: int) -> None:
    model = Recorder()
    outputs = predict(settings, model)
    assert len(model.outputs) == count
    wanted = torch.stack([each.softmax(dim=1) for each in model.outputs]).mean(dim=0)
    torch.testing.assert_close(outputs.softmax(dim=1), wanted)
    torch.testing.assert_close(outputs.exp(), wanted)


def test_flips_show_the_centre_and_its_mirror_image() -> None:
    straight, mirrored = shown(FLIPS)
    assert torch.equal(straight, centre(IMAGES))
    assert torch.equal(mirrored, centre(IMAGES).flip(-1))


def test_views_are_places_by_hand() -> None:
    assert make_views(FLIPS, (7, 11), SIDES) == [View(1, 2, False), View(1, 2, True)]
    assert set(make_views(FIVE, (7, 11), SIDES)) == {
        View(1, 2, False),
        View(0, 0, False),
        View(0, 5, False),
        View(3, 0, False),
        View(3, 5, False),
    }
    assert make_views(WHOLE, (7, 11), (7, 11)) == [View(0, 0, False)]


def test_flips_by_hand() -> None:
    answers = {True: torch.tensor([[0.0, 0.0]]), False: torch.tensor([[3.0, 0.0]])}
    image = torch.tensor([[[[1.0, 2.0]]]])
    outputs = predict(FLIPS, lambda view: answers[bool(view[0, 0, 0, 0] == 1)], image, (1, 2))
    # 1/2 of either class of the image; 0.95257 and 0.04743 of its mirror image.
    torch.testing.assert_close(
        outputs.softmax(dim=1), torch.tensor([[0.726287, 0.273713]]), atol=1e-5, rtol=0
    )


def test_dense_outputs_are_turned_back() -> None:
    """A model that tells each pixel by itself says the same of an image and of its mirror image."""
    once, twice = (predict(settings, dense, task=MASKS) for settings in (WHOLE, FLIPS))
    assert twice.shape == (2, 2, *SIDES)
    torch.testing.assert_close(twice.softmax(dim=1), once.softmax(dim=1))
    assert not torch.allclose(once.softmax(dim=1), once.softmax(dim=1).flip(-1)), (
        "else this would test nothing"
    )


def test_ten_crops_are_the_corners_the_centre_and_their_mirror_images() -> None:
    views = shown(TEN)
    crops = [IMAGES[:, :, y : y + 4, x : x + 6] for y, x in ((1, 2), (0, 0), (0, 5), (3, 0), (3, 5))]
    wanted = [each for crop in crops for each in (crop, crop.flip(-1))]
    assert len(views) == 10
    for view in wanted:
        assert sum(torch.equal(view, each) for each in views) == 1


@pytest.mark.parametrize(("choice", "settings"), [("whole", WHOLE), ("flips", FLIPS), ("ten_crop", TEN)])
def test_views_are_those_chosen(choice: str, settings: ViewSettings) -> None:
    assert Declaration.parse(compose_sections([f"views={choice}"])).views == settings


def test_half_precision_is_averaged_in_single() -> None:
    outputs = predict(FLIPS, lambda view: view[:, :, 0, 0].half(), IMAGES / 100)
    assert outputs.dtype == torch.float32
