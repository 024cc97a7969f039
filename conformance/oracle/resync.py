"""How far a program can be judged once the kernel took a way of its own.

After a divergence nothing more is judged: every later difference may be its consequence, and
one bug is to be one finding. The same holds after an alternative result that leaves another
state: it is allowed, but the model went on from the state that the usual result leaves.
"""

from __future__ import annotations

from conformance.model.prediction import Prediction
from conformance.program.outcome import Outcome


def took_alternative(prediction: Prediction, outcome: Outcome) -> int:
    """The first step whose result is an alternative that leaves another state than the usual one;
    -1 if none."""
    for step in sorted(prediction.alternatives):
        if step >= len(outcome.results):
            break
        seen = outcome.results[step]
        if seen != prediction.results[step] and any(
            alternative.value == seen and not alternative.alike
            for alternative in prediction.alternatives[step]
        ):
            return step
    return -1


def known_until(prediction: Prediction, outcome: Outcome) -> int:
    """Steps from this index on have effects that are not judged; results of the step before
    an alternative's effects still are, by compare_results."""
    step = took_alternative(prediction, outcome)
    return prediction.judged_until if step < 0 else min(step, prediction.judged_until)


def open_steps(prediction: Prediction, known: int) -> int:
    """How many steps were left open: those the model does not specify, and those from `known`
    on, whose state it could not follow."""
    total = len(prediction.results)
    if known >= total:
        return len(prediction.unspecified)
    return sum(1 for step in prediction.unspecified if step < known) + total - known
