"""Decodes an image file of any kind to pixels; an error says in a few words what is
wrong with the file.
"""

import io
import os
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from twostage.data.levels import WHITE
from twostage.errors import InputError

# what Pillow calls the content of files of each suffix; MPO: a camera's JPEG with more
# images behind the first
FORMATS = {
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".png": ("PNG",),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
}
KNOWN_FORMATS = {kind for kinds in FORMATS.values() for kind in kinds}
# by their openers; an MPO is opened as a JPEG
PILLOW_OPENERS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of colors
MAX_BYTES = 2**28

# here, since threads that meet a first WebP together would each begin to load its
# decoder
Image.init()


# in EXIF; 5 to 8 make width and height change places
ORIENTATION = 0x0112


class Broken(InputError):
    """A file that is no whole image, with the reason."""


class HeaderInfo(NamedTuple):
    """What the header of an image file says: width and height upright, and 1 or 3
    channels.
    """

    width: int
    height: int
    channels: int


def read_header(file: IO[bytes], name: str = "") -> HeaderInfo:
    """The size that `decode` will give, without decoding.

    Args:
        file: The image file.
        name: As for `decode`, with its errors.
    """
    try:
        with Image.open(file, formats=PILLOW_OPENERS) as image:
            _check(image, name)
            # a PNG's own method decodes it, as EXIF may lie behind the pixels
            turned = Image.Image.getexif(image).get(ORIENTATION) in (5, 6, 7, 8)
            width, height = image.size[::-1] if turned else image.size
            return HeaderInfo(width, height, 1 if _is_gray(image) else 3)
    except (Broken, MemoryError):
        raise
    except Exception as error:  # as in `decode`
        raise _broken(error) from error


def decode(content: bytes, name: str = "", scale: float = 0) -> Image.Image:
    """A Pillow image of mode L or RGB: the first frame, upright as its EXIF says, 16
    bits rounded to 8, on white where it is transparent.

    Args:
        content: The file's bytes.
        name: The file's name. Content of another kind than its suffix says is refused;
            without a suffix, any kind that is known will do.
        scale: Values are multiplied by it before they are rounded to 8 bits. 0: they
            are not.

    Raises:
        Broken: a file that is empty, truncated, too large, misnamed, or no image; or
            the scale takes it above 255.
    """
    if not content:
        raise Broken("empty file")
    if len(content) > MAX_BYTES:
        raise Broken(f"more than {MAX_BYTES:,} bytes")
    try:
        with Image.open(io.BytesIO(content), formats=PILLOW_OPENERS) as image:
            _check(image, name)
            if image.format != "JPEG" or image.info.keys() & {"exif", "xmp"}:
                # the others hold EXIF behind their pixels, or in other places
                ImageOps.exif_transpose(image, in_place=True)
            return _to_8_bits(image, scale or 1)
    except (Broken, MemoryError):  # a lack of memory says nothing of the file
        raise
    except Exception as error:  # decoders fail in many ways on unforeseen bytes
        raise _broken(error) from error


def _broken(error: Exception) -> Broken:
    if isinstance(error, UnidentifiedImageError):
        return Broken("not an image")
    lines = str(error).splitlines() or [type(error).__name__]
    return Broken(lines[0][:80])


def _is_gray(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _check(image: Image.Image, name: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if image.format not in FORMATS.get(suffix, KNOWN_FORMATS):
        raise Broken(f"{image.format} named {suffix}: rename it")
    if image.width * image.height > MAX_PIXELS:
        raise Broken(f"{image.width}x{image.height}, more than {MAX_PIXELS:,} pixels")


def _to_8_bits(image: Image.Image, scale: float) -> Image.Image:
    """A Pillow image of any mode -> mode L or RGB, its pixels in memory, multiplied by
    a scale. One of such a mode is not copied: a copy takes as long as decoding.
    """
    image.load()
    if image.mode.startswith("I"):
        # 16 bits: Pillow's own conversion would cut everything above 255
        levels = np.asarray(image)
        transparent = levels == image.info.get("transparency", -1)
        rounded = _rounded(np.where(transparent, 0, levels) / 257, scale)
        on_white = np.where(transparent, np.uint8(WHITE), rounded)
        return Image.fromarray(on_white)
    image = _as_l_or_rgb(image)
    if scale == 1:
        return image
    return Image.fromarray(_rounded(np.asarray(image), scale))


def _rounded(levels: np.ndarray, scale: float) -> np.ndarray:
    """Numbers (height, width[, 3]) times a scale, rounded to uint8."""
    high = levels.max(initial=0)
    if high * scale >= WHITE + 0.5:
        raise Broken(
            f"values up to {high:.4g}, which `scale={scale:g}` takes above {WHITE}: at"
            f" most `scale={WHITE / high:.4g}`"
        )
    return np.rint(levels * scale).astype("uint8")


def _as_l_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    mode = "L" if _is_gray(image) else "RGB"
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)
