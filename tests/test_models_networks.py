"""Networks: the papers' parameter counts, l2 in the loss, the side that the ResNet
takes; convolutions, dense layers and Adam equal Keras's.
"""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

import twostage
from twostage import (
    dense_decoder,
    dense_encoder,
    presets,
    resnet_decoder,
    resnet_encoder,
)
from twostage.models import build
from twostage.models.layers import convolution
from twostage.models.layers.dense import Dense
from twostage.training.adam import Adam


def trainable(*models):
    return sum(
        int(np.prod(weight.shape))
        for model in models
        for weight in model.trainable_weights
    )


@pytest.mark.parametrize(
    "shape, encoder, decoder, count",
    [
        ((32, 32, 3), {"num_scale": 3}, {}, 5_190_467),  # CIFAR-10
        ((64, 64, 3), {"num_scale": 4}, {}, 19_321_667),  # CelebA
        (
            (64, 64, 3),
            {"num_scale": 4, "block_per_scale": 2},
            {"block_per_scale": 2},
            31_110_019,
        ),  # its Model 3
        (
            (64, 64, 3),
            {"num_scale": 3, "latent_dim": 128},
            {"latent_dim": 128},
            17_451_971,
        ),  # its Model 4
    ],
)
def test_resnet_has_the_papers_parameters(shape, encoder, decoder, count):
    assert (
        trainable(resnet_encoder(shape, **encoder), resnet_decoder(shape, **decoder))
        == count
    )


def test_flatten_head_sees_every_position():
    average, flatten = (
        resnet_encoder((32, 32, 3), pooling=head) for head in ("average", "flatten")
    )
    assert trainable(flatten) - trainable(average) == 2 * 512 * 128 * (
        8 * 8 - 1
    )  # two dense layers of 512 on 8x8x128, not 128


@pytest.mark.parametrize(
    "width, count", [(1024, 4_540_608), (2048, 17_457_344), (4096, 68_456_640)]
)
def test_dense_has_the_papers_parameters(width, count):
    assert trainable(dense_encoder(64, width), dense_decoder(64, width)) == count


@pytest.mark.parametrize("side", [8, 128])
def test_smallest_and_largest_side(side):
    images = np.random.default_rng(0).random((2, side, side, 1)).astype("float32")
    mean, log_var = resnet_encoder((side, side, 1), 5, base_dim=4)(images)
    assert mean.shape == log_var.shape == (2, 5)
    decoded = keras.ops.convert_to_numpy(
        resnet_decoder((side, side, 1), 5, base_dim=4)(mean)
    )
    assert decoded.shape == images.shape and decoded.min() >= 0 and decoded.max() <= 1


@pytest.mark.parametrize(
    "shape, words",
    [
        ((28, 28, 1), "28x28.*`pad=32`"),
        ((178, 218, 3), "`side`"),
        ((32, 30, 3), "`pad=32`"),
        ((32, 32, 4), "4 channels"),
    ],
)
def test_other_sizes_are_refused_with_the_padding_that_works(shape, words):
    with pytest.raises(twostage.InputError, match=words):
        resnet_encoder(shape)


def test_l2_enters_the_loss():
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")

    def losses(l2):
        keras.utils.set_random_seed(1)
        vae = twostage.VAE(
            resnet_encoder((8, 8, 1), 4, num_scale=2, base_dim=4, l2=l2),
            resnet_decoder((8, 8, 1), 4, base_dim=4, l2=l2),
            twostage.GaussianLikelihood(),
            seed=1,
        )
        vae.compile("adam")
        kernels = [
            layer.kernel
            for part in (vae.encoder, vae.decoder)
            for layer in part.layers
            if layer.name.startswith(("up_", "down_"))
        ]
        squares = sum(
            float(keras.ops.sum(keras.ops.square(kernel))) for kernel in kernels
        )
        assert len(kernels) == 3
        return vae.evaluate(images, verbose=0, return_dict=True)["loss"], squares

    (plain, _), (penalized, squares) = losses(0.0), losses(0.5)
    assert penalized - plain == pytest.approx(0.5 * squares, rel=1e-4)


