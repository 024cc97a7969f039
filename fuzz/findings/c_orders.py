"""A racing program as a C reproducer: the race is run again and again, and each time what was seen
is looked for among all that the orders of its actors' steps give.

What is the same in every order is judged as in other programs, where it stands. The rest goes
into cells (c_cells), and at the end one order must give all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from conformance.abi import vm_flags
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.compare_effects import COMPARED_FLAGS, COMPARED_PAGE_BITS
from conformance.oracle.explain import page_words, result_words, span_words
from conformance.oracle.rules import vma_rule
from conformance.program import call as c
from conformance.program.outcome import NOT_PLACED
from conformance.program.program import Program
from conformance.program.race import placed as structs_of
from conformance.program.wire import Observe
from fuzz.findings import c_race, c_steps, c_structs
from fuzz.findings import c_words as w
from fuzz.findings.c_cells import Cells, Ways, ways_of
from fuzz.findings.c_looks import (
    FILE_BIT,
    Look,
    Page,
    look_lines,
    page_of,
    row_array,
    row_lines,
    rows_of,
    vma_array,
    vma_lines,
)
from fuzz.findings.c_program import Emitter, NotInC, Told
from fuzz.findings.c_runtime import closed
from fuzz.findings.c_structs import Peek

RULE: Final = "race-linear"
T = TypeVar("T")
_Vma = tuple[int, int, int, int]


class RaceEmitter(Emitter):
    """One file in the making. orders: what each order of the steps gives, all of them; or one
    prediction that judges nothing from the race on."""

    watcher = "rounds"
    writer = "race_writer"

    def __init__(
        self, program: Program, orders: list[Prediction], told: Told, observe: Observe, about: str
    ) -> None:
        longest = max(orders, key=lambda one: one.judged_until)
        super().__init__(program, longest, told, observe, [])
        self.orders = orders
        self.about = about
        self.cells = Cells()
        self.number = 0  # of the step at hand
        shapes = {tuple([(s.step, s.child, len(s.pages)) for s in one.snapshots]) for one in orders}
        if len(shapes) > 1 or len({(one.dies_at, one.dies_of) for one in orders}) > 1:
            raise NotInC("whether a process ends depends on the order of the actors' steps")
        for step in program.steps:
            if isinstance(step, c.Race):
                self.used |= c_race.race_parts(step)
        if "race_second" not in self.used and "race_faults" in closed(self.used):
            self.used.add("no_second")

    def _about(self) -> Iterator[str]:
        yield from super()._about()
        yield ""
        yield (
            "A race: whether it shows is a matter of chance. It is run ROUNDS times (-DROUNDS=N), "
            "each time in a new process; exit code 0 says that none of them showed it."
        )
        if self.told.rate:
            yield f"When it was found it showed in {self.told.rate}."
        yield self.about

    def _given(self, number: int, fetch: Callable[[Prediction], T]) -> list[T | None]:
        """What each order gives behind a step, None where it leaves that open."""
        return [fetch(one) if number < one.judged_until else None for one in self.orders]

    def _step(self, number: int) -> Iterator[str]:
        self.number = number
        yield from super()._step(number)

    def _make(self, step: c.AnyStep, number: int, peeks: list[Peek]) -> Iterator[str]:
        if isinstance(step, c.ForkExec):
            ways = self._peek_ways(number, peeks[0])
            if ways.values and not ways.alike:
                raise NotInC("what a new program inherits depends on the order of actors' steps")
        if isinstance(step, c.Race):
            yield from self._race(step, number, peeks)
        else:
            yield from super()._make(step, number, peeks)

    def _race(self, race: c.Race, number: int, peeks: list[Peek]) -> Iterator[str]:
        serial = number + 1
        self.looks += c_race.actor_lines(race, serial)
        yield from c_race.race_call(race, serial, self.used)
        results, *structs, zone = peeks
        if not self._judged(number):
            yield "\t/* what it gives is not known: not judged from here on */"
            return
        if self.out.results[number] == NOT_PLACED:
            self.used.add("result")
            yield f'\texpect_result(result, NOT_PLACED, "{RULE}");'
        else:
            yield from self._results(race, number, results)
        yield f"\tbegin({w.quoted(self.steps.words(number))});"
        if structs_of(race):
            yield "\t{"
            yield from self._read_back(race, _placed(race, structs), zone)
            yield "\t}"

    def _results(self, race: c.Race, number: int, peek: Peek) -> Iterator[str]:
        name = f"step {number - self.steps.setup + 1}"
        for made in c_race.made(race, name):
            at = 8 * made.result

            def value(one: Prediction, at: int = at) -> int:
                data = one.peeks[peek.serial][at : at + 8]
                return int.from_bytes(data, "little", signed=True)

            yield f"\tbegin({w.quoted(made.words)});"
            ways = ways_of(self._given(number, value))
            result = f"shared->results[{made.result}]"
            yield from self._result_lines(made.step, result, ways, made.words, "\t")

    def _expected(self, step: c.AnyStep, number: int, indent: str) -> Iterator[str]:
        given = self._given(
            number, lambda one: None if number in one.unspecified else one.results[number]
        )
        ways = ways_of(given)
        if ways.alike:
            yield from super()._expected(step, number, indent)
        else:
            name = self.steps.words(number)
            yield from self._result_lines(step, "result", ways, name, indent)

    def _result_lines(
        self, step: object, result: str, ways: Ways[int], name: str, indent: str
    ) -> Iterator[str]:
        """A step's, or a call's of an actor."""
        values = [c_steps.result_words(step, value) for value in ways.values]
        if ways.alike:
            self.used.add("result")
            yield from w.call_lines("expect_result(", [result, values[0], w.quoted(RULE)], ");")
            return
        self.used.add("result_cell")
        cell = self.cells.add(name, ways, [result_words(step, value) for value in ways.values])
        words = [str(cell), result, w.quoted(RULE), f"VALUES({', '.join(values)})"]
        yield from w.call_lines("result_by_order(", words, ");", indent)

    def _peek_ways(self, number: int, peek: Peek) -> Ways[bytes]:
        return ways_of(
            self._given(
                number,
                lambda one: None if peek.serial in one.free_peeks else one.peeks[peek.serial],
            )
        )

    def _read_back(self, step: c.AnyStep, structs: list[Peek], zone: Peek) -> Iterator[str]:
        same = []
        for peek in structs:
            ways = self._peek_ways(self.number, peek)
            if ways.alike or not ways.values:
                same.append(peek)
            else:
                yield from self._struct(peek, ways)
        ways = self._peek_ways(self.number, zone)
        if not ways.alike:
            numbers = [int.from_bytes(data, "little") for data in ways.values]
            change = Ways(numbers, ways.which)
            name = "the first change outside the structs (0: none)"
            yield from self._result_lines(None, "first_change()", change, name, "\t\t")
            zone = zone._replace(open=frozenset(range(8)))
        yield from super()._read_back(step, same, zone)

    def _struct(self, peek: Peek, ways: Ways[bytes]) -> Iterator[str]:
        """A struct with one of these contents."""
        self.used.add("struct_cell")
        cell = self.cells.add(
            f"{peek.name} of {self.steps.words(self.number)}", ways, _struct_words(ways.values)
        )
        yield "\t\t{"
        for number, data in enumerate(ways.values):
            for line in c_structs.byte_lines(f"way_{number}", data or b"\0", "of some orders"):
                yield f"\t{line}"
        yield "\t\t\tstatic const struct bytes structs[] = {"
        for number, data in enumerate(ways.values):
            yield f"\t\t\t\t{{ {len(data)}, way_{number} }},"
        yield "\t\t\t};"
        yield ""
        words = [
            str(cell), w.address(peek.poke.at), w.length(len(peek.poke.data)), w.quoted(RULE),
            "structs", str(len(ways.values)),
        ]  # fmt: skip
        yield from w.call_lines("struct_by_order(", words, ");", "\t\t\t")
        yield "\t\t}"

    def _look_lines(self, look: Look) -> Iterator[str]:
        """As look_lines(), of which orders may give different ones."""
        serial = self.snapshot - 1
        number = look.expected.step
        if isinstance(look.step, c.Race):
            look = look._replace(decided=RULE)
        looks = [
            look._replace(expected=given) if given is not None else None
            for given in self._given(number, lambda one: one.snapshots[serial])
        ]
        vmas = ways_of([None if one is None else _vmas(one.expected) for one in looks])
        pages = [
            ways_of([None if one is None else page_of(one, index) for one in looks])
            for index in range(len(look.expected.pages))
        ]
        if vmas.alike and all(ways.alike for ways in pages):
            yield from look_lines(look)
            return
        where = _where(look, number - self.steps.setup + 1)
        yield f"static void {look.name}(void)"
        yield "{"
        yield from self._vma_cell(look, vmas, where)
        yield from self._page_cells(look, pages, where)
        yield "}"

    def _vma_cell(self, look: Look, ways: Ways[tuple[_Vma, ...]], where: str) -> Iterator[str]:
        rule = w.quoted(vma_rule(look.step, look.expected.child, look.decided))
        if ways.alike:
            yield from vma_lines(look)
            return
        for number, vmas in enumerate(ways.values):
            if vmas:
                yield from vma_array(f"vmas_{number}", [part for vma in vmas for part in vma])
        lists = [
            f"{{ vmas_{number}, {len(vmas)} }}" if vmas else "{ NULL, 0 }"
            for number, vmas in enumerate(ways.values)
        ]
        self.used.add("vma_cell")
        cell = self.cells.add(f"mappings {where}", ways, _vma_words(ways.values))
        yield "\tstatic const struct vma_list lists[] = {"
        yield from (f"\t\t{line}," for line in lists)
        yield "\t};"
        yield ""
        yield f"\tvmas_by_order({cell}, {rule}, lists, {len(lists)});"

    def _page_cells(self, look: Look, pages: list[Ways[Page]], where: str) -> Iterator[str]:
        """Pages that all orders leave alike as ever; the others are only read by that."""
        if not pages:
            return
        expected = look.expected
        shown = ExpectedSnapshot(expected.step, expected.child, expected.vmas, list(expected.pages))
        shown.page_masks = dict(expected.page_masks)
        shown.page_alternatives = dict(expected.page_alternatives)
        for index, ways in enumerate(pages):
            if not ways.alike:
                shown.pages[index] = shown.page_masks[index] = 0
                shown.page_alternatives.pop(index, None)
        yield "\t{"
        yield from _deeper(row_array("pages", rows_of(look._replace(expected=shown))))
        yield ""
        yield f"\t\texpect_pages(pages, sizeof(pages) / sizeof(pages[0]), {int(look.read_all)});"
        yield "\t}"
        for index, ways in enumerate(pages):
            if ways.alike:
                continue
            self.used.add("page_cell")
            words = [_page_words(page, self.steps.setup) for page in ways.values]
            cell = self.cells.add(f"page {index} {where}", ways, words)
            rows = [line for page in ways.values for line in row_lines(index, 1, page)]
            yield "\t{"
            yield from _deeper(row_array("pages", rows))
            yield ""
            yield f"\t\tpage_by_order({cell}, pages, {len(ways.values)});"
            yield "\t}"

    def _end(self) -> Iterator[str]:
        yield from super()._end()
        if not self.cells.all:
            return
        self.used.add("cells")
        self.tables["cells"] = list(self.cells.lines())
        yield ""
        yield '\tbegin("the race");'
        yield f"\texpect_order({w.quoted(RULE)});"


def _placed(race: c.Race, structs: list[Peek]) -> list[Peek]:
    """The structs of a race where they lie; vectors are read back as an array is."""
    looked = [one for one in structs_of(race) if one.peeked]
    return [
        peek._replace(poke=one.poke, name="array")
        if isinstance(one.step, c.ProcessMadvise)
        else peek._replace(poke=one.poke)
        for peek, one in zip(structs, looked, strict=True)
    ]


def _deeper(lines: Iterator[str]) -> Iterator[str]:
    return (f"\t{line}" for line in lines)


def _where(look: Look, step: int) -> str:
    if not look.expected.child:
        return f"after step {step}"
    return (
        f"in the child of step {step}" if isinstance(look.step, c.Fork) else "in the other process"
    )


def _vmas(expected: ExpectedSnapshot) -> tuple[_Vma, ...]:
    out = []
    for at in range(0, len(expected.vmas), 4):
        start, end, flags, pgoff = expected.vmas[at : at + 4]
        out.append((start, end, flags & COMPARED_FLAGS, pgoff))
    return tuple(out)


def _vma_words(lists: list[tuple[_Vma, ...]]) -> list[str]:
    """Of each list those that are not in all of them."""
    common = set(lists[0]).intersection(*lists)
    out = []
    for vmas in lists:
        words = []
        for vma in vmas:
            if vma in common:
                continue
            start, end, flags, pgoff = vma
            file = f", page {pgoff & ~FILE_BIT} of a file" if pgoff & FILE_BIT else ""
            words.append(f"{span_words(start, end)}{file}: {vm_flags.names(flags)}")
        out.append("; ".join(words) or "none but those that are in every order")
    return out


def _page_words(page: Page, setup: int) -> str:
    if page.free == COMPARED_PAGE_BITS:
        return "anything"
    words = [page_words(word, setup) for word in (page.word, *page.alternatives)]
    rest = " (in part)" if page.free else ""
    return " or ".join(dict.fromkeys(words)) + rest


def _struct_words(structs: list[bytes]) -> list[str]:
    """Of each the 64-bit words that are not in all of them."""
    shortest = min(map(len, structs))
    differ = [
        at for at in range(0, shortest, 8) if len({data[at : at + 8] for data in structs}) > 1
    ]
    out = []
    for data in structs:
        words = [f"bytes {at}..: {int.from_bytes(data[at : at + 8], 'little'):#x}" for at in differ]
        if len(set(map(len, structs))) > 1:
            words.append(f"{len(data)} readable bytes")
        out.append(", ".join(words))
    return out
