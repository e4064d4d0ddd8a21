"""Hooks: functions that `fit` calls after each step, and what they are called with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cbp.training.ends import Stopped
from cbp.training.epochs import Training
from cbp.training.runs import wants_to_stop


@dataclass(frozen=True, slots=True)
class Step:
    """What one step, on one minibatch, did.

    Parameters
    ----------
    number : int
        Counted from 1 within one call of ``fit``, through all epochs.
    epoch : int
        The number of the epoch that the step belongs to, counted from 1.
    loss : float
        J of the minibatch before the step, with its part of the penalties; NaN if the minibatch's weights are
        all 0. Then the parameters have not changed.
    learning_rate : float
        That of this step.

    Examples
    --------
    >>> import cbp
    >>> steps = []
    >>> net = cbp.Network([2, 1], output="sigmoid", init="zeros", dtype="float64")
    >>> X, Y = [[0, 0], [0, 1], [1, 1]], [0, 0, 1]
    >>> history = net.fit(X, Y, epochs=1, batch_size=2, shuffle=False, batch_callbacks=[steps.append])
    >>> print(steps[0])
    Step(number=1, epoch=1, loss=0.6931471805599453, learning_rate=0.001)
    >>> len(steps)  # a minibatch of two examples, and one of one
    2
    """

    number: int
    epoch: int
    loss: float
    learning_rate: float


class Hooks:
    """The functions to call after each step.

    Parameters
    ----------
    functions : sequence of callables
        Each takes a `Step`, and returns True to stop the training, False or None to go on with it.
    """

    def __init__(self, functions: Sequence[Callable[[Step], object]]) -> None:
        self.functions = functions
        self.number = 0  # of the last step that they were called for

    def stop(self, training: Training, epoch: int) -> bool:
        """Call them, if a step has been made since the last time; return whether one of them wants to stop.

        Raises
        ------
        Stopped
            With the error of a function that failed, or whose answer is neither a bool nor None.
        """
        run = training.steps.run
        number = training.steps_done
        if number == max(self.number, training.first_step):  # within a long minibatch
            return False
        self.number = number
        step = Step(number, epoch, run.last_loss, training.steps.learning_rate(run.step))
        try:
            # A list, so that all are called, even after one has returned True.
            answers = [
                wants_to_stop(each(step), "batch_callbacks", i) for i, each in enumerate(self.functions)
            ]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of any kind: the steps so far are kept, and then it is raised
            raise Stopped("error", error) from None
        return any(answers)
