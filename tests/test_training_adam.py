"""`twostage.Adam` at high learning rates: its first steps are RAdam's, a gradient that
outgrows its second moment is clipped, and a stage takes it where its rate is high.
"""

import logging

import keras
import numpy as np
import pytest
from keras import ops

from twostage import Adam, presets
from twostage.errors import InputError
from twostage.runs.run import StageRun
from twostage.training.train import train_stage1


def reference(gradients, rate, *, rectified, clip, beta_1=0.9, beta_2=0.999):
    """The weights after each step, from 0: the papers' algorithms, in NumPy."""
    weights = first = second = np.zeros(gradients.shape[1:])
    found = []
    for t, gradient in enumerate(gradients, 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        v = second / (1 - beta_2**t)
        step = rate
        if rectified:
            longest = 2 / (1 - beta_2) - 1
            length = longest - 2 * t * beta_2**t / (1 - beta_2**t)
            above = (length - 4) * (length - 2) * longest
            below = (longest - 4) * (longest - 2) * length
            step = rate * np.sqrt(above / below) if length > 5 else 0.0
        if clip:
            step = step / max(1, np.sqrt(np.mean(gradient**2 / v)) / clip)
        weights = weights - step * first / (1 - beta_1**t) / (np.sqrt(v) + 1e-8)
        found.append(weights)
    return np.array(found)


def trajectory(optimizer, gradients):
    """The weights after each step, from 0."""
    weights = keras.Variable(np.zeros(gradients.shape[1:], "float32"))
    optimizer.build([weights])
    found = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient.astype("float32"))], [weights])
        found.append(np.array(ops.convert_to_numpy(weights)))
    return np.array(found)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("clip", [None, 0.7, 1.0, 2.0])
def test_it_is_the_papers_algorithm(rectified, clip):
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(40, 3, 2)) * np.exp(
        generator.normal(size=(40, 1, 1))
    )
    adam = Adam(0.01, epsilon=1e-8, rectified=rectified, clip_update=clip)
    expected = reference(gradients, 0.01, rectified=rectified, clip=clip)
    np.testing.assert_allclose(
        trajectory(adam, gradients), expected, rtol=2e-3, atol=2e-6
    )


def test_the_first_five_steps_do_nothing_and_the_rest_grow():
    """r_6 = .0258, r_40 = .1305 for a constant gradient, whose update is the rate."""
    found = trajectory(
        Adam(1.0, epsilon=1e-8, rectified=True), np.ones((40, 1), "float32")
    )
    steps = -np.diff(found[:, 0], prepend=0)
    assert not steps[:5].any()
    np.testing.assert_allclose(steps[[5, 39]], [0.02582, 0.13049], rtol=2e-3)
    assert (np.diff(steps[5:]) > 0).all()


def test_a_gradient_that_outgrows_its_second_moment_is_clipped():
    """After 1,000 gradients of 1 comes one of 100: v = .999 v + .001 100^2, so that
    g / sqrt(v) is about 25; Adam moves by 2.7 rates, the clipped one by .11.
    """
    gradients = np.ones((1001, 1))
    gradients[-1] = 100
    moved = {}
    for clip in (None, 1.0):
        found = trajectory(Adam(1.0, epsilon=1e-8, clip_update=clip), gradients)
        moved[clip] = float(found[-2, 0] - found[-1, 0])
    v = 1 + (100**2 - 1) * 0.001 / (1 - 0.999**1001)
    m = 0.9 + 0.1 * 100
    assert moved[None] == pytest.approx(m / v**0.5, rel=1e-2)
    assert moved[1.0] == pytest.approx(m / v**0.5 / (100 / v**0.5), rel=1e-2)


@pytest.mark.parametrize("clip", [0.5, 1.0])
def test_a_weight_without_gradient_stays(clip):
    gradients = np.zeros((8, 2))
    adam = Adam(0.1, rectified=True, clip_update=clip)
    np.testing.assert_array_equal(trajectory(adam, gradients), gradients)


@pytest.mark.parametrize("clip", [0, -1.0, float("nan"), float("inf")])
def test_a_bad_bound_is_refused(clip):
    with pytest.raises(ValueError, match=r"clip_update=.*expected a positive number"):
        Adam(1e-3, clip_update=clip)


def test_a_short_average_is_refused():
    with pytest.raises(ValueError, match=r"beta_2=0.6 .*more than 2/3"):
        Adam(1e-3, beta_2=0.6, rectified=True)


def test_it_is_saved_with_its_options():
    adam = Adam(0.1, rectified=True, clip_update=2.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(adam))
    assert again.rectified and again.clip_update == 2.0


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize(
    "changes, stable",
    [
        ({"learning_rate": 1e-4}, False),
        ({"learning_rate": 1e-3}, False),
        ({"learning_rate": 1.1e-3}, True),
        ({"learning_rate": 3e-3, "optimizer": "adam"}, False),
        ({"learning_rate": 1e-4, "optimizer": "stable_adam"}, True),
    ],
)
def test_high_rates_are_stable(stage, changes, stable):
    assert presets.resolve(stage, "cifar10", **changes).is_stable == stable


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_no_preset_differs_from_adam(preset):
    assert not any(presets.resolve(stage, preset).is_stable for stage in (1, 2))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InputError, match=r"optimizer.*'sgd'.*stable_adam"):
        presets.resolve(1, "digits", optimizer="sgd")


@pytest.mark.parametrize("rate, optimizer", [(4e-3, "auto"), (4e-3, "adam")])
def test_a_stage_takes_it_and_says_so(rate, optimizer, caplog):
    config = presets.resolve(
        1, "digits", learning_rate=rate, optimizer=optimizer, epochs=1, base_dim=4
    )
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), "uint8")
    with caplog.at_level(logging.INFO):
        trained = train_stage1(images, config)
    stable = optimizer == "auto"
    assert trained.model.optimizer.rectified == stable
    assert trained.model.optimizer.clip_update == (1.0 if stable else None)
    assert ("0.004 is above 0.001" in caplog.text) == stable


def test_a_run_of_before_the_choice_resumes_by_adam(tmp_path):
    """Its config.json has no `optimizer`."""
    (tmp_path / "stage1").mkdir()
    (tmp_path / "stage1" / "config.json").write_text(
        '{"preset": "digits", "config": {"learning_rate": 0.01}}'
    )
    assert not StageRun(tmp_path, 1).saved_config().is_stable
