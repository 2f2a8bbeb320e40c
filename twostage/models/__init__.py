"""Networks as functions that return `keras.Model`, and the `VAE` that is made of them."""
