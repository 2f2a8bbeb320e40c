"""FID by torch-fidelity, on a file of its form with random weights."""

import urllib.error

import numpy as np
import pytest

from twostage.errors import InputError
from twostage.features import fidelity, inception
from twostage.metrics.frechet import frechet_of


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of random weights that passes for the Inception's."""
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    monkeypatch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", _keep)
    network = module.FeatureExtractorInceptionV3(
        "a", ["2048"], feature_extractor_weights_path=_empty(torch, tmp_path)
    )
    monkeypatch.undo()
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(fidelity, "_check", lambda path: None)
    return path


def _keep(network, state):
    """Leaves the random weights as they are."""


def _empty(torch, folder):
    torch.save({}, folder / "empty.pth")
    return str(folder / "empty.pth")


def test_the_figure_is_torch_fidelitys_own(weights, tmp_path):
    import torch
    from PIL import Image
    from torch_fidelity import calculate_metrics

    generator = np.random.default_rng(0)
    sets = generator.integers(0, 256, (2, 40, 24, 24, 3), "uint8")
    sets[1] //= 2
    for name, images in zip("ab", sets, strict=True):
        (tmp_path / name).mkdir()
        for row, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{row:02}.png")
    theirs = calculate_metrics(
        input1=str(tmp_path / "a"),
        input2=str(tmp_path / "b"),
        fid=True,
        cuda=False,
        verbose=False,
        feature_extractor_weights_path=str(weights),
        samples_find_deep=False,
    )["frechet_inception_distance"]
    extractor = fidelity.fid_inception(weights)
    assert extractor.frechet_name == "FID"
    ours = frechet_of(*(extractor(images) for images in sets))
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert torch.is_grad_enabled()


def test_without_torch_fidelity_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(fidelity, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"no torch-fidelity, .*: pip install torch-fid"
    ):
        fidelity.fid_inception()


def test_another_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "find_spec", lambda name: name)
    (tmp_path / "a.pth").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"5 bytes with sha256 2cf2.*95,628,359 bytes"):
        fidelity.fid_inception(tmp_path / "a.pth")
    with pytest.raises(
        InputError, match=r"does not exist: fetch https://github.com/tos"
    ):
        fidelity.fid_inception(tmp_path / "none.pth")


def test_without_a_network_a_line_says_which_file_to_bring(monkeypatch):
    module = pytest.importorskip("torch_fidelity")

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(module, "FeatureExtractorInceptionV3", unreachable)
    with pytest.raises(
        InputError, match=r"no answer from https.* bring it .*sha256 6726"
    ):
        fidelity.fid_inception()


def test_keras_without_a_network_says_which_file_to_bring(monkeypatch):
    import keras

    def unreachable(**kwargs):
        raise Exception("URL fetch failure on https://storage.googleapis.com/tensorf")

    monkeypatch.setattr(keras.applications, "InceptionV3", unreachable)
    with pytest.raises(InputError, match=r"no weights from the network .*bring it and"):
        inception.keras_inception()
