"""CelebA's crop and resize. The authors' figures need exactly these: a nearest-neighbour resize went unnoticed once."""

from PIL import Image

from twostage.errors import InputError

SIZE = (178, 218)  # of an aligned picture, width and height
CROPS = {128: (25, 45, 153, 173)}  # columns 25-153, rows 45-173 (Dai & Wipf; Asperti & Trentin)


def crop(image, side, name="the picture"):
    """The centred side x side face of an aligned CelebA picture (a Pillow image)."""
    if side not in CROPS:
        raise InputError(f"received --crop {side}, expected {', '.join(map(str, CROPS))}, or 0 for none")
    if image.size != SIZE:
        raise InputError(f"received {name} of {image.width}x{image.height}, --crop {side} is for CelebA's {SIZE[0]}x{SIZE[1]}: use --crop 0 --side 64")
    return image.crop(CROPS[side])


def resize(image, side):
    """Bilinear with antialiasing, as Pillow has it. At half the side its taps are (1, 3, 3, 1) / 8."""
    return image.resize((side, side), Image.Resampling.BILINEAR)
