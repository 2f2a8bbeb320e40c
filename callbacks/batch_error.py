"""Each minibatch's mean squared error, read between the steps of a training."""

from typing import Any

from .before_call import BeforeCall
from .contract import (
    check_error_of_replicas,
    check_variable,
    find_mse,
    find_variable,
    number,
)

UNASSIGNED = -1.0  # no mean squared error
# what Keras calls first when it evaluates a model, or predicts with it
EVALUATIONS = ("make_test_function", "make_predict_function")


class BatchError:
    """Reads the mean squared error of each minibatch: from a variable `model.batch_mse`
    that the step assigns, else from the sums of the Mean metric "mse". Other callbacks
    may evaluate the model after the step.

    Args:
        model: That trains.

    Raises:
        ValueError: it has neither.
    """

    def __init__(self, model: Any):
        _end_watch(model)  # of a training that failed within a step
        self.assigned = find_variable(model, "batch_mse") is not None
        if self.assigned:
            check_variable(model, "batch_mse", "batch_mse")
            check_error_of_replicas(model)
        else:
            find_mse(model)
        self._found: tuple[float, float] | None = None
        self._sums = (0.0, 0.0)
        self._resets: BeforeCall | None = None
        self._began = self._disturbed = self._ever = False

    def begin(self, model: Any) -> None:
        """Call before a training step.

        Raises:
            ValueError: a second reader of the same error.
        """
        self._found, self._began, self._disturbed = None, True, False
        if self.assigned:
            find_variable(model, "batch_mse").assign(UNASSIGNED)
        else:
            self._begin_sums(find_mse(model))
        for name in EVALUATIONS:
            if isinstance(vars(model).get(name), BeforeCall):
                raise ValueError(
                    "two ComputedGamma callbacks follow one error, expected one: a"
                    " model with two gammas sets the other one in its training step"
                )
            if hasattr(model, name):
                BeforeCall(model, name, lambda: self._before_evaluation(model))

    def end(self, model: Any) -> tuple[float, float]:
        """Call after it. Returns the error, and what the metric counts of it: in
        proportion to the rows, or 1. A count of 0: all of them have a weight of 0.

        Raises:
            ValueError: the step gave no error, or something was evaluated before it.
        """
        _end_watch(model)
        if self._resets is not None:
            self._resets.end()
        if not self._began:
            raise ValueError(
                "a batch has ended that did not begin, expected all hooks of a loop"
                " without fit: call on_train_batch_begin(batch) before each step"
            )
        self._began = False
        if self._disturbed:
            raise ValueError(
                "a callback has evaluated the model between ComputedGamma and the"
                " training step, so the metric 'mse' holds more than the step's error,"
                " expected the opposite order: put ComputedGamma after that callback"
            )
        found = self._found or self._read(model, trained=True)
        if found is None and self._ever and _sums(find_mse(model)) == self._sums:
            return 0.0, 0.0
        if found is None:
            raise ValueError(self._missing(model))
        self._ever = True
        return found

    def _begin_sums(self, metric: Any) -> None:
        self._sums = _sums(metric)
        if metric is not None:
            # `train_on_batch` resets it before the step
            self._resets = BeforeCall(metric, "reset_state", self._before_reset)

    def _before_reset(self) -> None:
        self._sums = (0.0, 0.0)

    def _before_evaluation(self, model: Any) -> None:
        if self._found is None:
            self._found = self._read(model)
        # what is evaluated before the step adds to the same metric
        self._disturbed |= self._found is None and not self.assigned

    def _read(self, model: Any, trained: bool = False) -> tuple[float, float] | None:
        """The step's error and count; None where it has given none. Batch-end logs hold
        the mean since the epoch began, the metric's sums give the batch's own.
        """
        if self.assigned:
            error = number(find_variable(model, "batch_mse"))
            return None if error == UNASSIGNED else (error, 1.0)
        total, count = _sums(find_mse(model, trained))
        earlier_total, earlier_count = self._sums
        rows = count - earlier_count
        return ((total - earlier_total) / rows, rows) if rows > 0 else None

    def _missing(self, model: Any) -> str:
        if self.assigned:
            return (
                f"{type(model).__name__}.batch_mse was not assigned in this step,"
                " expected the minibatch's mean squared error: where the loss is"
                " computed, self.batch_mse.assign(mse), of a variable built with"
                " autocast=False"
            )
        return (
            "the metric 'mse' got nothing in this step, expected the minibatch's error:"
            " call self.mse.update_state(mse) in train_step and do not reset it there,"
            " or compile(metrics=['mse'])"
        )


def _end_watch(model: Any) -> None:
    for name in EVALUATIONS:
        before = vars(model).get(name)
        if isinstance(before, BeforeCall):
            before.end()


def _sums(metric: Any) -> tuple[float, float]:
    """The sums of the metric "mse" since the epoch began: total and count. None: of a
    metric that Keras has not built yet.
    """
    if metric is None:
        return 0.0, 0.0
    return number(metric.total), number(metric.count)
