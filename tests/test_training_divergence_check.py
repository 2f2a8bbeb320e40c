"""A decoder that diverges stops the training; what only looks like it does not."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from twostage import TwoStageVAE
from twostage.errors import DivergedError
from twostage.training.divergence_check import DivergenceCheck

IMAGES = np.array([[[0.0]], [[204.0]]], "uint8")  # of variance (102 / 255)^2 = .16


def run(errors, examples=IMAGES, state=None):
    check = DivergenceCheck(examples)
    if state:
        check.set_state(state)
    for epoch, error in enumerate(errors):
        check.on_epoch_end(epoch, {"mse": error})
    return check


def test_the_variance_is_that_of_the_data_in_the_units_of_the_error():
    assert run([]).variance == pytest.approx(0.16)
    latents = np.array([[1.0, 0.0], [3.0, 0.0]], "float32")
    assert run([], latents).variance == pytest.approx(0.5)


@pytest.mark.parametrize(
    "errors",
    [
        [0.9, 0.8, 0.7],  # begins far from the mean image
        [0.01, 0.05, 0.16, 0.3],  # a KL weight that grows: never twice the variance
        [0.17, 0.33],  # above twice the variance, below twice the best epoch
        [float("nan"), 0.1],
    ],
)
def test_a_training_goes_on(errors):
    run(errors)


@pytest.mark.parametrize("errors", [[0.02, 0.33], [0.9, 0.05, 0.4]])
def test_a_decoder_worse_than_the_mean_image_stops_it(errors):
    with pytest.raises(DivergedError, match=r"the mean of the data 0.16 and of an"):
        run(errors)


def test_a_decoder_that_learned_nothing_is_named(caplog):
    run([0.9, 0.15]).on_train_end()
    assert not caplog.text
    run([0.9, 0.23]).on_train_end()
    assert "ended at 0.23, above that of the mean of the data, 0.16" in caplog.text


def test_it_resumes_with_the_least_error():
    for errors in ([], [0.02]):
        state = run(errors).get_state()
        assert run([], state=state).get_state() == state
    with pytest.raises(DivergedError, match=r"squared error of epoch 1 is 0\.4"):
        run([0.4], state=state)


def test_a_stage_that_diverged_leaves_no_model(tmp_path, monkeypatch):
    """Here the data's variance is made out to be a thousandth of what it is."""
    from twostage.training import divergence_check

    monkeypatch.setattr(divergence_check, "TIMES", 1e-3)
    images = (load_digits().images[:200] * 255 / 16).astype("uint8")
    model = TwoStageVAE.from_preset("digits", stage1={"base_dim": 4, "fc_dim": 16})
    with pytest.raises(DivergedError, match=r"epoch-00001|keeps the last good"):
        model.fit(images, epochs=(3, 1), run=tmp_path / "run")
    assert not (tmp_path / "run" / "stage1" / "model.keras").exists()
