"""Bad data, one after the other: each ends in one line that says what was received and
how to fix it, before anything is trained.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from test_data_archives import COUNT, write_cifar, write_idx
from test_data_image_files import write_images

from twostage import InputError
from twostage.data import archives as originals
from twostage.data import celeba, decode, loading
from twostage.data import image_files as folders


def coded(kind, size=(40, 30), **options):
    file = io.BytesIO()
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), "uint8")
    ).save(file, kind, **options)
    return file.getvalue()


def chunk(kind, body, checksum=0):
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body) ^ checksum)
    )


def png(width, height, checksum=0):
    """By its header: nothing is behind it."""
    header = chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), checksum
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


FILES = {  # an image file among good ones: (name, content, reason)
    "empty": ("a.png", b"", "empty file"),
    "text": ("a.gif", b"hello, this is no image", "not an image"),
    "a page that an error gave": (
        "a.jpg",
        b"<!DOCTYPE html><html><title>404 Not Found",
        "not an image",
    ),
    "zeros": ("a.jpg", bytes(5000), "not an image"),
    "png cut in the middle": ("a.png", coded("PNG")[:1500], "image file is truncated"),
    "png cut in its header": ("a.png", coded("PNG")[:20], "not an image|[Tt]runcated"),
    "png whose header has another checksum": (
        "a.png",
        png(20, 20, checksum=1),
        "not an image|broken PNG",
    ),
    "png without pixels": (
        "a.png",
        png(20, 20),
        "image file is truncated|unrecognized data",
    ),
    "png of no width": ("a.png", png(0, 20), "not an image"),
    "jpeg cut in the middle": ("a.jpg", coded("JPEG")[:900], "image file is truncated"),
    "jpeg cut in its header": (
        "a.jpeg",
        coded("JPEG")[:12],
        "not an image|[Tt]runcated",
    ),
    "webp cut": (
        "a.webp",
        coded("WEBP", lossless=True)[:700],
        "could not create decoder object",
    ),
    "gif cut": ("a.gif", coded("GIF")[:1_300], "image file is truncated"),
    "bmp cut": ("a.bmp", coded("BMP")[:400], "image file is truncated"),
    "png named jpg": ("a.jpg", coded("PNG"), "PNG named .jpg: rename it"),
    "jpeg named png": ("a.PNG", coded("JPEG"), "JPEG named .png: rename it"),
    "tiff named bmp": ("a.bmp", coded("TIFF"), "not an image"),
    "bomb": (
        "a.png",
        png(20_000, 20_000),
        r"Image size \(400000000 pixels\) exceeds limit",
    ),
    "half a bomb": (
        "a.png",
        png(10_000, 10_000),
        "10000x10000, more than 89,478,485 pixels",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_listed_with_its_reason(tmp_path, case):
    name, content, reason = FILES[case]
    write_images(tmp_path / "train", 4)
    write_images(tmp_path / "test", 2)
    (tmp_path / "train" / name).write_bytes(content)
    with pytest.raises(
        InputError,
        match=(
            rf"^1 of 5 images in the train split of .* cannot be read: train/{name}"
            rf" \(.*({reason})"
        ),
    ) as raised:
        loading.load(tmp_path)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(
        "fix or remove them, or leave them out with `skip_broken=True`"
    )
    assert len(loading.load(tmp_path, skip_broken=True)[0]) == 4


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    for module in (folders, decode):
        monkeypatch.setattr(module, "MAX_BYTES", 3_000)
    write_images(tmp_path / "train", 3)
    write_images(tmp_path / "test", 2)
    (tmp_path / "train" / "a.bmp").write_bytes(coded("BMP"))
    with pytest.raises(
        InputError, match=r"1 of 4 images .*train/a.bmp \(more than 3,000 bytes\)"
    ):
        loading.load(tmp_path)


def zipped(path, harm=None):
    with zipfile.ZipFile(path, "w") as packed:
        for i in range(30):
            packed.writestr(
                f"{i:03d}.png", coded("PNG", (12 + i % 2 * (harm == "sizes"), 12))
            )
    content = bytearray(path.read_bytes())
    for start in range(len(content)) if harm in ("encrypted", "crc") else ():
        if harm == "encrypted" and content[start : start + 4] == b"PK\x01\x02":
            content[start + 8] |= 1
        if harm == "crc" and content[start : start + 4] == b"IDAT":
            content[start + 9] ^= 1
    path.write_bytes(content[:-40] if harm == "cut" else content)


def originals_cut(folder, name, to):
    path = folder / name
    path.write_bytes(path.read_bytes()[:to])


def turned(path):
    np.savez(path, np.zeros((20, 8, 8), "uint8"))
    content = bytearray(path.read_bytes())
    content[800] ^= 1
    path.write_bytes(content)


def faces(folder, count=3, size=celeba.SIZE):
    write_images(folder, count, size)


def whole_celeba(folder, listing):
    faces(folder / "img_align_celeba", 12)
    (folder / "list_eval_partition.txt").write_text(listing)


# how it is made in a folder, what is loaded from there (a name, or in the folder),
# options, message
SETS = {
    "an empty folder": (
        lambda at: None,
        "",
        {},
        r"holds no image, expected files of \.jpg, .*: check the path",
    ),
    "only other files": (
        lambda at: (at / "a.txt").write_bytes(b"x"),
        "",
        {},
        r"holds no image, only 1 \.txt, expected files of .*: check the path",
    ),
    "only images of other kinds": (
        lambda at: (at / "a.HEIC").write_bytes(b"x"),
        "",
        {},
        r"only 1 \.heic, expected files of .*: convert them, or check the path",
    ),
    "no such folder": (
        lambda at: None,
        "nowhere/at/all",
        {},
        (
            "which is no folder or zip of images, or an .npz or .npy file: check the"
            " path, from /"
        ),
    ),
    "no such folder, cropped": (
        lambda at: None,
        "nowhere/at/all",
        {"crop": "center", "side": 64},
        (
            "which is no folder or zip of images, or an .npz or .npy file: check the"
            " path, from /"
        ),
    ),
    "a folder mistyped": (
        lambda at: None,
        "mnist",
        {"data_dir": "nowhere"},
        "received `data_dir='nowhere'`, which is no folder, from /.*: check the path",
    ),
    "a misspelt name": (
        lambda at: None,
        "cifra10",
        {},
        (
            "received data 'cifra10', expected digits, mnist, fashion_mnist, cifar10,"
            " svhn, celeba, a folder"
        ),
    ),
    "a text file": (
        lambda at: (at / "notes.txt").write_text("x"),
        "notes.txt",
        {},
        "notes.txt', which is no folder or zip",
    ),
    "unequal sizes": (
        lambda at: (faces(at / "a", 6, (9, 9)), faces(at / "b", 6, (8, 8))),
        "",
        {},
        "unequal sizes, .*: make them equal with `side=32`",
    ),
    "no validation split": (
        lambda at: faces(at, 30),
        "",
        {"split": "validation"},
        "has no validation split: make folders train, validation and test",
    ),
    "too few for a test split": (
        lambda at: faces(at, 1),
        "",
        {"split": "test"},
        "the test split of .* is empty, it holds too few images",
    ),
    "no test folder": (
        lambda at: faces(at / "train", 4),
        "",
        {"split": "test"},
        "has no test split: make folders",
    ),
    "a split that nobody has": (
        lambda at: faces(at),
        "",
        {"split": "dev"},
        "received split 'dev', expected one of train, validation, test",
    ),
    "another size than CelebA's": (
        lambda at: faces(at, 5, (100, 90)),
        "",
        {"crop": 128, "partial": True},
        "of 100x90, `crop='128'` is for CelebA's 178x218: use `crop='center'",
    ),
    "another crop": (
        lambda at: faces(at),
        "",
        {"crop": 130, "partial": True},
        "received `crop='130'`, expected one of none, center, 128, 140, 148",
    ),
    "another filter": (
        lambda at: faces(at),
        "",
        {"resize": "lanczos"},
        "received `resize='lanczos'`, expected one of bilinear, nearest, bicubic",
    ),
    "too little padding": (
        lambda at: faces(at),
        "",
        {"side": 64, "pad": 32},
        "received `pad=32` for images of 64x64, expected at least 64",
    ),
    "a part of CelebA": (
        lambda at: faces(at, 12),
        "",
        {"crop": 128},
        (
            "received 12 images in .*, CelebA has 202599: complete them, take a part"
            " with `partial=True`"
        ),
    ),
    "a part of CelebA by its name": (
        lambda at: faces(at / "img_align_celeba", 12),
        "img_align_celeba",
        {"side": 64},
        "CelebA has 202599",
    ),
    "a listing that is not CelebA's": (
        lambda at: whole_celeba(at, "0000.jpg 0\nhello\n"),
        "img_align_celeba",
        {"side": 32},
        "names 1 of the images in .* as train, expected 7: fetch it again",
    ),
    "half a zip": (
        lambda at: zipped(at / "a.zip", "cut"),
        "a.zip",
        {},
        "which is no whole zip .*: fetch it again",
    ),
    "a zip that is none": (
        lambda at: (at / "a.zip").write_bytes(b"hello"),
        "a.zip",
        {},
        "which is no whole zip",
    ),
    "a zip without images": (
        lambda at: zipfile.ZipFile(at / "a.zip", "w").close(),
        "a.zip",
        {},
        "holds no image",
    ),
    "a zip with a password": (
        lambda at: zipped(at / "a.zip", "encrypted"),
        "a.zip",
        {},
        "29 of 29 .* cannot be read: 000.png .it needs a password.;",
    ),
    "a zip with turned bits": (
        lambda at: zipped(at / "a.zip", "crc"),
        "a.zip",
        {},
        "cannot be read: 000.png .Bad CRC-32",
    ),
    "a zip of unequal sizes": (
        lambda at: zipped(at / "a.zip", "sizes"),
        "a.zip",
        {},
        "unequal sizes, 12x12 in 000.png and 13x12 in 001.png",
    ),
    "a crop of digits": (
        lambda at: None,
        "digits",
        {"side": 32},
        "received `crop='none', side=32` for 'digits', but these apply to image files",
    ),
    "validation digits": (
        lambda at: None,
        "digits",
        {"split": "validation"},
        "'digits' has no validation split: expected train or test",
    ),
    "floats": (
        lambda at: np.save(at / "a.npy", np.zeros((20, 8, 8))),
        "a.npy",
        {},
        "float64 images .*expected uint8",
    ),
    "wide integers": (
        lambda at: np.save(at / "a.npy", np.zeros((20, 8, 8), "int64")),
        "a.npy",
        {},
        "received int64 images",
    ),
    "bytes in wide integers": (
        lambda at: np.save(at / "a.npy", np.arange(320).reshape(5, 8, 8) % 256),
        "a.npy",
        {},
        r"received int64 images in .*, 0 to 255, .*: `scale=1` rounds them$",
    ),
    "bytes in floats": (
        lambda at: np.save(at / "a.npy", np.arange(320.0).reshape(5, 8, 8) % 256),
        "a.npy",
        {},
        r"float64 images .*, 0 to 255, expected uint8, .*: `scale=1` rounds them$",
    ),
    "16 bits": (
        lambda at: np.save(
            at / "a.npy", np.arange(320, dtype="uint16").reshape(5, 8, 8) * 200
        ),
        "a.npy",
        {},
        r"uint16 images .*, 0 to 63800, .*where 65535 is white, `scale=0.003891` does",
    ),
    "from -1 to 1": (
        lambda at: np.save(at / "a.npy", np.linspace(-1, 1, 320).reshape(5, 8, 8)),
        "a.npy",
        {},
        r"\(\(x \+ 1\) \* 127.5\).round",
    ),
    "any floats": (
        lambda at: np.save(at / "a.npy", np.linspace(-9, 9, 320).reshape(5, 8, 8)),
        "a.npy",
        {},
        "-9 to 9, expected uint8, 0 to 255: bring them to that range",
    ),
    "words": (
        lambda at: np.save(at / "a.npy", np.array(["a", "b"])),
        "a.npy",
        {},
        "an array of <U1 in .*, expected images",
    ),
    "rows": (
        lambda at: np.save(at / "a.npy", np.zeros((20, 64), "uint8")),
        "a.npy",
        {},
        r"received an array of shape \(20, 64\)",
    ),
    "nothing": (
        lambda at: np.save(at / "a.npy", np.zeros((0, 8, 8), "uint8")),
        "a.npy",
        {},
        r"received an array of shape \(0, 8, 8\) .*: there is no image in it$",
    ),
    "channels first": (
        lambda at: np.save(at / "a.npy", np.zeros((20, 3, 8, 8), "uint8")),
        "a.npy",
        {},
        r"\(20, 3, 8, 8\) .*move the channels to the end",
    ),
    "four channels": (
        lambda at: np.save(at / "a.npy", np.zeros((20, 8, 8, 4), "uint8")),
        "a.npy",
        {},
        r"with 1 or 3 channels: drop the others",
    ),
    "objects": (
        lambda at: np.save(
            at / "a.npy", np.array([{}] * 20, object), allow_pickle=True
        ),
        "a.npy",
        {},
        r"Python objects of shape \(20,\) .*: .*then save numpy.stack\(list\(x\)\)",
    ),
    "half an npy": (
        lambda at: (
            np.save(at / "a.npy", np.zeros((20, 8, 8), "uint8")),
            originals_cut(at, "a.npy", 500),
        ),
        "a.npy",
        {},
        "NumPy cannot read",
    ),
    "no npy": (
        lambda at: (at / "a.npy").write_bytes(b"hello"),
        "a.npy",
        {},
        "NumPy cannot read",
    ),
    "no npz": (
        lambda at: (at / "a.npz").write_bytes(b"hello"),
        "a.npz",
        {},
        "NumPy cannot read",
    ),
    "half an npz": (
        lambda at: (
            np.savez(at / "a.npz", np.zeros((20, 8, 8), "uint8")),
            originals_cut(at, "a.npz", 900),
        ),
        "a.npz",
        {},
        "NumPy cannot read",
    ),
    "an npz with a turned byte": (
        lambda at: turned(at / "a.npz"),
        "a.npz",
        {},
        "NumPy cannot read .*CRC",
    ),
    "odd arrays": (
        lambda at: np.savez(at / "a.npz", a=np.zeros(3), b=np.zeros(3)),
        "a.npz",
        {},
        r"arrays a \(3,\) float64, b \(3,\) float64, expected x_train and x_test",
    ),
    "labels of others": (
        lambda at: np.savez(
            at / "a.npz", x_train=np.zeros((9, 8, 8), "uint8"), y_train=np.zeros(8)
        ),
        "a.npz",
        {},
        "9 images in x_train and 8 labels in y_train",
    ),
    "half an idx file": (
        lambda at: (
            write_idx(at, packed=False),
            originals_cut(at, "train-images-idx3-ubyte", 999),
        ),
        "",
        {},
        "train-images-idx3-ubyte has 999 bytes, expected 47,056.: fetch them again",
    ),
    "half a packed idx file": (
        lambda at: (
            write_idx(at),
            originals_cut(at, "train-images-idx3-ubyte.gz", 999),
        ),
        "",
        {},
        "whose train files cannot be read .Compressed file ended",
    ),
    "another idx type": (
        lambda at: (
            write_idx(at),
            (at / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"hello")),
        ),
        "",
        {},
        "does not begin as an idx file",
    ),
    "idx images without labels": (
        lambda at: (write_idx(at), (at / "train-labels-idx1-ubyte.gz").unlink()),
        "",
        {},
        "without the other of train-images-idx3-ubyte and train-labels",
    ),
    "fewer labels": (
        lambda at: (
            write_idx(at, packed=False),
            (at / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x03abc"),
        ),
        "",
        {},
        r"images \(60, 28, 28\) and labels \(3,\)",
    ),
    "half of CIFAR-10": (
        lambda at: (
            write_cifar(at / "cifar-10-python.tar.gz"),
            originals_cut(at, "cifar-10-python.tar.gz", 30_000),
        ),
        "cifar-10-python.tar.gz",
        {},
        "whose train files cannot be read .*: fetch them again",
    ),
    "no CIFAR-10": (
        lambda at: (at / "cifar-10-python.tar.gz").write_bytes(b"hello"),
        "cifar-10-python.tar.gz",
        {},
        "whose train files cannot be read",
    ),
    "a batch is missing": (
        lambda at: empty_cifar(at),
        "cifar-10-binary.tar.gz",
        {},
        "data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5 missing",
    ),
    "a batch of odd length": (
        lambda at: [
            (at / f"data_batch_{i}.bin").write_bytes(bytes(3_000)) for i in range(1, 6)
        ],
        "",
        {},
        "whose train files cannot be read .cannot reshape",
    ),
    "no SVHN": (
        lambda at: (at / "train_32x32.mat").write_bytes(
            b"hello, this is no MATLAB file" * 99
        ),
        "train_32x32.mat",
        {},
        "whose train files cannot be read",
    ),
}


def empty_cifar(at):
    with tarfile.open(at / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))


@pytest.mark.parametrize("case", SETS)
def test_a_set_that_cannot_be_used_is_reported_in_one_line(tmp_path, monkeypatch, case):
    make, source, options, message = SETS[case]
    monkeypatch.setattr(originals, "MNIST_COUNTS", COUNT)
    if "listing" in case:
        monkeypatch.setattr(celeba, "COUNTS", {"train": 7, "validation": 2, "test": 3})
    make(tmp_path)
    with pytest.raises(InputError, match=message) as raised:
        loading.load(
            source if source in ("cifra10", "digits", "mnist") else tmp_path / source,
            **options,
        )
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 700
