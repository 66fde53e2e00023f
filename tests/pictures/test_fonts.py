"""Fonts: names in scripts that the default font lacks are drawn by an installed one, or one warning is given."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from pipeline import errors
from pipeline.pictures import fonts
from pipeline.pictures.confusion import draw_confusion
from pipeline.pictures.fonts import NO_FONT, find_fonts
from pipeline.pictures.marked import caption
from pipeline.pictures.sheets import draw_sheet

CHINESE, JAPANESE, KOREAN = "猫", "いぬ", "새"
NAMES = [CHINESE, JAPANESE, KOREAN]


def write_font(path: Path, characters: str) -> Path:
    """Write a font in which each of some characters is a full square, named after its file."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    names = {f"uni{ord(each):04X}": ord(each) for each in characters}
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", *names])
    font.setupCharacterMap({code: name for name, code in names.items()})
    font.setupGlyf(dict.fromkeys([".notdef", *names], square))
    font.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 0)))
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the fonts that are installed, to which a test adds."""
    found: list[Path] = []
    monkeypatch.setattr(fonts, "_installed", lambda: found)
    errors.warn.cache_clear()
    (tmp_path / "fonts").mkdir()
    return found


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def draw(path: Path, names: list[str] = NAMES) -> np.ndarray:
    draw_confusion(np.eye(len(names), dtype=int), names, path)
    return pixels(path)


def test_names_are_drawn_by_installed_fonts_that_have_them(
    installed: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = draw(tmp_path / "without.png")
    assert NO_FONT in capsys.readouterr().err
    folder = tmp_path / "fonts"
    installed += [
        write_font(folder / "hanConvoy.ttf", CHINESE + JAPANESE),
        write_font(folder / "hangulConvoy.ttf", KOREAN),
        write_font(folder / "lessConvoy.ttf", CHINESE),
    ]
    assert find_fonts("".join(NAMES)) == installed[:2], "the one with the most of them first"
    found = draw(tmp_path / "with.png")
    assert capsys.readouterr().err == ""
    rows, columns = (min(sides) for sides in zip(without.shape, found.shape, strict=True))
    strip = columns // 10  # where the names of the rows are
    dark = [np.count_nonzero(picture[:rows, :strip] < 64) for picture in (without, found)]
    assert dark[1] > 1.5 * dark[0], "squares, where boxes were"


def test_one_warning_says_that_no_font_has_the_names(
    installed: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installed == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "confusion.png")
        images = np.zeros((1, 8, 8, 1), np.uint8)
        draw_sheet(
            images, tmp_path / "sheet.png", captions=[KOREAN], masks=images[..., 0], classes=["a", JAPANESE]
        )
        caption(images[0], CHINESE)
    assert capsys.readouterr().err == (
        "warning: no installed font has some of the characters of names in figures, which show boxes instead; install "
        "one, such as Noto Sans CJK for Chinese, Japanese and Korean (Debian: fonts-noto-cjk)\n"
    )


def test_captions_of_single_images_use_an_installed_font(installed: list[Path], tmp_path: Path) -> None:
    image = np.full((8, 8, 1), 255, np.uint8)
    without = caption(image, CHINESE)
    installed.append(write_font(tmp_path / "fonts" / "han.ttf", CHINESE))
    assert np.count_nonzero(caption(image, CHINESE) == 0) > np.count_nonzero(without == 0)


def test_names_of_the_default_font_look_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[Path]:
        raise AssertionError("fonts are looked for")

    monkeypatch.setattr(fonts, "_installed", fail)
    draw(tmp_path / "latin.png", ["Ångström", "Ёж", "Ψάρι"])


def test_file_that_is_no_font_is_passed_over(installed: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "fonts" / "broken.ttf"
    broken.write_bytes(b"no font")
    installed += [broken, write_font(tmp_path / "fonts" / "han.ttf", CHINESE)]
    assert find_fonts(CHINESE) == installed[1:]