def count_calls(name, monkeypatch):
    """A list that gets an entry for each call of this filter gradient."""
    calls = []

    def counting(function):
        def call(*arguments):
            calls.append(1)
            return function(*arguments)

        return call if function.__name__ == name else function

    rules = [
        dataclasses.replace(rule, function=counting(rule.function))
        for rule in convolution.FILTER_GRADIENTS
    ]
    monkeypatch.setattr(convolution, "FILTER_GRADIENTS", rules)
    return calls


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the operations are TensorFlow's"
)
@pytest.mark.parametrize(
    "kind, side, strides",
    [
        ("Conv2D", 4, 1),
        ("Conv2D", 8, 2),
        ("Conv2D", 7, 2),
        ("Conv2DTranspose", 2, 2),
        ("Conv2DTranspose", 4, 2),
        ("Conv2D", 8, 1),
    ],
)
def test_the_convolutions_gradients_are_kerass(kind, side, strides, monkeypatch):
    import tensorflow as tf

    products = count_calls("filter_gradient_by_matmul", monkeypatch)
    x = tf.cast(
        np.random.default_rng(0).standard_normal((20, side, side, 5)), "bfloat16"
    )
    found, weights = [], None
    for module in (keras.layers, convolution):
        layer = getattr(module, kind)(
            7,
            3,
            strides=strides,
            padding="same",
            dtype="mixed_bfloat16",
            activation="tanh",
        )
        layer.build(x.shape)
        weights = weights or [
            np.random.default_rng(i).standard_normal(weight.shape) / 5
            for i, weight in enumerate(layer.weights)
        ]
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(tf.sin(3 * tf.cast(outputs, "float32")))
        found.append(
            [
                outputs,
                *tape.gradient(
                    loss, [x, *[weight.value for weight in layer.trainable_weights]]
                ),
            ]
        )
    for theirs, ours in zip(
        *([np.array(tf.cast(one, "float32")) for one in side] for side in found),
        strict=True,
    ):
        np.testing.assert_allclose(
            ours, theirs, atol=0.02 * np.abs(theirs).max()
        )  # eight bits
    assert len(products) == (
        0 if (side, strides) == (8, 1) else 1
    )  # by the product on small maps


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the operations are TensorFlow's"
)
@pytest.mark.parametrize(
    "filters, kernel, mirrors",
    [(3, 3, True), (1, (5, 3), True), (3, 4, False), (16, 3, False)],
)
def test_gradients_of_convolutions_to_few_channels_are_kerass(
    filters, kernel, mirrors, monkeypatch
):
    import tensorflow as tf

    mirrored = count_calls("filter_gradient_by_transposed_convolution", monkeypatch)
    x = tf.constant(
        np.random.default_rng(0).standard_normal((4, 6, 9, 18), dtype="float32")
    )
    found, weights = [], None
    for module in (keras.layers, convolution):
        layer = module.Conv2D(filters, kernel, padding="same")
        layer.build(x.shape)
        weights = weights or [
            np.random.default_rng(i).standard_normal(weight.shape) / 5
            for i, weight in enumerate(layer.weights)
        ]
        layer.set_weights(weights)
        with tf.GradientTape() as outer:  # twice, as a gradient penalty does
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.sin(layer(x)))
            first = tape.gradient(
                loss, [x, *[weight.value for weight in layer.trainable_weights]]
            )
            penalty = tf.reduce_sum(first[0] ** 2)
        found.append([loss, *first, outer.gradient(penalty, layer.kernel.value)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max()
        )
    assert bool(mirrored) == mirrors


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the operations are TensorFlow's"
)
@pytest.mark.parametrize("training", [False, True])
def test_the_dense_layers_gradients_are_kerass(training):
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).standard_normal((20, 5), dtype="float32"))
    found, weights = (
        [],
        [
            np.random.default_rng(i).standard_normal(shape)
            for i, shape in enumerate([(5, 7), (7,)])
        ],
    )
    for kind in (keras.layers.Dense, Dense):
        layer = kind(7, activation="tanh")
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            loss = tf.reduce_sum(tf.sin(3 * outputs))
        found.append(
            [
                outputs,
                *tape.gradient(
                    loss, [x, *[weight.value for weight in layer.trainable_weights]]
                ),
            ]
        )
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    graph = (
        tf.function(lambda x: layer(x, training=training))
        .get_concrete_function(x)
        .graph
    )
    assert (
        "BatchMatMulV2" in {operation.type for operation in graph.get_operations()}
    ) == training


@pytest.mark.parametrize(
    "amsgrad, dtype", [(False, "float32"), (True, "float32"), (False, "bfloat16")]
)
def test_adam_is_kerass(amsgrad, dtype):
    if keras.backend.backend() == "torch" and dtype == "bfloat16":
        pytest.skip("Keras's is PyTorch's own there, which rounds elsewhere")
    x = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    found = []
    for kind in (keras.optimizers.Adam, Adam):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(9, "tanh", dtype=dtype),
                keras.layers.Dense(6),
            ]
        )
        model.compile(
            kind(
                keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9),
                beta_1=0.8,
                beta_2=0.99,
                epsilon=1e-3,
                amsgrad=amsgrad,
            ),
            "mse",
        )
        model.fit(x, x, batch_size=10, epochs=3, shuffle=False, verbose=0)
        found.append(
            [
                np.array(ops.convert_to_numpy(ops.cast(variable, "float32")))
                for variable in [*model.trainable_variables, *model.optimizer.variables]
            ]
        )
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert (
        keras.optimizers.deserialize(
            keras.optimizers.serialize(Adam(0.1, epsilon=1e-8))
        ).epsilon
        == 1e-8
    )


