"""Networks as functions that return `keras.Model`, and the `VAE` made of them."""
