"""What an element of a map sees of the image: its receptive field, by formula and pixel by pixel.

The formula is that of Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", eq. 2. It is
exact where elements are whole pixels apart. Behind a layer that enlarges a map, or pools it to bins, elements differ in
what they see, so the first and last pixel of each are kept, too. The border is taken to continue: a field that
reaches over it counts in full, up to the size of the image; but not that of a bin. The holes between the weights of a
dilated filter are counted, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

Shape = tuple[int, ...]
Pair = tuple[int, int]
Span = tuple[int, int]  # first and last, both included


@dataclass(frozen=True)
class Axis:
    """The pixels that each element of one axis of a map sees.

    Args:
        spans: first and last pixel of each element; pixels beyond the border are negative, or `size` and more.
        period: the elements repeat themselves after so many ...
        shift: ... displaced by so many pixels; 0 if they do not repeat, and then nothing lies beyond the last.
        size: number of pixels of the image.
        end: the last pixel of the image that any element sees; strides that do not fit leave some out.
    """

    spans: tuple[Span, ...]
    period: int
    shift: int
    size: int
    end: int

    @property
    def pixels(self) -> int:
        """The largest number of pixels that an element sees."""
        return min(self.size, max(last - first + 1 for first, last in self.spans))

    def filtered(self, count: int, kernel: int, stride: int, padding: int) -> Axis:
        """Return the axis after a window has moved over it, in `count` steps."""
        starts = [step * stride - padding for step in range(count)]
        spans = tuple((self._span(start)[0], self._span(start + kernel - 1)[1]) for start in starts)
        common = gcd(self.period, stride)
        period, shift = self.period // common, self.shift * (stride // common)
        return Axis(spans, period, shift, self.size, min(self.end, spans[-1][1]))

    def raised(self, inputs: Iterable[Span], factor: int) -> Axis:
        """Return the axis after a layer that makes `factor` elements of one.

        Args:
            inputs: first and last input element of each output element; those outside do not exist.
        """
        last = len(self.spans) - 1
        spans = tuple(
            (self.spans[min(max(a, 0), last)][0], self.spans[min(max(b, 0), last)][1]) for a, b in inputs
        )
        return replace(self, spans=spans, period=self.period * factor)

    def binned(self, bins: int) -> Axis:
        """Return the axis after pooling to bins of nearly equal size, as torch cuts them.

        Bins at the border may hold more elements than others, so what lies beyond it does not count.
        """
        count = len(self.spans)
        cuts = [(index * count // bins, -(-(index + 1) * count // bins) - 1) for index in range(bins)]
        spans = tuple((max(self.spans[a][0], 0), min(self.spans[b][1], self.end)) for a, b in cuts)
        return replace(self, spans=spans, period=1, shift=0)

    def cropped(self, count: int) -> Axis:
        """Return the middle `count` elements."""
        start = (len(self.spans) - count) // 2
        return replace(self, spans=self.spans[start : start + count])

    def joined(self, other: Axis) -> Axis:
        """Return the axis of elements fed by two paths; the longer one is cropped."""
        count = min(len(self.spans), len(other.spans))
        pairs = zip(self.cropped(count).spans, other.cropped(count).spans, strict=True)
        spans = tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs)
        if self.shift * other.period != other.shift * self.period:
            return replace(self, spans=spans, period=1, shift=0)
        period = lcm(self.period, other.period)
        return replace(self, spans=spans, period=period, shift=self.shift * period // self.period)

    def _span(self, index: int) -> Span:
        """Return the pixels of an element, which may lie beyond the border."""
        count = len(self.spans)
        if 0 <= index < count:
            return self.spans[index]
        if not self.shift or self.period > count:
            return self.spans[min(max(index, 0), count - 1)]
        turns = -(index // self.period) if index < 0 else -((index - count) // self.period + 1)
        first, last = self.spans[index + turns * self.period]
        return first - turns * self.shift, last - turns * self.shift


@dataclass(frozen=True)
class View:
    """Receptive field and stride of the elements of a map with respect to the image.

    Args:
        field: rows and columns of the receptive field by the formula, no larger than the image; a fraction after an
            upsampling layer, whose neighbouring elements are parts of a pixel apart.
        jump: distance in the image between neighbouring elements, per axis; their mean distance for bins.
        axes: the pixels of each row and column of elements.
    """

    field: tuple[Fraction, Fraction]
    jump: tuple[Fraction, Fraction]
    axes: tuple[Axis, Axis]

    @classmethod
    def of_image(cls, shape: Shape) -> View:
        """Return the view of the image itself: one pixel each."""
        one = (Fraction(1), Fraction(1))
        rows, columns = (
            Axis(tuple((pixel, pixel) for pixel in range(size)), 1, 1, size, size - 1) for size in shape[1:]
        )
        return cls(one, one, (rows, columns))

    def through(self, sides: Pair, kernel: Pair, stride: Pair, padding: Pair) -> View:
        """Return the view after a filter: r + (k - 1) j and j s.

        Args:
            sides: rows and columns of the output.
        """
        axes = _pair(map(Axis.filtered, self.axes, sides, kernel, stride, padding))
        return View(self._widened(kernel), (self.jump[0] * stride[0], self.jump[1] * stride[1]), axes)

    def through_up(self, sides: Pair, kernel: Pair, stride: Pair) -> View:
        """Return the view after a transposed filter: up to ceil(k / s) inputs contribute to one output."""
        inputs = [
            [(-((k - 1 - index) // s), index // s) for index in range(side)]
            for side, k, s in zip(sides, kernel, stride, strict=True)
        ]
        reach = (-(-kernel[0] // stride[0]), -(-kernel[1] // stride[1]))
        return self._raised(self._widened(reach), inputs, stride)

    def resized(self, factor: Pair, *, is_bilinear: bool) -> View:
        """Return the view after interpolation: of the nearest input, or of the two inputs next to each output."""
        inputs = []
        for axis, rise in zip(self.axes, factor, strict=True):
            # Output i lies at (i + 1/2) / f - 1/2, in units of inputs.
            places = [Fraction(2 * index + 1 - rise, 2 * rise) for index in range(rise * len(axis.spans))]
            if is_bilinear:
                inputs.append([(place.__floor__(), place.__ceil__()) for place in places])
            else:
                inputs.append([(index // rise, index // rise) for index in range(len(places))])
        return self._raised(self._widened((2, 2) if is_bilinear else (1, 1)), inputs, factor)

    def binned(self, bins: Pair) -> View:
        """Return the view after pooling to bins of nearly equal size."""
        axes = _pair(map(Axis.binned, self.axes, bins))
        jump = [
            jump * Fraction(len(axis.spans), count)
            for jump, axis, count in zip(self.jump, self.axes, bins, strict=True)
        ]
        return View((Fraction(axes[0].pixels), Fraction(axes[1].pixels)), (jump[0], jump[1]), axes)

    def whole(self, shape: Shape) -> View:
        """Return the view of a map, or of a vector, whose elements all see every pixel."""
        sides = shape[1:] or (1, 1)
        axes = _pair(
            Axis(((0, axis.size - 1),) * side, 1, 0, axis.size, axis.size - 1)
            for axis, side in zip(self.axes, sides, strict=True)
        )
        return View((Fraction(axes[0].size), Fraction(axes[1].size)), self.jump, axes)

    @property
    def image(self) -> Pair:
        """Rows and columns of the image."""
        return self.axes[0].size, self.axes[1].size

    @property
    def pixels(self) -> Pair:
        """Rows and columns of the pixels that an element sees at least in part, at most."""
        return self.axes[0].pixels, self.axes[1].pixels

    def joined(self, other: View) -> View:
        """Return the view of an element fed by two paths: the wider of the two."""
        widest = [max(a, b) for a, b in zip(self.field, other.field, strict=True)]
        axes = _pair(map(Axis.joined, self.axes, other.axes))
        return View((widest[0], widest[1]), self.jump, axes)

    def _widened(self, kernel: Pair) -> tuple[Fraction, Fraction]:
        """Return r + (k - 1) j, no larger than the image."""
        seen = [
            min(Fraction(size), r + (k - 1) * j)
            for r, k, j, size in zip(self.field, kernel, self.jump, self.image, strict=True)
        ]
        return seen[0], seen[1]

    def _raised(self, field: tuple[Fraction, Fraction], inputs: list[list[Span]], factor: Pair) -> View:
        axes = _pair(map(Axis.raised, self.axes, inputs, factor))
        return View(field, (self.jump[0] / factor[0], self.jump[1] / factor[1]), axes)


def _pair(axes: Iterable[Axis]) -> tuple[Axis, Axis]:
    rows, columns = axes
    return rows, columns
