"""What ends a command in one line."""


class InputError(ValueError):
    """Bad input, told in one line: what was received, what was expected, how to mend it. Commands exit with status 2."""


class Diverged(InputError):
    """A training whose loss is no number any more."""


class Stopped(Exception):
    """A signal was obeyed and everything is saved; the command `again` goes on. Commands exit with status 128 + `signal`."""

    def __init__(self, text, signal, again):
        super().__init__(text)
        self.signal, self.again = signal, again
