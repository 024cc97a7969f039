"""A program as a C reproducer: one file that needs only a C library, builds with -Wall -Wextra
-Werror, says what it expected and saw, and exits 1 when the fault shows, 0 when it does not, 3
when it cannot tell, 4 when the machine lacks what it needs.

What it expects is the model's prediction for the facts of one kernel, with all its alternatives
and what it leaves open. It looks at all that the oracle judges: results, bytes of structs, VMAs
with their flags, page states, contents.
"""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.every_order import EveryOrder, every_order
from conformance.oracle.interleave import NoCoroutines
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program.kernel_facts import KernelFacts
from conformance.program.places import PAGE
from conformance.program.plan import calls_as_ilp32, fail_nth, signal_of
from conformance.program.program import Program
from conformance.program.wire import Observe
from fuzz.findings.c_orders import RaceEmitter
from fuzz.findings.c_program import Emitter, NotInC, Told
from fuzz.findings.finding import Finding

# Told by a death, or by the kernel, whatever the calls gave.
DEATHS: Final = (VerdictKind.CRASH, VerdictKind.HANG)
LOOK: Final = Observe.ISOLATED | Observe.SMAPS | Observe.EACH_STEP | Observe.READ_ALL
# Of a process that has mapped nothing else, and of one with memory, a file and page frames, all
# above the layout: what both give alike does not depend on what else is mapped.
_HIGH: Final = 1 << 46
_OTHERS: Final[tuple[tuple[int, ...], ...]] = (
    (),
    (
        *(_HIGH, _HIGH + 3 * PAGE, f.RD | f.WR | f.MR | f.MW | f.ME | f.AC, 0),
        *(_HIGH + 5 * PAGE, _HIGH + 6 * PAGE, f.RD | f.EX | f.MR | f.MW | f.ME, 1 << 63),
        *(_HIGH + 8 * PAGE, _HIGH + 9 * PAGE, f.RD | f.MR | f.PF | f.IO | f.DE | f.DD, 0),
    ),
)


def told_of(finding: Finding) -> Told:
    """What there is to tell of a finding."""
    verdict = finding.verdict
    first = verdict.differences[0] if verdict.differences else None
    return Told(
        f"{verdict.kind.value}: {finding.title}",
        f"Linux {finding.release}, target {finding.target}",
        first.model if first else "no crash, no hang",
        first.kernel if first else verdict.reason,
        verdict.requirements,
        verdict.log.partition("\n")[0],
        first is not None and first.step < len(finding.program.setup()),
        finding.stability,
        verdict.kind in DEATHS or bool(verdict.log),
    )


def c_of_finding(finding: Finding) -> str:
    """The C reproducer of a finding that was kept. Raises NotInC."""
    facts = finding.facts
    if facts is None:
        raise NotInC("the facts of the kernel that it was found on were not kept")
    observe = LOOK
    outside: tuple[int, ...] = ()
    if finding.evidence is not None:
        observe = Observe(finding.evidence.observe)
        outside = finding.evidence.outcome.outside
    return c_reproducer(finding.program, facts, told_of(finding), observe, outside)


def c_reproducer(
    program: Program,
    facts: KernelFacts,
    told: Told,
    observe: Observe = LOOK,
    outside: tuple[int, ...] = (),
) -> str:
    """The text of the file. Raises NotInC.

    outside: Outcome.outside, for a program with `whole`. What such a program gives depends on all
    mappings of the process, and this one has others: only that is judged which does not.
    """
    _refuse(program)
    prediction = predict(program, facts, outside=outside, observe=int(observe))
    if prediction.skip:
        raise NotInC(f"{facts.release} lacks what it needs: {prediction.skip}")
    if prediction.reorder is not None:
        return _race(program, prediction, told, observe)
    others = []
    if program.whole:
        others = [predict(program, facts, outside=there, observe=int(observe)) for there in _OTHERS]
    return Emitter(program, prediction, told, observe, others).text()


def _race(program: Program, prediction: Prediction, told: Told, observe: Observe) -> str:
    """Of a program with a race; what it may give is asked of the model, in every order."""
    first = len(program.setup()) + next(
        i for i, step in enumerate(program.steps) if isinstance(step, c.Race)
    )
    try:
        every = every_order(program, prediction)
    except NoCoroutines as error:
        raise NotInC(str(error)) from error
    unknown = _unknown(every, first)
    if not unknown:
        about = f"All orders of the actors' steps, {every.orders}, give the same."
        if len(every.predictions) > 1:
            about = (
                f"The orders of the actors' steps, {every.orders} that were gone through, have "
                f"{len(every.predictions)} outcomes; see expect_order()."
            )
        return RaceEmitter(program, every.predictions, told, observe, about).text()
    if not told.dies:
        raise NotInC(f"what its race may give is not known: {unknown}; see it again with "
                     "madvet replay")  # fmt: skip
    prediction.judged_until = min(prediction.judged_until, first)
    about = (
        f"What the race may give is not known here: {unknown}. All that is judged of it is that "
        "every call returns, nobody is killed, and the kernel says nothing against itself."
    )
    return RaceEmitter(program, [prediction], told, observe, about).text()


def _unknown(every: EveryOrder, race: int) -> str:
    """Why it is not known what a race may give, "" where it is."""
    if not every.whole:
        return f"its actors' steps have more than {every.orders} orders"
    for one in every.predictions:
        if one.judged_until <= race:
            return one.unspecified[one.judged_until].reason
    return ""


def c_source(program: Program, prediction: Prediction, told: Told, observe: Observe = LOOK) -> str:
    """The text of the file for a prediction that is at hand. Raises NotInC."""
    _refuse(program)
    return Emitter(program, prediction, told, observe, []).text()


def _refuse(program: Program) -> None:
    for step in program.steps:
        if calls_as_ilp32(step):
            raise NotInC(
                "a call is made as a 32-bit process makes it; build a 32-bit program by hand, or "
                "see it again with madvet replay"
            )
        if signal_of(step) is not None:
            raise NotInC("a signal comes during a call; see it again with madvet replay")
        if fail_nth(step):
            raise NotInC(
                "an allocation of the kernel fails in a call, which a guest is set up for; see it "
                "again with madvet replay"
            )
