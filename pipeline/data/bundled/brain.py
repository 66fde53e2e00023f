"""The archive `brain`: nilearn's copy of the ICBM 152 2009a symmetric template, degraded (Fonov et al. 2011).

doi:10.1016/j.neuroimage.2010.07.033. Rician noise: Gudbjartsson & Patz 1995 (doi:10.1002/mrm.1910340618), in per cent
of white matter as BrainWeb states it. Noise comes from `RandomState`, whose streams numpy has frozen (NEP 19), while
those of `Generator.normal` may change. Its logarithm may differ in the last bit between machines, which rounding to 8
bits hides in practice.

Shapes: R rows, C columns of a picture; volumes in nilearn are (X, Y, Z): right, front, up.
"""

import itertools
from importlib.resources import files

import numpy as np

from pipeline.data.bundled.encoding import Picture, encode_png, explain_missing

BLOCK = ("train",) * 20 + (None,) * 4 + ("val",) * 5 + (None,) * 4 + ("test",) * 8 + (None,) * 4
MIN_TISSUE_PIXELS = 200
# The window contains the brain in all slices, as asserted in read_brain.
WINDOW_X, WINDOW_Y = slice(18, 178), slice(21, 213)
WHITE_LEVEL = 215  # median of the template (0..255) where white matter is the likeliest class
NOISE = 0.06  # standard deviation of each part of the complex noise, in units of WHITE_LEVEL
BIAS = 0.15  # half the span; BrainWeb calls this field 30 % intensity non-uniformity
GAIN = (0.8, 1.1)
GREY_PER_LEVEL = 0.7  # keeps white matter under 255 at the largest field and gain
SEED = 2009

BRAIN_README = """\
Brain tissue on axial slices of one averaged head

Origin   ICBM 152 nonlinear symmetric 2009a template: skull-stripped T1 with its grey and white
         matter probability maps, 1 mm, 8 bit, as nilearn ships them.
         http://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009
Cite     V. Fonov et al. (2011). Unbiased average age-appropriate atlases for pediatric studies.
         NeuroImage 54(1), 313-327. https://doi.org/10.1016/j.neuroimage.2010.07.033
Licence  nilearn's page says "unknown"; COPYING in MNI's own archives of these templates reads:
         Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal
         Neurological Institute, McGill University. Permission to use, copy, modify, and distribute
         this software and its documentation for any purpose and without fee is hereby granted,
         provided that the above copyright notice appear in all copies. The authors and McGill
         University make no representations about the suitability of this software for any purpose.
         It is provided "as is" without express or implied warranty. The authors are not
         responsible for any data loss, equipment damage, property loss, or injury to subjects or
         patients resulting from the use or misuse of this software package.
Files    <split>/images/slice_<z>.png and <split>/masks/slice_<z>.png, 192 rows x 160 columns, 8-bit
         grey; front up, the head's left on the left. Mask: 0 other, 1 grey matter, 2 white matter
         = the likeliest of (1 - grey - white, grey, white). Slices with fewer than 200 pixels of
         tissue are left out.
Split    From the lowest slice up, in blocks of 45: 20 train, 4 left out, 5 val, 4 left out, 8 test,
         4 left out.
Changed  A threshold would solve clean slices, so each is degraded from its own seed (2009, z):
         0.7 * gain * |T1 * field + noise|, clipped to 0..255, rounded. field: a random quadratic
         surface that spans 0.85..1.15 over the window (BrainWeb's 30 %); noise: complex normal
         (Rician in magnitude), each part with a standard deviation of 6 % of 215, the white matter
         level; gain: uniform in 0.8..1.1.
Mind     One averaged brain shows that the pipeline works, not that it would generalise to patients.
"""


def read_brain() -> tuple[Picture, Picture]:
    """Read template and classes from nilearn's package, without a download, cropped to the window.

    Returns:
        T1 (0..255) and class (0 other, 1 grey matter, 2 white matter), both (Z, R, C) with the
        front up and the head's left on the left.

    Raises:
        ModuleNotFoundError: nilearn or nibabel is not installed.
    """
    try:
        import nibabel

        folder = files("nilearn") / "datasets" / "data"
    except ModuleNotFoundError as error:
        raise explain_missing("brain", error) from error
    volumes = []
    for kind in ("t1", "gm", "wm"):
        path = folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
        volume = np.asarray(nibabel.Nifti1Image.from_filename(str(path)).dataobj, dtype=np.int16)
        cropped = volume[WINDOW_X, WINDOW_Y]
        assert cropped.sum(dtype=int) == volume.sum(dtype=int), f"the window cuts brain off {kind}"
        volumes.append(cropped[:, ::-1].transpose(2, 1, 0))
    template, grey, white = volumes
    classes = np.argmax(np.stack([255 - grey - white, grey, white]), axis=0)
    return template.astype(np.uint8), classes.astype(np.uint8)


def degrade_slice(clean: Picture, *, seed: tuple[int, int]) -> Picture:
    """Give a clean (R, C) slice the bias field, Rician noise and gain that `BRAIN_README` states.

    Args:
        seed: the same pair always gives the same result for the same slice.
    """
    # Only + - * / and sqrt, which IEEE 754 rounds correctly; exp and hypot may differ by machine.
    random = np.random.RandomState(list(seed))
    down, across = np.meshgrid(*(np.linspace(-1, 1, count) for count in clean.shape), indexing="ij")
    terms = (down, across, down * across, down * down, across * across)
    surface = np.zeros(clean.shape)
    for weight, term in zip(random.uniform(-1, 1, len(terms)), terms, strict=True):
        surface += weight * term
    share = (surface - surface.min()) / (surface.max() - surface.min())
    field = 1 - BIAS + 2 * BIAS * share
    gain = random.uniform(*GAIN)
    real, imaginary = random.normal(0, NOISE * WHITE_LEVEL, (2, *clean.shape))
    real += clean * field
    magnitude = np.sqrt(real * real + imaginary * imaginary)
    degraded: Picture = np.rint(np.clip(GREY_PER_LEVEL * gain * magnitude, 0, 255)).astype(np.uint8)
    return degraded


def list_brain() -> dict[str, bytes]:
    """Return the members of brain.zip by name.

    Raises:
        ModuleNotFoundError: nilearn or nibabel is not installed.
    """
    template, classes = read_brain()
    kept = np.flatnonzero((classes > 0).sum(axis=(1, 2)) >= MIN_TISSUE_PIXELS)
    members = {"README.txt": BRAIN_README.encode()}
    for level, split in zip(kept.tolist(), itertools.cycle(BLOCK), strict=False):
        if split is not None:
            image = degrade_slice(template[level], seed=(SEED, level))
            members[f"{split}/images/slice_{level:03}.png"] = encode_png(image)
            members[f"{split}/masks/slice_{level:03}.png"] = encode_png(classes[level])
    return members
