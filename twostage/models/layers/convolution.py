"""Convolutions whose filter gradient, where TensorFlow's own is slow on a CPU, is
computed in another way. Which and how much is gained: `FILTER_GRADIENTS`; the
derivations: docs/notes/speed.md.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

MAX_MATMUL_SIDE = 4  # of a map; on larger ones the patches cost more than they save
ONEDNN_CHANNELS = 16  # to fewer channels oneDNN computes as many


@keras.saving.register_keras_serializable("twostage")
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, the same numbers up to rounding."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        stride = self.strides[0]
        output_side = -(-inputs.shape[1] // stride)
        filter_gradient = _filter_gradient(self, output_side, inputs.shape[-1])
        if filter_gradient is None:
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

    def call(self, inputs: Any) -> Any:
        filter_gradient = _filter_gradient(self, inputs.shape[1], inputs.shape[-1])
        if filter_gradient is None or self.output_padding is not None:
            return super().call(inputs)
        import tensorflow as tf

        stride = self.strides[0]

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradient(upstream):
                x_gradient = tf.nn.conv2d(upstream, kernel, stride, "SAME")
                return x_gradient, filter_gradient(upstream, x, kernel.shape, stride)

            height, width = x.shape[1] * stride, x.shape[2] * stride
            shape = tf.stack([tf.shape(x)[0], height, width, self.filters])
            return tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME"), gradient

        kernel = tf.convert_to_tensor(ops.convert_to_tensor(self.kernel))
        outputs = convolve(inputs, kernel)
        outputs = ops.add(outputs, self.bias) if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


@dataclasses.dataclass(frozen=True)
class ConvolutionSizes:
    """What the fastest filter gradient depends on.

    Args:
        small_map_side: Side of the smaller of the two maps: a convolution's output, a
            transposed convolution's input.
        channels_in, channels_out: Of the layer.
        kernel_size: (rows, columns).
        stride: In both directions.
        compute_dtype: Of the layer.
        transposed: Whether the layer is a transposed convolution.
    """

    small_map_side: int
    channels_in: int
    channels_out: int
    kernel_size: tuple[int, int]
    stride: int
    compute_dtype: str
    transposed: bool


@dataclasses.dataclass(frozen=True)
class FilterGradient:
    """A way to compute the gradient of a filter, and where it is the fastest.

    Args:
        condition: Whether it is, for `ConvolutionSizes`.
        function: `function(large_map, small_map, filter_shape, stride)` -> gradient. Of
            a convolution x is the large map and the upstream gradient the small one; of
            a transposed convolution they change places.
        measured_gain: Its time beside that of TensorFlow's own.
    """

    condition: Callable[[ConvolutionSizes], bool]
    function: Callable[[Any, Any, Any, int], Any]
    measured_gain: str


def has_small_maps_in_bfloat16(sizes: ConvolutionSizes) -> bool:
    """Maps of at most 4x4: in float32 nothing is gained."""
    small = sizes.small_map_side <= MAX_MATMUL_SIDE
    return small and sizes.compute_dtype == "bfloat16"


def has_few_output_channels(sizes: ConvolutionSizes) -> bool:
    """Few channels out of many, as in a decoder's last layer, with stride 1 and an odd
    kernel, whose mirror image has the same padding.
    """
    few_of_many = sizes.channels_out < ONEDNN_CHANNELS <= sizes.channels_in
    odd = all(size % 2 for size in sizes.kernel_size)
    return few_of_many and sizes.stride == 1 and odd and not sizes.transposed


def filter_gradient_by_matmul(
    large_map: Any, small_map: Any, filter_shape: Any, stride: int
) -> Any:
    """patches(large_map)^T small_map, in the filter's shape.

    Args:
        large_map: (batch, side, side, channels).
        small_map: (batch, side / stride, side / stride, channels).
        filter_shape: (rows, columns, large map's channels, small map's channels).
        stride: From one to the other.
    """
    import tensorflow as tf

    patches = _patches(large_map, filter_shape[:2], stride)
    rows_of_patches = tf.reshape(patches, (-1, patches.shape[-1]))
    rows_of_small = tf.reshape(small_map, (-1, filter_shape[3]))
    gradient = tf.matmul(rows_of_patches, rows_of_small, transpose_a=True)
    return tf.reshape(gradient, filter_shape)


def filter_gradient_by_transposed_convolution(
    many_channels: Any, few_channels: Any, filter_shape: Any, stride: int
) -> Any:
    """The filter gradient of the transposed convolution, from the map of few channels
    to that of many, mirrored. Stride 1.

    Args:
        many_channels: The large map of `FilterGradient`, (batch, height, width, many).
        few_channels: The small map, (batch, height, width, few).
        filter_shape: (rows, columns, many, few).
        stride: 1.
    """
    import tensorflow as tf

    rows, columns, many, few = filter_shape
    mirrored = tf.raw_ops.Conv2DBackpropFilter(
        input=few_channels,
        filter_sizes=[rows, columns, few, many],
        out_backprop=many_channels,
        strides=[1, stride, stride, 1],
        padding="SAME",
    )
    return tf.transpose(mirrored[::-1, ::-1], (0, 1, 3, 2))


# The first whose condition holds is taken; TensorFlow's own where none does.
FILTER_GRADIENTS = (
    FilterGradient(
        has_small_maps_in_bfloat16,
        filter_gradient_by_matmul,
        "3 ms instead of 19 (2x2 to 4x4); a step of CIFAR-10 278 instead of 316",
    ),
    FilterGradient(
        has_few_output_channels,
        filter_gradient_by_transposed_convolution,
        "1.8 ms instead of 5.8 in float32, 1.4 instead of 3.5 in bfloat16 (32x32)",
    ),
)


def _filter_gradient(
    layer: layers.Conv2D | layers.Conv2DTranspose, side: int, channels: int
) -> Callable[[Any, Any, Any, int], Any] | None:
    """The function for a layer whose smaller map has this side, and whose input these
    channels; None for TensorFlow's own gradient.
    """
    if not _is_plain_on_cpu(layer):
        return None
    sizes = ConvolutionSizes(
        small_map_side=side,
        channels_in=channels,
        channels_out=layer.filters,
        kernel_size=layer.kernel_size,
        stride=layer.strides[0],
        compute_dtype=layer.compute_dtype,
        transposed=isinstance(layer, layers.Conv2DTranspose),
    )
    for rule in FILTER_GRADIENTS:
        if rule.condition(sizes):
            return rule.function
    return None


def _is_plain_on_cpu(layer: layers.Conv2D | layers.Conv2DTranspose) -> bool:
    """Whether the gradients here are those of the layer's options, on a CPU."""
    if (
        keras.backend.backend() != "tensorflow"
        or layer.padding != "same"
        or layer.data_format != "channels_last"
        or layer.dilation_rate not in (1, (1, 1))
        or getattr(layer, "groups", 1) != 1
        or layer.strides[0] != layer.strides[1]
    ):
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _patches(images: Any, kernel_size: Any, stride: int) -> Any:
    """The kernel's neighborhoods, (batch, height / stride, width / stride, rows x
    columns x channels).
    """
    import tensorflow as tf

    if stride > 1:
        sizes, strides = [1, *kernel_size, 1], [1, stride, stride, 1]
        return tf.image.extract_patches(images, sizes, strides, [1, 1, 1, 1], "SAME")
    # shifted copies are made faster than patches, strided ones are not
    rows, columns = kernel_size
    height, width = images.shape[1:3]
    above, below = (rows - 1) // 2, rows // 2
    left, right = (columns - 1) // 2, columns // 2
    padded = tf.pad(images, [[0, 0], [above, below], [left, right], [0, 0]])
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row in range(rows)
        for column in range(columns)
    ]
    return tf.concat(shifted, -1)
