"""Which images a network takes. Each check raises `InputError` with the size that would
do.
"""

from collections.abc import Collection

from twostage.errors import InputError

ImageShape = tuple[int, int, int]  # (height, width, channels)


def check_squares(
    shape: ImageShape, sides: Collection[int], *, resize: int | None = None
) -> None:
    """Squares of one of these sides.

    Args:
        shape: (height, width, channels).
        sides: The sides that will do, from the smallest.
        resize: The side to resize to, where images are not padded.
    """
    height, width, _ = shape
    if height == width and height in sides:
        return
    fixes = []
    larger = [side for side in sides if side >= max(height, width)]
    if larger:
        fixes.append(f"pad them with `pad={larger[0]}`")
    if resize is not None:
        fixes.append(f"resize them with `side={resize}`")
    elif not larger:
        fixes.append(f"resize them to at most {max(sides)} pixels with `side`")
    expected = " or ".join(f"{side}x{side}" for side in sides)
    if len(sides) > 2:
        expected = f"squares of side {', '.join(map(str, sides))}"
    raise InputError(f"images of {height}x{width}", expected, ", or ".join(fixes))


def check_divisible(shape: ImageShape, factor: int) -> None:
    """Sides that `factor` divides."""
    height, width, _ = shape
    if height % factor == width % factor == 0:
        return
    fitting = -(-max(height, width) // factor) * factor
    raise InputError(
        f"images of {height}x{width}",
        f"sides that {factor} divides",
        f"pad them with `pad={fitting}`",
    )


def check_at_least(shape: ImageShape, side: int) -> None:
    """Both sides at least `side`."""
    height, width, _ = shape
    if min(height, width) >= side:
        return
    raise InputError(
        f"images of {height}x{width}",
        f"at least {side} pixels each way",
        f"pad them with `pad={side}`",
    )


def check_channels(shape: ImageShape) -> None:
    """Gray or RGB."""
    if shape[-1] not in (1, 3):
        raise InputError(
            f"images with {shape[-1]} channels", "1 or 3", "convert them to gray or RGB"
        )
