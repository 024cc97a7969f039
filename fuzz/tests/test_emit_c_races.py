"""Reproducers in C of programs with a race: what some order gives they allow, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from conformance.abi.advice import BY_NAME
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.every_order import every_order
from conformance.program import call as c
from conformance.program.control_struct import ControlFields, Range, Single
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Sharing, Touch
from conformance.program.places import FD_PIDFD_REMOTE, FD_PIDFD_SELF, PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.program.validate import validate
from conformance.target.guest import KINDS
from conformance.target.guest_images import find_image
from conformance.target.guest_machine import qemu_program
from conformance.target.registry import open_target
from conformance.target.target import Target, TargetError
from fuzz.findings import emit_c
from fuzz.findings.c_orders import RaceEmitter
from fuzz.findings.c_program import NotInC, Told
from fuzz.findings.c_run import Ran, run_c
from fuzz.findings.emit_c import LOOK, c_reproducer
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource

GENERATED = 30  # of one seed
FEW = 100  # rounds of each of them
LEDGERED = Path(__file__).parents[2] / "corpus/regressions/guard-flag-lost.toml"
IN_GUEST = 300  # rounds; 1 in 100 shows it where others want the processors, else 3 in 4
TRIES = 5  # until one of these runs does
TOLD = Told("a trial", "this machine")
NO_ORDER = "no order of the actors' steps gives all of this [race-linear]:\n"
VEC = 0x20000080

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def host() -> Iterator[Target]:
    with open_target("host") as target:
        yield target


def run(text: str, target: Target, tmp_path: Path, rounds: int = 1000) -> Ran:
    assert "#define ROUNDS 1000" in text
    source = tmp_path / "reproducer.c"
    shorter = text.replace("#define ROUNDS 1000", f"#define ROUNDS {rounds}")
    source.write_text(shorter, encoding="ascii")
    return run_c(source, target)


def advise(name: str, page: int = 0, pages: int = 2) -> c.Madvise:
    return c.Madvise(page_address(page), pages * PAGE, BY_NAME[name].value)


def race(*actors: c.Actor | c.ActorStep) -> c.Race:
    return c.Race(tuple(a if isinstance(a, c.Actor) else c.Actor((a,)) for a in actors))


LAYOUT = (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),)
TOUCH = c.TouchPages(0, 2)
UNMAP = c.Munmap(page_address(0), 2 * PAGE)
COLD = BY_NAME["COLD"].value
BOTH = (c.IoRange(page_address(0), PAGE), c.IoRange(page_address(1), PAGE))
PROGRAMS = {
    "pages": Program(LAYOUT, (race(advise("DONTNEED"), TOUCH), c.Fork(), c.TouchPages(0))),
    "results": Program(LAYOUT, (race(UNMAP, c.Actor((advise("DONTNEED"), TOUCH))),)),
    "mappings": Program(LAYOUT, (race(advise("RANDOM"), advise("SEQUENTIAL")),)),
    "structs": Program(
        LAYOUT,
        (
            race(
                c.ProcessMadvise(COLD, BOTH, FD_PIDFD_SELF, vec_at=VEC),
                c.Store(VEC + 8, 2 * PAGE),
                c.Store(VEC + 8, 0),
            ),
        ),
    ),
    "processes": Program(
        (Mapping(Kind.MEMFD, 0, 4, sharing=Sharing.SHARED),),
        (
            race(
                c.Actor((c.TouchPages(0, 4),), c.ActorPlace.PROCESS, delay=100),
                c.Actor((advise("REMOVE", pages=4), c.Fork()), repeat=3),
            ),
        ),
        (FileSlot(Backing.MEMFD, 4),),
    ),
    "second": Program(
        LAYOUT,
        (
            race(
                c.ProcessMadvise(COLD, BOTH, FD_PIDFD_REMOTE, vec_at=VEC),
                c.Actor((UNMAP, c.Exit()), c.ActorPlace.REMOTE),
            ),
        ),
    ),
    "in the arena": Program(
        LAYOUT,
        (
            race(
                c.ProcessMadvise(COLD, BOTH, FD_PIDFD_SELF, vec_at=page_address(1)),
                advise("DONTNEED"),
                c.Store(page_address(0), 5),
            ),
        ),
    ),
    "twice": Program(LAYOUT, (race(advise("DONTNEED"), TOUCH), race(UNMAP, TOUCH))),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_what_a_kernel_does_has_an_order(host: Target, tmp_path: Path, name: str) -> None:
    program = PROGRAMS[name]
    assert validate(program) == []
    ran = run(c_reproducer(program, host.facts, TOLD), host, tmp_path)
    assert ran == (0, "0 of 1000 rounds showed it\nas expected\n")


@pytest.mark.parametrize("index", range(GENERATED))
def test_generated_races_agree_with_this_kernel(host: Target, tmp_path: Path, index: int) -> None:
    program = ProgramSource(11, GenerateOptions(races=True)).program(index)
    ran = run(c_reproducer(program, host.facts, TOLD), host, tmp_path, FEW)
    assert ran == (0, f"0 of {FEW} rounds showed it\nas expected\n")


def test_it_agrees_while_others_want_the_processors(host: Target, tmp_path: Path) -> None:
    text = c_reproducer(PROGRAMS["pages"], host.facts, TOLD)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            assert run(text, host, tmp_path).code == 0
        finally:
            other.kill()


def first_page(one: Prediction) -> int:
    return one.snapshots[0].pages[0]


def touched(one: Prediction) -> bytes:
    """The results of the actors."""
    return one.peeks[0]


def flags(one: Prediction) -> int:
    return one.snapshots[0].vmas[2]


def stored(one: Prediction) -> bytes:
    return one.peeks[1]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pages", first_page, r"step 1 [^:]*: page 0( after step 1)?: expected .*; saw "),
        ("results", touched, r"step 1, actor [12], call [12]: .*: expected "),
        ("mappings", flags, r"step 1 .*: expected the mappings "),
        ("structs", stored, r"step 1 .*: array of .*: expected bytes 8..: 0x|array, byte "),
    ],
)
def test_what_no_order_gives_shows(
    host: Target,
    tmp_path: Path,
    name: str,
    value: Callable[[Prediction], object],
    said: str,
) -> None:
    """One of all that a place may be is left out, each in turn."""
    every = orders(PROGRAMS[name], host.facts)
    codes = []
    for gone in dict.fromkeys(map(value, every)):
        left = [one for one in every if value(one) != gone]
        ran = run(source(PROGRAMS[name], left), host, tmp_path)
        codes.append(ran.code)
        if ran.code:
            assert shown_in(ran) >= 1
            assert re.search(said, ran.said) or NO_ORDER in ran.said, ran.said
    assert len(codes) > 1
    assert set(codes) in ({0, 1}, {1})


def test_one_outcome_that_is_left_out_of_the_table_shows(host: Target, tmp_path: Path) -> None:
    """All that was seen is seen in some order, but not in one and the same."""
    every = orders(PROGRAMS["pages"], host.facts)
    left = [one for one in every if one.snapshots[0].pages != [0, 0]]
    assert len(left) == len(every) - 1
    ran = run(source(PROGRAMS["pages"], left), host, tmp_path)
    assert ran.code == 1
    assert shown_in(ran) >= 1
    head, _, rest = ran.said.partition(NO_ORDER)
    assert not head
    seen, _, instead = rest.partition("outcomes that are allowed has instead:\n")
    assert "\tpage 0 after step 1: not present\n\tpage 1 after step 1: not present\n" in seen
    assert re.search(r"^\tpage [01] after step 1: (present|neither)", instead, re.MULTILINE)


def orders(program: Program, facts: KernelFacts) -> list[Prediction]:
    every = every_order(program, predict(program, facts, observe=int(LOOK)))
    assert every.whole
    return every.predictions


def source(program: Program, left: list[Prediction]) -> str:
    return RaceEmitter(program, left, TOLD, LOOK, "").text()


def shown_in(ran: Ran) -> int:
    """How many rounds showed a fault, of one that did."""
    assert ran.code == 1
    assert re.search(r"^That was round \d+\.$", ran.said, re.MULTILINE), ran.said
    shown = re.search(r"^(\d+) of \d+ rounds showed it\nTHE FAULT SHOWS\n", ran.said, re.MULTILINE)
    assert shown is not None, ran.said
    return int(shown[1])


@pytest.mark.parametrize("who", list(c.ActorPlace))
def test_an_actor_that_is_killed_is_told(host: Target, tmp_path: Path, who: c.ActorPlace) -> None:
    one = Program(LAYOUT, (race(advise("COLD"), c.Actor((advise("COLD"),), who)),))
    text = c_reproducer(one, host.facts, TOLD)
    head, call, tail = text.rpartition("*result++ = CALL(SYS_madvise")
    ran = run(f"{head}*(volatile int *)8 = 0;\n\t{call}{tail}", host, tmp_path, 10)
    assert ran.code == 1
    assert "[process-survives]" in ran.said
    assert shown_in(ran) == 10


def test_what_the_model_leaves_open_is_refused_or_judged_by_deaths_alone(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit_c, "every_order", partial(every_order, limit=5))
    with pytest.raises(NotInC, match=r"^what its race may give is not known: .* more than 5 ord"):
        c_reproducer(PROGRAMS["pages"], host.facts, TOLD)
    text = c_reproducer(PROGRAMS["pages"], host.facts, TOLD._replace(dies=True))
    assert "All that is judged of it is" in re.sub(r"\s+\*\s+", " ", text)
    assert "\texpect_order(" not in text
    assert run(text, host, tmp_path, FEW) == (0, f"0 of {FEW} rounds showed it\nas expected\n")


def test_what_a_shim_makes_of_a_race_is_not_known() -> None:
    call = c.MadviseRanges(ControlFields(Single(Range(page_address(0), PAGE, COLD))))
    with open_target("shim") as shim, pytest.raises(NotInC, match="not atomic where the kernel"):
        c_reproducer(Program(LAYOUT, (race(call, TOUCH),)), shim.facts, TOLD)


def test_it_shows_the_race_in_the_ledger_where_the_kernel_has_it(tmp_path: Path) -> None:
    document = loads(LEDGERED.read_bytes(), str(LEDGERED))
    try:
        find_image(KINDS["qemu-smp"][0])
        qemu_program()
    except TargetError as error:  # no kernel or no QEMU; a guest that will not boot is a failure
        pytest.skip(str(error))
    with open_target("qemu-smp") as target:
        text = c_reproducer(document.program, target.facts, TOLD)
        for _ in range(TRIES):
            ran = run(text, target, tmp_path, IN_GUEST)
            if ran.code:
                break
    assert shown_in(ran) >= 1
    assert "expected the mappings" in ran.said
