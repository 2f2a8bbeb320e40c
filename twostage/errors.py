"""The one exception for mistakes that a user can mend."""


class InputError(ValueError):
    """Bad input, told in one line: what was received, what was expected, how to mend it. Commands exit with status 2."""
