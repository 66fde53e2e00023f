"""Views: what a model is shown, and that its answers count alike."""

import pytest
import torch
from torch import Tensor

from pipeline.transforms.views import Views

SIDES = (4, 6)
IMAGES = torch.arange(2 * 3 * 7 * 11, dtype=torch.float32).view(2, 3, 7, 11)  # every value once
WHOLE, FLIPS = Views(crops="centre", mirror=False), Views(crops="centre", mirror=True)
TEN = Views(crops="corners", mirror=True)


class Recorder:
    """A model that keeps what it is shown, and puts out other classes for each view."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        self.outputs.append(torch.randn(len(image), 5, generator=torch.manual_seed(len(self.shown))))
        return self.outputs[-1]


def predict(views: Views, images: Tensor = IMAGES, sides: tuple[int, int] = SIDES) -> tuple[Recorder, Tensor]:
    model = Recorder()
    return model, views.predict(model, images, sides)


def centre(images: Tensor) -> Tensor:
    return images[:, :, 1:5, 2:8]  # (7 - 4) // 2 = 1 and (11 - 6) // 2 = 2


def dense(image: Tensor) -> Tensor:
    """Tell two classes of each pixel from the pixel alone."""
    return torch.stack((image[:, 0] / 100, -image[:, 1] / 200), dim=1)


def test_whole_view_is_the_model_on_the_centre() -> None:
    model, outputs = predict(WHOLE)
    (shown,) = model.shown
    assert torch.equal(shown, centre(IMAGES))
    assert torch.equal(outputs, model.outputs[0]), "outputs of one view stay as they are"


@pytest.mark.parametrize("sides", [(7, 11), (7, 6), (4, 11), (1, 1)])
def test_centre_is_that_which_training_and_statistics_take(sides: tuple[int, int]) -> None:
    (shown,) = predict(WHOLE, sides=sides)[0].shown
    top, left = (7 - sides[0]) // 2, (11 - sides[1]) // 2
    assert torch.equal(shown, IMAGES[:, :, top : top + sides[0], left : left + sides[1]])


@pytest.mark.parametrize(
    ("views", "count"), [(FLIPS, 2), (TEN, 10), (Views(crops="corners", mirror=False), 5)]
)
def test_softmax_of_several_views_is_their_mean(views: Views, count: int) -> None:
    model, outputs = predict(views)
    assert len(model.outputs) == count
    wanted = torch.stack([each.softmax(dim=1) for each in model.outputs]).mean(dim=0)
    torch.testing.assert_close(outputs.softmax(dim=1), wanted)
    torch.testing.assert_close(outputs.exp(), wanted)


def test_flips_show_the_centre_and_its_mirror_image() -> None:
    shown = predict(FLIPS)[0].shown
    assert torch.equal(shown[0], centre(IMAGES))
    assert torch.equal(shown[1], centre(IMAGES).flip(-1))


def test_flips_by_hand() -> None:
    answers = {True: torch.tensor([[0.0, 0.0]]), False: torch.tensor([[3.0, 0.0]])}
    image = torch.tensor([[[[1.0, 2.0]]]])
    outputs = FLIPS.predict(lambda view: answers[bool(view[0, 0, 0, 0] == 1)], image, (1, 2))
    # 1/2 of either class of the image; 0.95257 and 0.04743 of its mirror image.
    torch.testing.assert_close(
        outputs.softmax(dim=1), torch.tensor([[0.726287, 0.273713]]), atol=1e-5, rtol=0
    )


def test_dense_outputs_are_turned_back() -> None:
    """A model that tells each pixel by itself says the same of an image and of its mirror image."""
    once, twice = (views.predict(dense, IMAGES, SIDES) for views in (WHOLE, FLIPS))
    assert twice.shape == (2, 2, *SIDES)
    torch.testing.assert_close(twice.softmax(dim=1), once.softmax(dim=1))
    assert not torch.allclose(once.softmax(dim=1), once.softmax(dim=1).flip(-1)), (
        "else this would test nothing"
    )


def test_ten_crops_are_the_corners_the_centre_and_their_mirror_images() -> None:
    shown = predict(TEN)[0].shown
    crops = [IMAGES[:, :, y : y + 4, x : x + 6] for y, x in ((1, 2), (0, 0), (0, 5), (3, 0), (3, 5))]
    wanted = [each for crop in crops for each in (crop, crop.flip(-1))]
    assert len(shown) == 10
    for view in wanted:
        assert sum(torch.equal(view, each) for each in shown) == 1


def test_half_precision_is_averaged_in_single() -> None:
    outputs = FLIPS.predict(lambda view: view[:, :, 0, 0].half(), IMAGES / 100, SIDES)
    assert outputs.dtype == torch.float32
