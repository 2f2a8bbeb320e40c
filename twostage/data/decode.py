"""The bytes of a picture file as pixels, whatever its kind; what is wrong with a file
is told in a few words.
"""

import io
import os

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from twostage.errors import InputError

# what Pillow calls the content of files of each suffix; MPO: a camera's JPEG with more
# pictures behind the first
FORMATS = {
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".png": ("PNG",),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
}
KNOWN = {kind for kinds in FORMATS.values() for kind in kinds}
OPENED = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
)  # by their openers; an MPO is opened as a JPEG
MOST_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of colours
MOST_BYTES = 2**28

# here, since threads that meet a first WebP together would each begin to load its
# decoder
Image.init()


class Broken(InputError):
    """A file that is no whole picture, with the reason."""


def decode(content, name=""):
    """A Pillow image of mode L or RGB: the first frame, upright as its EXIF says, 16
    bits rounded to 8, on white where it is transparent.

    Args:
        content: The file's bytes.
        name: The file's name. Content of another kind than its suffix says is refused;
            without a suffix, any kind that is known will do.

    Raises:
        Broken: a file that is empty, truncated, too large, misnamed, or no picture.
    """
    if not content:
        raise Broken("empty file")
    if len(content) > MOST_BYTES:
        raise Broken(f"more than {MOST_BYTES:,} bytes")
    try:
        with Image.open(io.BytesIO(content), formats=OPENED) as image:
            suffix = os.path.splitext(name)[1].lower()
            if image.format not in FORMATS.get(suffix, KNOWN):
                raise Broken(f"{image.format} named {suffix}: rename it")
            if image.width * image.height > MOST_PIXELS:
                raise Broken(
                    f"{image.width}x{image.height}, more than {MOST_PIXELS:,} pixels"
                )
            if image.format != "JPEG" or image.info.keys() & {
                "exif",
                "xmp",
            }:  # the others tell it after their pixels, or in other places
                ImageOps.exif_transpose(image, in_place=True)
            return _to_8_bits(image)
    except Broken:
        raise
    except UnidentifiedImageError as error:
        raise Broken("no picture") from error
    except (
        Exception
    ) as error:  # decoders fail in many ways on bytes that nobody foresaw
        raise Broken(
            (str(error).splitlines() or [type(error).__name__])[0][:80]
        ) from error


def _to_8_bits(image):
    """A Pillow image of any mode -> mode L or RGB, its pixels in memory. One of such a
    mode is not copied: a copy takes as long as decoding.
    """
    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(
        "I"
    ):  # 16 bits: Pillow's own conversion would cut everything above 255
        return Image.fromarray(
            np.rint(np.asarray(image).astype("float64") / 257).astype("uint8")
        )
    kind = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        image = Image.alpha_composite(
            Image.new("RGBA", image.size, "white"), image.convert("RGBA")
        )
    return image if image.mode == kind else image.convert(kind)
