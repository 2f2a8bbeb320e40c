"""The sizes of a data set's image files, and what a preprocessing makes of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from twostage.data.preprocessing import Preprocessing
from twostage.errors import InputError

SIDES = (128, 64, 32)  # that are proposed, the largest first


class SizeCount(NamedTuple):
    """Images of one width, height and number of channels: how many there are, and the
    name of the first.
    """

    width: int
    height: int
    channels: int
    count: int
    first: str


@dataclasses.dataclass(frozen=True)
class ImageSizes:
    """The sizes of image files before they are preprocessed.

    Args:
        counts: The different sizes, upright.

    Example:
        >>> ImageSizes([SizeCount(200, 150, 3, 90, "a.jpg")]).proposed_side
        128
    """

    counts: Sequence[SizeCount]

    @property
    def total(self) -> int:
        """The number of images."""
        return sum(size.count for size in self.counts)

    @property
    def channels(self) -> int:
        """1 where all images are gray, else 3."""
        return max((size.channels for size in self.counts), default=3)

    @property
    def possible_sides(self) -> list[int]:
        """Those of `SIDES` that at least half of the images have both ways."""
        return [side for side in SIDES if 2 * self._count_from(side) >= self.total]

    @property
    def proposed_side(self) -> int:
        """The largest possible side; the smallest of `SIDES` where there is none."""
        return next(iter(self.possible_sides), SIDES[-1])

    def proposal(self, side: int) -> str:
        """How to resize the images to a side, in Python."""
        is_square = self._count(lambda width, height: width != height) == 0
        return f"`side={side}`" if is_square else f"`side={side}, fit='crop'`"

    def shape(self, preprocessing: Preprocessing) -> tuple[int, int, int]:
        """(height, width, channels) of every preprocessed image.

        Raises:
            InputError: they would have unequal sizes, or do not fit the preprocessing.
        """
        firsts: dict[tuple[int, int], SizeCount] = {}
        for size in self.counts:
            prepared = preprocessing.size_of(size[:2], size.first)
            firsts.setdefault(prepared, size)
        if len(firsts) > 1:
            raise self._unequal(*list(firsts.values())[:2])
        width, height = next(iter(firsts))
        return height, width, preprocessing.channels or self.channels

    def _unequal(self, one: SizeCount, other: SizeCount) -> InputError:
        return InputError(
            f"images of unequal sizes, {one.width}x{one.height} in {one.first} and"
            f" {other.width}x{other.height} in {other.first}",
            "equal ones",
            f"make them equal with {self.proposal(self.proposed_side)}",
        )

    def remarks(self, preprocessing: Preprocessing) -> list[str]:
        """What becomes of images, where they do not only get smaller, a line each."""
        lines = (
            self._recolored(preprocessing),
            self._stretched(preprocessing),
            self._enlarged(preprocessing),
        )
        return [line for line in lines if line]

    def _recolored(self, preprocessing: Preprocessing) -> str:
        channels = preprocessing.channels or self.channels
        changed = sum(size.count for size in self.counts if size.channels != channels)
        if not changed:
            return ""
        if channels == 1:
            return f"{self._share(changed)} are in color, and become gray"
        return (
            f"{self._share(changed)} are gray, and become color ones of equal channels:"
            " `channels=1` makes all gray instead"
        )

    def _stretched(self, preprocessing: Preprocessing) -> str:
        if not preprocessing.side or preprocessing.fit != "stretch":
            return ""
        ratios = {
            size: max(size) / min(size)
            for size in (preprocessing.cropped_size(size[:2]) for size in self.counts)
        }
        stretched = self._count(
            lambda *size: ratios[preprocessing.cropped_size(size)] > 1
        )
        if not stretched:
            return ""
        return (
            f"{self._share(stretched)} are stretched to squares, one side by up to"
            f" {max(ratios.values()):.2f}: `fit='crop'` takes their middle,"
            " `fit='letterbox'` adds black bars"
        )

    def _enlarged(self, preprocessing: Preprocessing) -> str:
        side = preprocessing.side
        longest = max if preprocessing.fit == "letterbox" else min
        enlarged = self._count(
            lambda *size: longest(preprocessing.cropped_size(size)) < side
        )
        if not enlarged:
            return ""
        return f"{self._share(enlarged)} are smaller than {side}x{side}, and enlarged"

    def _count_from(self, side: int) -> int:
        return self._count(lambda width, height: min(width, height) >= side)

    def _count(self, accepts: Callable[[int, int], bool]) -> int:
        """The number of images whose (width, height) are accepted."""
        return sum(s.count for s in self.counts if accepts(s.width, s.height))

    def _share(self, count: int) -> str:
        return f"{count:,} of {self.total:,} images"
