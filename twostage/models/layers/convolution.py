"""Convolutions whose filter gradient, where TensorFlow's own is slow on a CPU, is
computed otherwise.

On small maps in bfloat16 the convolution's own takes up to six times as long as a
matrix product; for few channels out of many it takes three times as long as the
mirrored convolution's.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("twostage")
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, the same numbers up to rounding."""

    def convolution_op(self, inputs, kernel):
        side, stride = -(-inputs.shape[1] // self.strides[0]), self.strides[0]
        if _small(self, side):
            filter_gradient = _by_product
        elif _narrow(self, inputs.shape[-1]):
            filter_gradient = _mirrored
        else:
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradient(upstream):
                x_gradient = tf.nn.conv2d_transpose(
                    upstream, kernel, tf.shape(x), stride, "SAME"
                )
                return x_gradient, filter_gradient(x, upstream, kernel.shape, stride)

            return tf.nn.conv2d(x, kernel, stride, "SAME"), gradient

        return convolve(inputs, tf.convert_to_tensor(ops.convert_to_tensor(kernel)))


@keras.saving.register_keras_serializable("twostage")
class Conv2DTranspose(layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, the same numbers up to rounding."""

    def call(self, inputs):
        if not _small(self, inputs.shape[1]) or self.output_padding is not None:
            return super().call(inputs)
        import tensorflow as tf

        stride = self.strides[0]

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradient(upstream):
                return tf.nn.conv2d(upstream, kernel, stride, "SAME"), _by_product(
                    upstream, x, kernel.shape, stride
                )

            shape = tf.stack(
                [tf.shape(x)[0], x.shape[1] * stride, x.shape[2] * stride, self.filters]
            )
            return tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME"), gradient

        outputs = convolve(
            inputs, tf.convert_to_tensor(ops.convert_to_tensor(self.kernel))
        )
        outputs = ops.add(outputs, self.bias) if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


def _small(layer, side):
    """Whether the product is the faster: `side` is that of the smaller map."""
    return side <= 4 and layer.compute_dtype == "bfloat16" and _plain(layer)


def _narrow(layer, channels):
    """Whether the mirrored convolution's gradient is the faster: oneDNN computes 16
    channels at least.
    """
    return (
        layer.filters < 16 <= channels
        and layer.strides == (1, 1)
        and all(size % 2 for size in layer.kernel_size)
        and _plain(layer)
    )


def _plain(layer):
    """Whether a layer is one of those whose gradients are written here, on a CPU."""
    if (
        keras.backend.backend() != "tensorflow"
        or layer.padding != "same"
        or layer.data_format != "channels_last"
        or layer.dilation_rate not in (1, (1, 1))
    ):
        return False
    import tensorflow as tf

    return (
        getattr(layer, "groups", 1) == 1
        and layer.strides[0] == layer.strides[1]
        and not tf.config.list_physical_devices("GPU")
    )


def _mirrored(wide, narrow, shape, stride):
    """Of a convolution from `wide` (batch, side, side, many channels) to `narrow`
    (few), stride 1: sum_p wide[p + d] narrow[p] = sum_p narrow[p - d] wide[p], so that
    from `narrow` to `wide`, mirrored.
    """
    import tensorflow as tf

    mirrored = tf.raw_ops.Conv2DBackpropFilter(
        input=narrow,
        filter_sizes=[*shape[:2], shape[3], shape[2]],
        out_backprop=wide,
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
    return tf.transpose(mirrored[::-1, ::-1], (0, 1, 3, 2))


def _by_product(wide, narrow, shape, stride):
    """Of a convolution from `wide` (batch, side, side, channels) to `narrow`: patches^T
    narrow, in the filter's shape.
    """
    import tensorflow as tf

    if stride == 1:  # shifted copies are made faster than patches, strided ones are not
        rows, columns = shape[:2]
        padded = tf.pad(
            wide,
            [
                [0, 0],
                [(rows - 1) // 2, rows // 2],
                [(columns - 1) // 2, columns // 2],
                [0, 0],
            ],
        )
        patches = tf.concat(
            [
                padded[:, i : i + wide.shape[1], j : j + wide.shape[2]]
                for i in range(rows)
                for j in range(columns)
            ],
            -1,
        )
    else:
        patches = tf.image.extract_patches(
            wide, [1, *shape[:2], 1], [1, stride, stride, 1], [1, 1, 1, 1], "SAME"
        )
    return tf.reshape(
        tf.matmul(
            tf.reshape(patches, (-1, patches.shape[-1])),
            tf.reshape(narrow, (-1, shape[3])),
            transpose_a=True,
        ),
        shape,
    )
