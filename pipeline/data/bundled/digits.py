"""The archive `digits`: scikit-learn's copy of Alpaydin & Kaynak 1998 (UCI, doi:10.24432/C50P49), as pictures."""

from bisect import bisect_right

import numpy as np

from pipeline.data.bundled.encoding import Picture, encode_png, explain_missing

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
FORM_SPLITS = {2: "val", 10: "val", 4: "test", 8: "test", 12: "test"}

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


def read_digits(archive: str) -> tuple[Picture, list[int]]:
    """Return the digits, grey (N, 8, 8), and their labels.

    Args:
        archive: the one that is made from them, for the error.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise explain_missing(archive, error) from error
    values, labels = load_digits(return_X_y=True)
    # v * 255 / 16 never ends in exactly .5, so how halves are rounded does not matter.
    return np.rint(values.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8), labels.tolist()


def find_form(index: int) -> int:
    """Return the form that a digit was written on."""
    return bisect_right(FORM_STARTS, index) - 1


def find_side(index: int) -> str:
    """Return the split of a digit, which is that of its form."""
    return FORM_SPLITS.get(find_form(index), "train")


def list_digits() -> dict[str, bytes]:
    """Return the members of digits.zip by name."""
    members = {"README.txt": DIGITS_README.encode()}
    for index, (picture, label) in enumerate(zip(*read_digits("digits"), strict=True)):
        name = f"form{find_form(index):02}_{index:04}.png"
        members[f"{find_side(index)}/{label}/{name}"] = encode_png(picture)
    return members