@pytest.mark.parametrize(
    "where, names",
    [
        ("sampling", {"down", "up"}),
        ("encoder", {"down"}),
        ("decoder", {"up", "conv2d"}),
    ],
)
def test_l2_weighs_what_l2_of_says(where, names):
    """Asperti & Trentin's models 2 (decoder) and 3 (encoder), and their improved recipe
    (down- and upsampling).
    """
    vae = build.build_stage1(
        presets.resolve(1, "digits", l2=0.1, l2_of=where), (8, 8, 1)
    )
    regularized = {
        part: [
            layer.name
            for layer in part.layers
            if getattr(layer, "kernel_regularizer", None)
        ]
        for part in (vae.encoder, vae.decoder)
    }
    assert {
        name.split("_")[0] for found in regularized.values() for name in found
    } == names
    assert [len(found) for found in regularized.values()] == {
        "sampling": [1, 2],
        "encoder": [1, 0],
        "decoder": [0, 8],
    }[where]


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras synchronizes on TensorFlow alone",
)
def test_batch_normalization_over_replicas_is_kerass(monkeypatch):
    """The fused operation sees the images of its own replica alone."""
    layer = twostage.BatchNormalization(synchronized=True)
    monkeypatch.setattr(layer, "_fused", None)
    outputs = layer(np.arange(24, dtype="float32").reshape(2, 2, 2, 3), training=True)
    assert float(ops.mean(outputs)) == pytest.approx(0, abs=1e-5) and float(
        ops.std(outputs)
    ) == pytest.approx(1, abs=1e-3)


def test_batch_normalization_is_right_from_the_first_steps():
    """After n batches the moving statistics weigh batch t by the power law that t / (t
    + 9) makes; nothing is left of the start.
    """
    generator = np.random.default_rng(0)
    batches = generator.normal(7, 2, (20, 50, 3)).astype("float32")
    layer = twostage.BatchNormalization()
    layer(batches[0], training=True)
    np.testing.assert_allclose(layer.moving_mean, batches[0].mean(0), rtol=1e-5)
    for batch in batches[1:]:
        layer(batch, training=True)
    weights = np.array(
        [
            9 / (t + 9) * np.prod([s / (s + 9) for s in range(t + 1, 20)])
            for t in range(20)
        ]
    )
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(layer.moving_mean, weights @ batches.mean(1), rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance, weights @ batches.var(1), rtol=1e-4
    )
    layer(batches[0], training=False)
    assert float(layer.steps) == 20
    assert (
        twostage.BatchNormalization.from_config(layer.get_config()).get_config()
        == layer.get_config()
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_batch_normalization_of_images_is_keras_own(policy, training):
    """TensorFlow's fused operation: outputs, gradients and statistics as those of
    Keras's layer.
    """
    keras.config.set_dtype_policy(policy)
    generator = np.random.default_rng(0)
    images, weights = (
        generator.normal(3, 2, (4, 5, 6, 3)).astype("float32") for _ in range(2)
    )
    ours, theirs = (
        twostage.BatchNormalization(),
        keras.layers.BatchNormalization(momentum=0.0, epsilon=1e-5),
    )
    close = (
        {"rtol": 1e-4, "atol": 1e-5}
        if policy == "float32"
        else {"rtol": 0.02, "atol": 0.05}
    )
    found = []
    for layer in (ours, theirs):
        layer.build(images.shape)
        layer.gamma.assign([1.0, 2.0, 0.5])
        layer.beta.assign([0.0, -1.0, 3.0])
        layer.moving_mean.assign([1.0, 2.0, 4.0])
        layer.moving_variance.assign([0.5, 2.0, 9.0])
        outputs = layer(images, training=training)
        found.append([outputs, layer.moving_mean, layer.moving_variance])
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                x = tf.Variable(images)
                total = tf.reduce_sum(
                    tf.cast(layer(x, training=training), "float32") * weights
                )
            found[-1] += tape.gradient(total, [x, layer.gamma.value, layer.beta.value])
    assert found[0][0].dtype == found[1][0].dtype
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(
            *(
                keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))
                for value in (one, other)
            ),
            **close,
        )


def test_batch_normalization_keeps_its_largest_momentum():
    layer = twostage.BatchNormalization(momentum=0.5)
    layer(np.zeros((4, 1), "float32"), training=True)
    layer.steps.assign(1000.0)
    layer(np.ones((4, 1), "float32"), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(0.5)
