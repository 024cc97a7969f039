"""The text of a reproducer in C, step by step: each call, and what it must give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from conformance.model.prediction import Prediction
from conformance.oracle.explain import Steps
from conformance.program import call as c
from conformance.program.outcome import MEMORY_ERROR
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.spec.registry import text_of
from fuzz.findings import c_frame as frame
from fuzz.findings import c_steps, c_structs
from fuzz.findings import c_words as w
from fuzz.findings.c_looks import Look, look_lines
from fuzz.findings.c_structs import Peek

_NAMES: Final = {"ctl": "control"}  # of peeks, where C has another


class NotInC(Exception):
    """No C reproducer can be made of this program. str() says why, in one line."""


class Told(NamedTuple):
    """What the comment at the top says. where: the kernel and target. in_layout: is it the layout
    where it shows, so that what it gives is judged too? rate: in how many runs it showed, "" where
    that is not known. dies: is it told by a death, a hang or the kernel's log alone?"""

    title: str
    where: str
    expected: str = ""
    observed: str = ""
    requirements: tuple[str, ...] = ()
    log: str = ""
    in_layout: bool = False
    rate: str = ""
    dies: bool = False


class Emitter:
    """One file in the making."""

    watcher = "main"  # the part that runs it
    writer = "writer"  # the part that says who wrote to a page

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
        self.used = {"core", *frame.file_parts(program)}
        self.tables: dict[str, list[str]] = {}  # lines that stand before a part
        self.looks: list[str] = []
        self.peek = self.snapshot = 0

    def text(self) -> str:
        """Everything."""
        self.used.add(self.watcher)
        body = [line for number in range(len(self.steps.all)) for line in self._step(number)]
        body += self._end()
        whole = [
            *frame.head_comment(self._about(), self.told.title),
            *frame.preamble(self.program, self.steps, self.used, self.out, self.tables),
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
        yield from self._make(step, number, peeks)
        if isinstance(step, c.ForkExec) and self._judged(number):
            yield from c_steps.heir_lines(peeks[0].expected)
        yield from self._looks(number, serial)
        if self._judged(number):
            yield "\tsettle();"

    def _make(self, step: c.AnyStep, number: int, peeks: list[Peek]) -> Iterator[str]:
        """The call, and what it must give."""
        if isinstance(step, c.MadviseRanges | c.ProcessMadvise):
            yield from self._call_with_structs(step, number, peeks)
        else:
            yield from self._call(step, number, "\t")

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
        yield from self._expected(step, number, indent)

    def _expected(self, step: c.AnyStep, number: int, indent: str) -> Iterator[str]:
        """What its result must be."""
        expected = c_steps.result_words(step, self.out.results[number])
        if number < self.steps.setup and not self.told.in_layout:
            self.used.add("need")
            yield f"{indent}need_result(result, {expected});"
            return
        self.used.add("result")
        words = [expected, w.quoted(self.out.requirements[number])]
        yield from w.call_lines("expect_result(result, ", words, ");", indent)

    def _peeks(self, number: int) -> Iterator[Peek]:
        """Those of a step, the look at all other memory last."""
        out = self.out
        step = self.steps.all[number]
        pokes = list(c_structs.peeked(step))
        while self.peek < len(out.peek_steps) and out.peek_steps[self.peek] == number:
            index, data = self.peek, out.peeks[self.peek]
            self.peek += 1
            name = out.peek_names[index]
            opened = frozenset(range(len(data))) if index in out.free_peeks else frozenset()
            for other in self.others:
                there = other.peeks[index]
                opened |= {i for i, byte in enumerate(data) if there[i : i + 1] != bytes([byte])}
            poke = pokes.pop(0) if pokes else c_structs.NO_POKE
            yield Peek(poke, data, _NAMES.get(name, name), frozenset(opened), index)

    def _call_with_structs(
        self, step: c.MadviseRanges | c.ProcessMadvise, number: int, peeks: list[Peek]
    ) -> Iterator[str]:
        self.used.add("zone")
        yield "\tbegin_structs();"
        if c_steps.places_in_arena(step):
            yield "\tplaced = 1;"
        yield "\t{"
        if isinstance(step, c.MadviseRanges):
            yield from c_structs.struct_lines(step, self.used)
        else:
            yield from c_structs.vector_lines(step, self.used)
        *structs, zone = peeks
        yield from c_structs.written_lines(structs, self.used)
        yield from self._call(step, number, "\t\t")
        if self._judged(number):
            yield from self._read_back(step, structs, zone)
        yield "\t}"

    def _read_back(self, step: c.AnyStep, structs: list[Peek], zone: Peek) -> Iterator[str]:
        """What must be in memory behind a call: in its structs, and around them."""
        for peek in structs:
            yield from c_structs.peek_lines(peek, self.used)
        expected = w.address(int.from_bytes(zone.expected, "little"))
        if not zone.open:
            yield f'\t\texpect_change({expected}, "abi-writes-confined");'

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
            self.used |= {"pages", self.writer}
        decided = self.out.requirements[step]
        look = Look(name, expected, self.steps.all[step], decided, read_all)
        self.looks += ["", *self._look_lines(look)]
        return name

    def _look_lines(self, look: Look) -> Iterator[str]:
        return look_lines(look)

    def _before_steps(self) -> Iterator[str]:
        yield from frame.rights_lines(self.program, self.used)
        yield from frame.pidfd_lines(self.program, self.used)

    def _end(self) -> Iterator[str]:
        """The second process looks last."""
        last = len(self.steps.all) - 1
        if not self.program.remote():
            return
        self.snapshot += 1
        if self._judged(last) and self.snapshot <= len(self.out.snapshots):
            self._look("second_looks", last, bool(self.observe & Observe.READ_ALL))
        else:
            self.looks += ["", "static void second_looks(void)", "{", "}"]
        yield ""
        yield '\tbegin("the second process");'
        yield "\tend_second();"
