"""The SavedModel: sampling with TensorFlow alone."""
