"""Spectral normalization as a re-parametrization: the layer keeps its raw kernel and
works with kernel / sigma.
"""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("twostage")
class SpectralNormalization(keras.layers.Wrapper):
    """A layer whose kernel is divided by its largest singular value sigma (Miyato et
    al. 2018, algorithm 1).

    The gradient flows through sigma = u^T W v, with u and v held fixed. Keras's own
    layer of this name writes kernel / sigma into the kernel at every training step
    instead, which is a projection with another gradient. W is the kernel as a matrix
    [-1, last axis]; a transposed convolution's last axis is its input's channels, as in
    the code of RAE-SN.

    Args:
        layer: A `Dense`, `Conv2D` or `Conv2DTranspose`, not shared.
        iterations: Power iterations per training step.

    The weight `vector` (last axis,) is u of the power iteration, kept from step to
    step.
    """

    def __init__(self, layer: keras.layers.Layer, iterations: int = 1, **kwargs: Any):
        super().__init__(layer, **kwargs)
        if not isinstance(layer, (layers.Dense, layers.Conv2D, layers.Conv2DTranspose)):
            raise ValueError(
                f"Received a layer of type {type(layer).__name__}, expected Dense,"
                " Conv2D or Conv2DTranspose."
            )
        self.iterations = int(iterations)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        width = self.layer.kernel.shape[-1]
        initializer = keras.initializers.RandomNormal(seed=0)
        self.vector = self.add_weight(
            name="vector",
            shape=(width,),
            initializer=initializer,
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="mean",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        layer: Any = self.layer
        kernel = ops.convert_to_tensor(layer.kernel)
        sigma = self._largest_singular_value(kernel, training)
        kernel = ops.cast(kernel, self.compute_dtype) / ops.cast(
            sigma, self.compute_dtype
        )
        x = ops.cast(inputs, layer.compute_dtype)
        x = self._apply(x, ops.cast(kernel, layer.compute_dtype))
        if layer.use_bias:
            x = x + ops.cast(layer.bias, x.dtype)
        return layer.activation(x)

    def _largest_singular_value(self, kernel: Any, training: bool) -> Any:
        """sigma = u^T W v; in training after power iterations, which are kept."""
        matrix = ops.reshape(ops.cast(kernel, "float32"), (-1, kernel.shape[-1]))
        fixed, v = ops.stop_gradient(matrix), ops.convert_to_tensor(self.vector)
        for _ in range(self.iterations if training else 0):
            v = _unit(ops.matmul(ops.transpose(fixed), _unit(ops.matmul(fixed, v))))
        if training:
            self.vector.assign(v)
        u = _unit(ops.matmul(fixed, v))
        return ops.sum(u * ops.matmul(matrix, _unit(v)))

    def _apply(self, x: Any, kernel: Any) -> Any:
        """The layer's product or convolution with this kernel."""
        layer: Any = self.layer
        if isinstance(layer, layers.Dense):
            return ops.matmul(x, kernel)
        if isinstance(layer, layers.Conv2DTranspose):
            return ops.conv_transpose(
                x,
                kernel,
                layer.strides,
                layer.padding,
                layer.output_padding,
                layer.data_format,
                layer.dilation_rate,
            )
        return ops.conv(
            x,
            kernel,
            layer.strides,
            layer.padding,
            layer.data_format,
            layer.dilation_rate,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "iterations": self.iterations}


def _unit(vector: Any) -> Any:
    return vector / (ops.norm(vector) + 1e-12)
