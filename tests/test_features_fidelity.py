"""FID by torch-fidelity, on a file of its form with random weights."""

import io
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from twostage.errors import InputError
from twostage.features import fidelity, fidelity_worker, inception
from twostage.metrics.frechet import frechet_of

RANDOM_WEIGHTS = """
import sys, torch
from torch_fidelity import FeatureExtractorInceptionV3 as Inception
torch.manual_seed(0)
torch.save({}, sys.argv[1])
Inception.load_state_dict = lambda network, state: None
network = Inception("a", ["2048"], feature_extractor_weights_path=sys.argv[1])
torch.save(network.state_dict(), sys.argv[1])
"""
THEIR_FIGURE = """
import sys
from torch_fidelity import calculate_metrics
print(calculate_metrics(
    input1=sys.argv[2], input2=sys.argv[3], fid=True, cuda=False, verbose=False,
    feature_extractor_weights_path=sys.argv[1], samples_find_deep=False,
)["frechet_inception_distance"])
"""


def by_torch(script, *args):
    """What a script prints, in a process without TensorFlow."""
    command = [sys.executable, "-c", script, *map(str, args)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_the_fid_is_torch_fidelitys_own(tmp_path, monkeypatch):
    """With random weights in a file of its form."""
    if find_spec("torch_fidelity") is None:
        pytest.skip("no torch-fidelity")
    weights = tmp_path / "weights.pth"
    by_torch(RANDOM_WEIGHTS, weights)
    monkeypatch.setattr(fidelity, "checked_weights", lambda path, *_: path)
    sets = np.random.default_rng(0).integers(0, 256, (2, 40, 24, 24, 3), "uint8")
    sets[1] //= 2
    for name, images in zip("ab", sets, strict=True):
        (tmp_path / name).mkdir()
        for row, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{row:02}.png")
    theirs = float(by_torch(THEIR_FIGURE, weights, tmp_path / "a", tmp_path / "b"))
    extractor = fidelity.fid_inception(weights)
    assert extractor.frechet_name == "FID"
    ours = frechet_of(*(extractor(images) for images in sets))
    assert ours == pytest.approx(theirs, rel=1e-6)


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
    monkeypatch.setattr(fidelity, "find_spec", lambda name: name)
    script = "import sys; sys.exit('URLError: no route to the host')"
    monkeypatch.setattr(fidelity, "WORKER", (sys.executable, "-c", script))
    extractor = fidelity.fid_inception()
    with pytest.raises(
        InputError, match=r"no route .* bring https.*sha256 6726"
    ) as why:
        extractor(np.zeros((2, 8, 8, 3), "uint8"))
    assert "\n" not in str(why.value)


def test_arrays_go_through_a_pipe():
    pipe = io.BytesIO()
    images = np.arange(2 * 3 * 4 * 3, dtype="uint8").reshape(2, 3, 4, 3)
    fidelity_worker.send(pipe, images)
    pipe.seek(0)
    np.testing.assert_array_equal(fidelity_worker.receive(pipe, "uint8"), images)
    assert fidelity_worker.receive(pipe, "uint8") is None


def test_keras_without_a_network_says_which_file_to_bring(monkeypatch):
    import keras

    def unreachable(**kwargs):
        raise Exception("URL fetch failure on https://storage.googleapis.com/tensorf")

    monkeypatch.setattr(keras.applications, "InceptionV3", unreachable)
    with pytest.raises(InputError, match=r"no weights from the network .*bring it and"):
        inception.keras_inception()
