"""The authors' own files of MNIST, Fashion-MNIST, CIFAR-10 and SVHN, and TensorFlow
Datasets' prepared copies.
"""

import gzip
import io
import pickle
import shutil
import struct
import tarfile

import numpy as np
import pytest
from test_data_cache import faces, plain_loop

from twostage import InputError
from twostage.data import archives, loading, registry

COUNT = {"train": 60, "test": 20}


def write_idx(folder, labels_of=lambda count: np.arange(count) % 10, packed=True):
    """MNIST's four files, small. Returns {split: (images, labels)}."""
    folder.mkdir(exist_ok=True)
    found = {}
    for split, (images_name, labels_name) in archives.IDX_STEMS.items():
        generator = np.random.default_rng(len(split))
        images, labels = (
            generator.integers(0, 256, (COUNT[split], 28, 28), "uint8"),
            labels_of(COUNT[split]).astype("uint8"),
        )
        for name, array in ((images_name, images), (labels_name, labels)):
            content = (
                struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
                + array.tobytes()
            )
            (folder / (f"{name}.gz" if packed else name)).write_bytes(
                gzip.compress(content) if packed else content
            )
        found[split] = images[..., None], labels
    return found


def write_cifar(path, kind="python", old=False):
    """CIFAR-10's archive, 4 images per batch. Returns {split: (images, labels)}."""
    generator, parts = np.random.default_rng(0), {"train": [], "test": []}
    with tarfile.open(path, "w:gz") as archive:
        for split, names in archives.CIFAR_BATCHES.items():
            for name in names:
                images, labels = (
                    generator.integers(0, 256, (4, 32, 32, 3), "uint8"),
                    generator.integers(0, 10, 4),
                )
                rows = images.transpose(0, 3, 1, 2).reshape(4, 3072)
                if kind == "binary":
                    content = np.concatenate(
                        [labels[:, None].astype("uint8"), rows], axis=1
                    ).tobytes()
                else:
                    content = pickle.dumps(
                        {
                            b"batch_label": b"a batch",
                            b"labels": labels.tolist(),
                            b"data": rows,
                            b"filenames": [b"x.png"] * 4,
                        },
                        protocol=2,
                    )
                    if old:  # as NumPy 1 wrote it
                        content = content.replace(
                            b"numpy._core.multiarray", b"numpy.core.multiarray"
                        )
                member = f"py/{name}" if kind == "python" else f"bin/{name}.bin"
                entry = tarfile.TarInfo(f"cifar-10-batches-{member}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
                parts[split].append((images, labels))
    return {
        split: tuple(np.concatenate(each) for each in zip(*found, strict=True))
        for split, found in parts.items()
    }


def same(loaded, expected):
    for one, other in zip(loaded, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("packed", [True, False])
def test_mnists_idx_files(tmp_path, packed):
    found = write_idx(tmp_path / "raw", packed=packed)
    for split in found:
        same(loading.load(tmp_path / "raw", split), found[split])
        same(
            loading.load(
                tmp_path / "raw" / (archives.IDX_STEMS[split][0] + ".gz" * packed),
                split,
            ),
            found[split],
        )


def test_a_file_may_be_there_packed_and_unpacked(tmp_path):
    write_idx(tmp_path / "x")
    made = write_idx(tmp_path / "x", packed=False)
    images, labels = loading.load(tmp_path / "x", "test")
    np.testing.assert_array_equal(images, made["test"][0])
    np.testing.assert_array_equal(labels, made["test"][1])


def test_fashion_is_not_taken_for_mnist_nor_mnist_for_fashion(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MNIST_COUNTS", COUNT)
    fashion = write_idx(tmp_path / "fashion_mnist")  # as many of each class
    mnist = write_idx(tmp_path / "mnist", lambda count: np.arange(count) % 7)
    same(loading.load("fashion_mnist", data_dir=tmp_path), fashion["train"])
    same(loading.load("mnist", "test", data_dir=tmp_path), mnist["test"])
    with pytest.raises(
        InputError,
        match=(
            r"received 60 train images in .*fashion_mnist, which look like"
            r" Fashion-MNIST's, expected 60 of mnist: check the folder"
        ),
    ):
        loading.load("mnist", data_dir=tmp_path / "fashion_mnist")
    with pytest.raises(
        InputError, match="which look like MNIST's, expected 60 of fashion_mnist"
    ):
        loading.load("fashion_mnist", data_dir=tmp_path / "mnist")
    monkeypatch.setattr(archives, "MNIST_COUNTS", {"train": 61, "test": 20})
    with pytest.raises(
        InputError, match=r"received 60 train images .* expected 61 of mnist"
    ):
        loading.load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    "kind, old", [("python", False), ("python", True), ("binary", False)]
)
def test_cifar10s_archives_packed_and_unpacked(tmp_path, kind, old):
    path = tmp_path / f"cifar-10-{kind}.tar.gz"
    found = write_cifar(path, kind, old)
    for split in found:
        same(loading.load(path, split), found[split])
        same(loading.load("cifar10", split, data_dir=tmp_path), found[split])
    shutil.unpack_archive(path, tmp_path / "open")
    path.unlink()
    for place in (tmp_path / "open", next((tmp_path / "open").iterdir())):
        same(loading.load(place), found["train"])


def test_several_sets_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MNIST_COUNTS", COUNT)
    mnist, cifar = (
        write_idx(tmp_path, lambda count: np.arange(count) % 7),
        write_cifar(tmp_path / "cifar-10-binary.tar.gz", "binary"),
    )
    same(loading.load("mnist", data_dir=tmp_path), mnist["train"])
    same(loading.load("cifar10", data_dir=tmp_path), cifar["train"])


def test_svhns_extra_images_are_added_where_that_is_reported(tmp_path, caplog):
    from scipy.io import savemat

    caplog.set_level("INFO", "twostage")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (32, 32, 3, 9), "uint8")
    for name, rows in {"train": slice(5), "extra": slice(5, 9)}.items():
        content = {"X": images[..., rows], "y": np.arange(1, 10)[rows, None]}
        savemat(tmp_path / f"{name}_32x32.mat", content)
    assert len(loading.load(tmp_path)[0]) == 5
    assert "extra images not used: `use_unlabeled` adds them" in caplog.text
    for source, options in ((tmp_path, {}), ("svhn", {"data_dir": tmp_path})):
        found, labels = loading.load(source, use_unlabeled=True, **options)
        np.testing.assert_array_equal(found, images.transpose(3, 0, 1, 2))
        assert labels.tolist() == list(range(1, 10))
    (tmp_path / "extra_32x32.mat").unlink()
    with pytest.raises(InputError, match="has no images outside its splits: drop it"):
        loading.load(tmp_path, use_unlabeled=True)


def test_svhns_files(tmp_path):
    from scipy.io import savemat

    images, labels = (
        np.random.default_rng(0).integers(0, 256, (32, 32, 3, 12), "uint8"),
        np.arange(1, 13)[:, None] % 11,
    )
    savemat(tmp_path / "train_32x32.mat", {"X": images, "y": labels})
    expected = images.transpose(3, 0, 1, 2), labels[:, 0] % 10
    same(loading.load("svhn", data_dir=tmp_path), expected)
    same(loading.load(tmp_path / "train_32x32.mat"), expected)


def test_a_pickle_that_is_no_array_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return print, ("it ran",)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in archives.CIFAR_BATCHES["train"]:
        (folder / name).write_bytes(
            pickle.dumps({b"data": Harm(), b"labels": [1]}, protocol=2)
        )
    with pytest.raises(
        InputError,
        match=r"a pickle that needs __builtin__.print, which CIFAR-10 does not",
    ):
        loading.load(folder)


def test_tensorflow_datasets_prepared_celeba(tmp_path):
    """A copy as TFDS prepares it, from its own writer, of our own images: each JPEG
    reaches the cache as its authors coded it.
    """
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = faces(tmp_path / "faces", 30)
    names = {
        "train": [f"{i:06d}.jpg" for i in range(18)],
        "validation": [f"{i:06d}.jpg" for i in range(18, 23)],
        "test": [f"{i:06d}.jpg" for i in range(23, 30)],
    }
    builder = tfds.builder("celeb_a", data_dir=str(tmp_path / "tfds"))
    numbers = {
        part: {key: 0 for key in builder.info.features[part]}
        for part in ("landmarks", "identity")
    }
    flags = {key: False for key in builder.info.features["attributes"]}

    def examples(split):
        return (
            (name, {"image": str(folder / name), "attributes": flags, **numbers})
            for name in names[split]
        )

    builder._split_generators = lambda downloads: {
        split: examples(split) for split in names
    }
    builder.download_and_prepare()
    for split in names:
        images, _ = loading.load(
            "celeba", split, crop=128, side=64, data_dir=tmp_path / "tfds"
        )
        expected = plain_loop(folder, names[split])
        assert sorted(image.tobytes() for image in images) == sorted(
            image.tobytes() for image in expected
        )
    some, _ = loading.load(
        "celeba", crop=128, side=64, data_dir=tmp_path / "tfds", limit=5
    )
    train, _ = loading.load("celeba", crop=128, side=64, data_dir=tmp_path / "tfds")
    rows = [
        next(row for row, image in enumerate(train) if np.array_equal(image, one))
        for one in some
    ]
    assert len(set(rows)) == 5 and rows == sorted(rows)


def test_celeba_by_name_from_a_folder(tmp_path):
    faces(tmp_path / "img_align_celeba", 30)
    with pytest.raises(
        InputError,
        match=r"received 30 images in .*img_align_celeba, CelebA has 202599",
    ):
        loading.load("celeba", crop=128, side=64, data_dir=tmp_path)
    by_name = loading.load(
        "celeba", crop=128, side=64, data_dir=tmp_path, partial=True
    )[0]
    np.testing.assert_array_equal(
        by_name,
        loading.load(tmp_path / "img_align_celeba", crop=128, side=64, partial=True)[0],
    )


@pytest.mark.parametrize("name", sorted(registry.FETCHED))
def test_without_a_network_the_error_says_where_the_files_are(
    name, tmp_path, monkeypatch
):
    pytest.importorskip("tensorflow_datasets")

    def unreachable(page):
        raise OSError("no network")

    monkeypatch.setattr(registry, "_reach", unreachable)
    with pytest.raises(InputError) as raised:
        loading.load(
            name,
            data_dir=tmp_path,
            **({"crop": 128, "side": 64} if name == "celeba" else {}),
        )
    text, found = str(raised.value), registry.FETCHED[name]
    assert text.startswith(
        f"could not get {name} through TensorFlow Datasets (no network): fetch"
        f" {found.files} from {found.page} "
    )
    assert (
        text.endswith(f"into a folder and pass `data='{name}', data_dir='{tmp_path}'`")
        and "\n" not in text
    )
