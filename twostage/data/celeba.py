"""CelebA's partition, crop and resize. The authors' figures need exactly these: a nearest-neighbour resize went unnoticed once."""

from PIL import Image

from twostage.errors import InputError

SIZE = (178, 218)  # of an aligned picture, width and height
CROPS = {  # left, top, right, bottom
    128: (25, 45, 153, 173),  # Dai & Wipf; Asperti & Trentin
    140: (19, 39, 159, 179),  # Wasserstein and regularised autoencoders
    148: (15, 35, 163, 183),  # Beta-Sigma VAE: the centre
}
COUNTS = {"train": 162_770, "validation": 19_867, "test": 19_962}  # of the official partition, in the order of the files' names
LISTING = "list_eval_partition.txt"
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}


def partition(paths, folder, split):
    """The files of a split of all of CelebA, by list_eval_partition.txt in or beside the folder, else by the order of their names."""
    if len(paths) != sum(COUNTS.values()):
        raise InputError(f"received {len(paths)} pictures in {folder}, CelebA has {sum(COUNTS.values())}: complete them, or take a part with --partial")
    number = list(COUNTS).index(split)
    listing = next((place / LISTING for place in (folder, folder.parent) if (place / LISTING).exists()), None)
    if listing is None:
        start = sum(list(COUNTS.values())[:number])
        return sorted(paths, key=lambda path: path.name)[start : start + COUNTS[split]]
    of = dict(line.split()[:2] for line in listing.read_text().splitlines() if line.strip())
    chosen = [path for path in sorted(paths, key=lambda path: path.name) if of.get(f"{path.stem}.jpg") == str(number)]
    if len(chosen) != COUNTS[split]:
        raise InputError(f"{listing} names {len(chosen)} of the pictures in {folder} as {split}, expected {COUNTS[split]}: fetch it again, or move it away")
    return chosen


def crop(image, side, name="the picture"):
    """The centred side x side face of an aligned CelebA picture (a Pillow image)."""
    if side not in CROPS:
        raise InputError(f"received --crop {side}, expected {', '.join(map(str, CROPS))}, or 0 for none")
    if image.size != SIZE:
        raise InputError(f"received {name} of {image.width}x{image.height}, --crop {side} is for CelebA's {SIZE[0]}x{SIZE[1]}: use --crop 0 --side 64")
    return image.crop(CROPS[side])


def resize(image, side, kind="bilinear"):
    """As Pillow does, antialiased but for `nearest`. Bilinear at half the side has the taps (1, 3, 3, 1) / 8."""
    return image.resize((side, side), FILTERS[kind])
