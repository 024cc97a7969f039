"""Reproducers in C build without a warning, agree with the kernel, and notice what is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from conformance.abi.advice import BY_NAME
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program import call as c
from conformance.program.control_struct import All, ControlFields, Multi, Range, Single
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.places import FD_PIDFD_REMOTE, PAGE, page_address
from conformance.program.program import Program, Rights
from conformance.program.text import loads
from conformance.target.registry import open_target
from conformance.target.target import Target, TargetError
from fuzz.findings.c_program import NotInC, Told
from fuzz.findings.c_run import FLAGS, Ran, build_c, run_c
from fuzz.findings.c_runtime import closed, parts
from fuzz.findings.emit_c import LOOK, c_of_finding, c_reproducer, c_source
from fuzz.findings.finding import Finding
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.kernel_mutants import clean_target

GENERATED = 12  # of one seed, half a second each
SEEDS = Path(__file__).parents[2] / "corpus/seeds"
TOLD = Told("a trial", "this machine")
DONTNEED = BY_NAME["DONTNEED"].value

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def host() -> Iterator[Target]:
    with open_target("host") as target:
        yield target


def run(text: str, target: Target, tmp_path: Path) -> Ran:
    source = tmp_path / "reproducer.c"
    source.write_text(text, encoding="ascii")
    return run_c(source, target)


def madvise(page: int, pages: int, advice: int = DONTNEED) -> c.Madvise:
    return c.Madvise(page_address(page), pages * PAGE, advice)


LAYOUT = (Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 4),)),)
PROGRAM = Program(LAYOUT, (madvise(1, 2), c.Fork(), c.TouchPages(1)))


@pytest.mark.parametrize("index", range(GENERATED))
def test_generated_programs_agree_with_this_kernel(
    host: Target, tmp_path: Path, index: int
) -> None:
    program = ProgramSource(5).program(index)
    try:
        text = c_reproducer(program, host.facts, TOLD)
    except NotInC as error:
        pytest.skip(str(error))
    ran = run(text, host, tmp_path)
    assert ran == (0, "as expected\n")


@pytest.mark.parametrize(
    "name",
    ["fork-and-exec", "remote-of-another-user", "vector-empty", "structs-in-secret-memory"],
)
def test_rare_steps_agree_with_this_kernel(host: Target, tmp_path: Path, name: str) -> None:
    path = SEEDS / f"{name}.toml"
    program = loads(path.read_bytes(), str(path)).program
    try:
        text = c_reproducer(program, host.facts, TOLD)
    except NotInC as error:
        pytest.skip(str(error))
    assert run(text, host, tmp_path).code == 0


def result_wrong(prediction: Prediction) -> None:
    prediction.results[2] = -22


def flags_wrong(prediction: Prediction) -> None:
    prediction.snapshots[0].vmas[2] ^= 1 << 14  # dc


def edge_wrong(prediction: Prediction) -> None:
    prediction.snapshots[-1].vmas[1] += PAGE


def content_wrong(prediction: Prediction) -> None:
    prediction.snapshots[0].pages[0] += 1


def presence_wrong(prediction: Prediction) -> None:
    prediction.snapshots[0].pages[1] |= 1 << 32


def child_wrong(prediction: Prediction) -> None:
    (child,) = (snapshot for snapshot in prediction.snapshots if snapshot.child)
    child.pages[3] += 1


def death_wrong(prediction: Prediction) -> None:
    prediction.dies_at, prediction.dies_of = 4, 11


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (result_wrong, r"step 1 madvise.*: expected the result -22 .*, saw 0 \["),
        (flags_wrong, r"step 1 .*: expected the mappings"),
        (edge_wrong, r"step 3 touch.*: expected the mappings"),
        (content_wrong, r"page 0: expected present, what .* wrote to page 1; saw .*page 0 \["),
        (presence_wrong, r"page 1: expected present; saw not present"),
        (child_wrong, r"step 2 fork: page 3: expected"),
        (death_wrong, r"step 3 .*: expected to be killed by a signal, went on"),
    ],
)
def test_a_wrong_expectation_shows(
    host: Target, tmp_path: Path, spoil: Callable[[Prediction], None], said: str
) -> None:
    prediction = predict(PROGRAM, host.facts, observe=int(LOOK))
    assert run(c_source(PROGRAM, prediction, TOLD), host, tmp_path).code == 0
    spoil(prediction)
    ran = run(c_source(PROGRAM, prediction, TOLD), host, tmp_path)
    assert ran.code == 1
    assert re.search(said, ran.said), ran.said
    assert ran.said.endswith("THE FAULT SHOWS\n")


def test_a_wrong_expectation_of_the_second_process_shows(host: Target, tmp_path: Path) -> None:
    advice = BY_NAME["COLD"].value
    vec = (c.IoRange(page_address(0), PAGE),)
    program = Program(LAYOUT, (c.ProcessMadvise(advice, vec, FD_PIDFD_REMOTE),))
    prediction = predict(program, host.facts, observe=int(LOOK))
    prediction.snapshots[-1].pages[2] += 1
    ran = run(c_source(program, prediction, TOLD), host, tmp_path)
    assert ran.code == 1
    assert "the second process: page 2: expected" in ran.said


def test_what_the_layout_needs_and_does_not_get_is_no_fault(host: Target, tmp_path: Path) -> None:
    prediction = predict(PROGRAM, host.facts, observe=int(LOOK))
    prediction.results[0] = -12
    lacking = run(c_source(PROGRAM, prediction, TOLD), host, tmp_path)
    assert lacking.code == 4
    assert "without it nothing can be told" in lacking.said
    found = run(c_source(PROGRAM, prediction, TOLD._replace(in_layout=True)), host, tmp_path)
    assert found.code == 1


def single(tail: int = 0) -> c.MadviseRanges:
    arm = Single(Range(page_address(0), PAGE, DONTNEED))
    return c.MadviseRanges(ControlFields(arm, tail=tail))


def test_a_kernel_without_the_call_lacks_what_is_needed(host: Target, tmp_path: Path) -> None:
    if host.facts.ranges_call is RangesCall.KERNEL:
        pytest.skip("this kernel has madvise_ranges()")
    facts = msgspec.structs.replace(host.facts, ranges_call=RangesCall.KERNEL)
    ran = run(c_reproducer(Program(LAYOUT, (single(),)), facts, TOLD), host, tmp_path)
    assert ran.code == 4
    assert "this kernel does not have the call" in ran.said


def test_what_cannot_be_said_in_c_is_refused_in_one_line(host: Target) -> None:
    ilp32 = Program(LAYOUT, (msgspec.structs.replace(madvise(0, 1), ilp32=True),))
    with pytest.raises(NotInC, match=r"^a call is made as a 32-bit process makes it; .*$"):
        c_reproducer(ilp32, host.facts, TOLD)
    facts = msgspec.structs.replace(host.facts, change_user=False)
    other = Program(LAYOUT, (madvise(0, 1),), rights=Rights.OTHER_USER)
    with pytest.raises(NotInC, match="the right to become another user"):
        c_reproducer(other, facts, TOLD)


def found(facts: KernelFacts | None) -> Finding:
    difference = Difference(
        2, "result.x", "-EINVAL", "0", "step 1: kernel */ -EINVAL", "madvise-effect"
    )
    verdict = Verdict(VerdictKind.DIVERGENCE, (difference,))
    return Finding("a/b/c/d/e", verdict, PROGRAM, 5, 5, "host", "6.1", facts=facts)


def test_the_comment_tells_the_finding_and_cannot_be_ended_early(
    host: Target, tmp_path: Path
) -> None:
    text = c_of_finding(found(host.facts))
    head, _, _ = text.partition("#define")
    assert "Expected: 0" in head
    assert "Seen: -EINVAL" in head
    assert "madvise-effect: " in head
    assert head.count("*/") == 1
    assert run(text, host, tmp_path).code == 0
    with pytest.raises(NotInC, match="were not kept"):
        c_of_finding(found(None))


def test_of_a_call_on_everything_only_that_is_judged_which_this_process_decides() -> None:
    with open_target("shim") as shim:
        step = c.MadviseRanges(ControlFields(All(BY_NAME["RANDOM"].value)))
        program = Program(LAYOUT, (step,), whole=True)
        (outcome,) = shim.run_batch([program], LOOK)
        for outside in (outcome.outside, ()):
            text = c_reproducer(program, shim.facts, TOLD, LOOK, outside)
            assert "stats->nr_gaps" in text
            assert "stats->nr_pages_advised" not in text
            assert '"rd wr mr mw me rr ac"' in text


def test_every_part_can_stand_in_a_file_with_what_it_needs() -> None:
    for name, part in parts().items():
        names = closed([name])
        assert names.index(name) >= max([names.index(needed) for needed in part.needs], default=0)


def test_every_advice_and_every_struct_builds_with_another_standard(tmp_path: Path) -> None:
    """What a C library defines differs with the standard that is asked for."""
    with open_target("shim") as shim:
        text = c_reproducer(Program(LAYOUT, (single(), madvise(0, 1))), shim.facts, TOLD)
    source = tmp_path / "x.c"
    source.write_text(text, encoding="ascii")
    for flags in (("-std=gnu99", "-O0"), ("-std=gnu2x", "-O2")):
        command = ["cc", *FLAGS, *flags, "-o", str(tmp_path / "x"), str(source)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def test_structs_at_the_start_of_pages_of_the_layout_build(tmp_path: Path) -> None:
    first = page_address(0)
    ranges = (Range(page_address(0), PAGE, DONTNEED),) * 2
    step = c.MadviseRanges(
        ControlFields(Multi(ranges)), first, page_address(1), page_address(2), page_address(3)
    )
    process = c.ProcessMadvise(DONTNEED, (c.IoRange(first, PAGE),), vec_at=first)
    with open_target("shim") as shim:
        text = c_reproducer(Program(LAYOUT, (step, process)), shim.facts, TOLD)
    source = tmp_path / "x.c"
    source.write_text(text, encoding="ascii")
    build_c(source, tmp_path / "x")


def test_a_source_that_does_not_build_is_told_with_what_the_compiler_said(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text("int main(void) { int unused; return 0; }\n", encoding="ascii")
    with pytest.raises(TargetError, match="unused"):
        build_c(source, tmp_path / "x")


@pytest.mark.parametrize(
    ("number", "step"), [(18, single()), (2, single(tail=1))], ids=["statistics", "result"]
)
def test_it_shows_a_planted_fault_in_a_guest_and_not_on_the_clean_kernel(
    tmp_path: Path, number: int, step: c.MadviseRanges
) -> None:
    codes = []
    for name in (clean_target("uml"), f"uml:mutant={number}"):
        try:
            target = open_target(name)
        except TargetError as error:
            pytest.skip(str(error))
        with target:
            text = c_reproducer(Program(LAYOUT, (step,)), target.facts, TOLD)
            codes.append(run(text, target, tmp_path).code)
    assert codes == [0, 1]


def test_a_program_that_lies_below_the_layout_says_how_to_link_it(
    host: Target, tmp_path: Path
) -> None:
    source = tmp_path / "x.c"
    source.write_text(c_reproducer(PROGRAM, host.facts, TOLD), encoding="ascii")
    binary = tmp_path / "x"
    command = ["cc", *FLAGS, "-static", "-no-pie", "-o", str(binary), str(source)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    done = subprocess.run([str(binary)], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "-Wl,-Ttext-segment=" in done.stdout
