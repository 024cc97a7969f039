"""A program as a C reproducer: one file that needs only a C library, builds with -Wall -Wextra
-Werror, says what it expected and saw, and exits 1 when the fault shows, 0 when it does not, 3
when it cannot tell, 4 when the machine lacks what it needs.

What it expects is the model's prediction for the facts of one kernel, with all its alternatives
and what it leaves open. It looks at all that the oracle judges: results, bytes of structs, VMAs
with their flags, page states, contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from conformance.abi import vm_flags as f
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.explain import Steps
from conformance.program import call as c
from conformance.program.control_memory import pokes_of
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import MEMORY_ERROR, NOT_PLACED
from conformance.program.places import PAGE
from conformance.program.plan import calls_as_ilp32, fail_nth, signal_of
from conformance.program.program import Program
from conformance.program.race import has_race
from conformance.program.wire import Observe
from conformance.spec.registry import text_of
from fuzz.findings import c_frame as frame
from fuzz.findings import c_steps, c_structs
from fuzz.findings import c_words as w
from fuzz.findings.c_looks import Look, look_lines
from fuzz.findings.c_structs import Peek
from fuzz.findings.finding import Finding

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
_NAMES: Final = {"ctl": "control"}  # of peeks, where C has another


class NotInC(Exception):
    """No C reproducer can be made of this program. str() says why, in one line."""


class Told(NamedTuple):
    """What the comment at the top says. where: the kernel and target. in_layout: is it the layout
    where it shows, so that what it gives is judged too?"""

    title: str
    where: str
    expected: str = ""
    observed: str = ""
    requirements: tuple[str, ...] = ()
    log: str = ""
    in_layout: bool = False


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
    others = []
    if program.whole:
        others = [predict(program, facts, outside=there, observe=int(observe)) for there in _OTHERS]
    return _Emitter(program, prediction, told, observe, others).text()


def c_source(program: Program, prediction: Prediction, told: Told, observe: Observe = LOOK) -> str:
    """The text of the file for a prediction that is at hand. Raises NotInC."""
    _refuse(program)
    return _Emitter(program, prediction, told, observe, []).text()


def _refuse(program: Program) -> None:
    if has_race(program.steps):
        raise NotInC("its calls are made at the same time; see it again with madvet replay")
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


class _Emitter:
    """One file in the making."""

    def __init__(
        self,
        program: Program,
        prediction: Prediction,
        told: Told,
        observe: Observe,
        others: list[Prediction],
    ) -> None:
        self.program = program
        self.out = prediction
        self.told = told
        self.observe = observe
        self.others = others
        self.steps = Steps(program)
        self.used = {"core", "main", *frame.file_parts(program)}
        self.looks: list[str] = []
        self.peek = self.snapshot = 0

    def text(self) -> str:
        """Everything."""
        body = [line for number in range(len(self.steps.all)) for line in self._step(number)]
        body += self._end()
        whole = [
            *frame.head_comment(self._about(), self.told.title),
            *frame.preamble(self.program, self.steps, self.used, self.out),
            *self.looks,
            *frame.run_lines(self.program, self.steps, self.used, body),
        ]
        return "\n".join(whole) + "\n"

    def _about(self) -> Iterator[str]:
        told = self.told
        if told.expected:
            yield f"Expected: {told.expected}"
        if told.observed:
            yield f"Seen: {told.observed}"
        if told.log:
            yield f"The kernel's log then says: {told.log}"
        for ident in told.requirements:
            yield f"{ident}: {text_of(ident)}" if text_of(ident) else ident
        yield f"Found on {told.where}. What is expected below is right for that kernel."

    def _judged(self, number: int) -> bool:
        return number < self.out.judged_until

    def _step(self, number: int) -> Iterator[str]:
        """Begin, call, result, structs, looks."""
        step = self.steps.all[number]
        if number == self.steps.setup:
            yield from self._before_steps()
        serial = number + 1
        yield ""
        yield f"\tbegin({w.quoted(self.steps.words(number))}); /* {serial} */"
        peeks = list(self._peeks(number))
        if isinstance(step, c.MadviseRanges | c.ProcessMadvise):
            yield from self._call_with_structs(step, number, peeks)
        else:
            yield from self._call(step, number, "\t")
        if isinstance(step, c.ForkExec) and self._judged(number):
            yield from c_steps.heir_lines(peeks[0].expected)
        yield from self._looks(number, serial)
        if self._judged(number):
            yield "\tsettle();"

    def _call(self, step: c.AnyStep, number: int, indent: str) -> Iterator[str]:
        if isinstance(step, c.Fork):
            self._child_look(number)
        head, arguments, tail = c_steps.call_expression(step, number + 1, self.used)
        if c_steps.places_in_arena(step):
            tail += " : NOT_PLACED"
            head = f"placed ? {head}"
        yield from w.call_lines(f"result = {head}", arguments, f"{tail};", indent)
        yield from self._result(step, number, indent)

    def _result(self, step: c.AnyStep, number: int, indent: str) -> Iterator[str]:
        out = self.out
        value = out.results[number]
        if -4096 < value + MEMORY_ERROR < MEMORY_ERROR // 2:
            raise NotInC("it poisons memory of the machine that it runs on: use madvet replay")
        if not self._judged(number):
            yield f"{indent}/* what it does is not specified: not judged from here on */"
            return
        if number in out.unspecified:
            yield f"{indent}/* not specified, so not judged: {out.unspecified[number].reason} */"
            return
        if any(other.results[number] != value for other in self.others):
            yield f"{indent}/* depends on all mappings of the process: not judged */"
            return
        for allowed in out.alternatives.get(number, ()):
            self.used.add("allowed")
            words = [w.result(step, allowed.value), w.quoted(allowed.reason)]
            yield from w.call_lines("allow_result(result, ", words, ");", indent)
        expected = "NOT_PLACED" if value == NOT_PLACED else w.result(step, value)
        if number < self.steps.setup and not self.told.in_layout:
            self.used.add("need")
            yield f"{indent}need_result(result, {expected});"
            return
        self.used.add("result")
        words = [expected, w.quoted(out.requirements[number])]
        yield from w.call_lines("expect_result(result, ", words, ");", indent)

    def _peeks(self, number: int) -> Iterator[Peek]:
        """Those of a step, the look at all other memory last."""
        out = self.out
        step = self.steps.all[number]
        pokes = []
        if isinstance(step, c.MadviseRanges):
            pokes = [p for p in pokes_of(step) if p.output or c_structs.in_arena(p.at)]
        while self.peek < len(out.peek_steps) and out.peek_steps[self.peek] == number:
            index, data = self.peek, out.peeks[self.peek]
            self.peek += 1
            name = out.peek_names[index]
            opened = frozenset(range(len(data))) if index in out.free_peeks else frozenset()
            for other in self.others:
                there = other.peeks[index]
                opened |= {i for i, byte in enumerate(data) if there[i : i + 1] != bytes([byte])}
            poke = pokes.pop(0) if pokes else c_structs.NO_POKE
            yield Peek(poke, data, _NAMES.get(name, name), frozenset(opened))

    def _call_with_structs(
        self, step: c.MadviseRanges | c.ProcessMadvise, number: int, peeks: list[Peek]
    ) -> Iterator[str]:
        self.used.add("zone")
        yield "\t{"
        if isinstance(step, c.MadviseRanges):
            yield from c_structs.struct_lines(step, self.used)
        else:
            yield from c_structs.vector_lines(step, self.used)
        *structs, zone = peeks
        yield from c_structs.written_lines(structs, self.used)
        yield from self._call(step, number, "\t\t")
        if self._judged(number):
            for index, peek in enumerate(structs):
                yield from c_structs.peek_lines(index, peek, self.used)
            expected = w.address(int.from_bytes(zone.expected, "little"))
            if not zone.open:
                yield f'\t\texpect_change({expected}, "abi-writes-confined");'
        yield "\t}"

    def _looks(self, number: int, serial: int) -> Iterator[str]:
        """The snapshots of this process after a step."""
        last = number + 1 == len(self.steps.all)
        while self._is_next_snapshot(number):
            expected = self.out.snapshots[self.snapshot]
            if expected.child:
                return  # of the second process, at the very end
            self.snapshot += 1
            if self._judged(number):
                read_all = last and bool(self.observe & Observe.READ_ALL)
                yield f"\t{self._look(f'look_{serial}', expected.step, read_all)}();"

    def _is_next_snapshot(self, number: int) -> bool:
        snapshots = self.out.snapshots
        return self.snapshot < len(snapshots) and snapshots[self.snapshot].step == number

    def _child_look(self, number: int) -> None:
        """A fork's; it comes before that of the step."""
        self.snapshot += 1
        if self._judged(number):
            self._look(f"child_looks_{number + 1}", number, False)
        else:
            self.looks += ["", f"static void child_looks_{number + 1}(void)", "{", "}"]

    def _look(self, name: str, step: int, read_all: bool) -> str:
        """Add the function for the snapshot just taken."""
        expected = self.out.snapshots[self.snapshot - 1]
        self.used.add("expect_vmas")
        if expected.pages:
            self.used.add("pages")
        decided = self.out.requirements[step]
        look = Look(name, expected, self.steps.all[step], decided, read_all)
        self.looks += ["", *look_lines(look)]
        return name

    def _before_steps(self) -> Iterator[str]:
        yield from frame.rights_lines(self.program, self.used)
        yield from frame.pidfd_lines(self.program, self.used)

    def _end(self) -> Iterator[str]:
        """The second process looks last."""
        last = len(self.steps.all) - 1
        if not self.program.remote():
            return
        self.snapshot += 1
        if self._judged(last):
            self._look("second_looks", last, bool(self.observe & Observe.READ_ALL))
        else:
            self.looks += ["", "static void second_looks(void)", "{", "}"]
        yield ""
        yield '\tbegin("the second process");'
        yield "\tend_second();"
