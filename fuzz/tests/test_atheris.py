"""libFuzzer around programs: what goes in and out of the queue, and the loop itself where atheris
is installed (`pip install 'madvet[atheris]'`)."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.program.program import Program
from conformance.program.text import dumps, loads
from conformance.program.text_table import ProgramTextError
from conformance.program.validate import validate
from conformance.program.wire import Observe
from conformance.target.registry import open_target
from fuzz.engine import dictionary, engines
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.engines import ENGINES, NEEDS, Need
from fuzz.engine.examine import Examiner
from fuzz.engine.fuzz_properties import NoProperty, one_input
from fuzz.engine.libfuzzer import DICTIONARY, EDGES, Inputs, counters_of, seed_folder
from fuzz.generate.options import DEFAULT
from fuzz.generate.programs import ProgramSource
from fuzz.guidance.ahead import BATCH, Ahead, Counters, Mutant
from fuzz.guidance.program_bytes import ProgramBytes

ROOT = Path(__file__).resolve().parents[2]
needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not installed: pip install 'madvet[atheris]'"
)
OPTIONS = CampaignOptions(targets=("shim",), seed=7, workers=1)


@given(st.integers(0, 1 << 32))
def test_a_program_has_one_form_and_comes_back_from_it(seed: int) -> None:
    program = ProgramSource(seed).program(0)
    both = ProgramBytes(DEFAULT, False)
    assert both.program(both.data(program)) == program
    assert both.data(both.program(both.data(program))) == both.data(program)


@given(st.binary(max_size=300) | st.binary(max_size=99).map(lambda data: b"format" + data))
def test_every_string_of_bytes_is_a_program_that_may_be_run(data: bytes) -> None:
    program = ProgramBytes(DEFAULT, False).program(data)
    assert not validate(program)


def test_a_text_that_was_cut_is_read_as_choices() -> None:
    both = ProgramBytes(DEFAULT, False)
    data = both.data(ProgramSource(3).program(1))
    assert both.program(data[:-9]) != both.program(data)


class Recorder:
    """Counters of a program: the length of its text. Batches are noted."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, programs: list[Program]) -> list[Counters]:
        self.batches.append(len(programs))
        return [(len(dumps(program)),) for program in programs]


def mutants() -> list[Mutant]:
    source = ProgramSource(11)
    return [Mutant(dumps(p).encode(), p) for p in map(source.program, range(5 * BATCH))]


def test_what_the_fuzzer_gets_was_run_in_batches_with_its_own_counters() -> None:
    recorder = Recorder()
    ahead = Ahead(recorder.run)
    made = mutants()
    left = iter(made)
    for number in range(3 * BATCH):
        data = ahead.exchange(lambda: next(left))
        assert data == made[number].data  # none lost, none twice
        assert ahead.counters(data, lambda _: pytest.fail("it was run")) == (len(data),)
    assert recorder.batches == [BATCH] * 3


def test_what_was_not_run_ahead_is_run_alone() -> None:
    recorder = Recorder()
    ahead = Ahead(recorder.run)
    one, two, *_ = mutants()
    ahead.preload([one])
    assert ahead.counters(one.data, lambda _: one.program) == (len(one.data),)
    assert recorder.batches == [1]
    assert ahead.counters(two.data, lambda _: two.program) == (len(two.data),)
    assert recorder.batches == [1, 1]


def test_what_others_have_found_is_run_together() -> None:
    recorder = Recorder()
    news = [mutants()[:40]]
    ahead = Ahead(recorder.run, lambda: news.pop() if news else [])
    made = mutants()[:41]
    decode = {one.data: one.program for one in made}.__getitem__
    for one in made:
        assert ahead.counters(one.data, decode) == (len(one.data),)
    assert recorder.batches == [40, 1]


def test_news_are_what_this_worker_has_neither_made_nor_read(tmp_path: Path) -> None:
    inputs = Inputs(OPTIONS, False, 0)
    mine, theirs, later, *_ = mutants()
    inputs.bytes.data(mine.program)
    for name, one in (("a", mine), ("b", theirs)):
        (tmp_path / name).write_bytes(one.data)
    assert inputs.news(tmp_path) == [theirs]
    (tmp_path / "c").write_bytes(later.data)
    (tmp_path / "a").unlink()
    assert inputs.news(tmp_path) == [later]
    assert inputs.news(tmp_path) == []


def test_a_program_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ProgramBytes(DEFAULT, False)
    one, two, *_ = mutants()
    assert both.data(one.program) == one.data
    assert both.program(two.data) == two.program
    monkeypatch.setattr("fuzz.guidance.program_bytes.loads", lambda *_: pytest.fail("read again"))
    assert both.program(one.data) is one.program
    assert both.program(two.data) == two.program
    assert both.knows(one.data)


def test_what_the_fuzzer_never_runs_is_forgotten() -> None:
    ahead = Ahead(Recorder().run)
    left = iter(mutants() * 3)
    for _ in range(12 * BATCH):
        ahead.exchange(lambda: next(left))
    assert len(ahead._told) <= 4 * BATCH


def test_mutants_are_programs_and_depend_on_the_fuzzers_number() -> None:
    inputs = Inputs(OPTIONS, False, 0)
    (base, *_) = mutants()
    seen = {inputs.mutant(base.data, 1 << 16, number).data for number in range(200)}
    assert len(seen) > 150
    for data in seen:
        assert not validate(loads(data, "mutant").program)
    again = Inputs(OPTIONS, False, 0)
    assert {again.mutant(base.data, 1 << 16, number).data for number in range(200)} == seen
    other = Inputs(OPTIONS, False, 1024)  # another worker
    assert {other.mutant(base.data, 1 << 16, number).data for number in range(200)} != seen


def test_a_mutant_is_never_longer_than_the_fuzzer_has_room_for() -> None:
    inputs = Inputs(OPTIONS, False, 0)
    one, two, *_ = mutants()
    for number in range(100):
        assert len(inputs.mutant(one.data, 400, number).data) <= 400
        assert len(inputs.child(one.data, two.data, 400, number).data) <= 400


def test_the_model_guides_where_the_kernel_cannot_tell() -> None:
    source = ProgramSource(5)
    programs = [source.program(number) for number in range(40)]
    with open_target("shim") as target:
        examiner = Examiner(target, cite=True)
        examiner.start(programs, Observe.COVER_EDGES)
        sets = {frozenset(counters_of(one)) for one in examiner.finish()}
    assert len(sets) > 20
    for numbers in sets:
        assert all(EDGES <= number < 2 * EDGES for number in numbers)


def test_seeds_are_inputs_as_they_are() -> None:
    inputs = Inputs(OPTIONS, True, 0)
    found = inputs.of_folders([seed_folder()])
    assert len(found) > 150
    whole = [m for m in found if loads(m.data, "seed", True).program == m.program]
    assert len(whole) == len(found)


def test_the_dictionary_is_as_the_tables_say() -> None:
    assert DICTIONARY.read_text("ascii") == dictionary.text()
    for line in dictionary.text().splitlines()[1:]:
        assert re.fullmatch(r'"(?:[^"\\]|\\["\\]|\\x[0-9A-F]{2})+"', line), line


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    assert Need("no_such_module_at_all", "atheris").missing().endswith("'madvet[atheris]'")
    assert Need("json", "x").missing() == ""
    assert set(NEEDS) <= set(ENGINES)


def test_every_engine_that_can_be_had_is_there() -> None:
    for name in ENGINES:
        if name not in NEEDS or not NEEDS[name].missing():
            assert callable(engines.engine_class(name).run)


@pytest.mark.parametrize(
    "name", ["no.such.module:test", "json:loads", "conformance.program.text:", "x"]
)
def test_what_is_no_property_is_told(name: str) -> None:
    with pytest.raises(NoProperty):
        one_input(name)


def is_text(path: Path) -> bool:
    try:
        loads(path.read_bytes(), path.name)
    except ProgramTextError:
        return False
    return True


def harness(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"fuzz.engine.{module}", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@needs_atheris
def test_the_plain_harness_keeps_what_reached_something_new_as_programs(tmp_path: Path) -> None:
    done = harness(
        "fuzz_programs", "--target=shim", "-runs=700", f"-dict={DICTIONARY}", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kept = list(tmp_path.iterdir())
    assert len(kept) > 20
    assert sum(map(is_text, kept)) > len(kept) // 2  # others: choices, and changed bytes


@needs_atheris
def test_a_campaign_by_atheris_finds_what_is_planted(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "ci.cli.main", "fuzz", "--target", "shim", "--engine", "atheris",
            "--programs", "2048", "--canary", "--seed", "1", "--workers", "1", "--quiet",
            "--out", str(tmp_path / "out"), "--corpus", str(tmp_path / "corpus"),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "workers that died" not in done.stdout
    assert "2,048 programs" in done.stdout
    assert list((tmp_path / "out" / "findings").glob("*.toml"))
    assert sum(map(is_text, (tmp_path / "corpus").iterdir())) > 20


@needs_atheris
def test_the_property_harness_finds_what_a_property_forbids(tmp_path: Path) -> None:
    test = f"{__name__}:planted_property"
    done = harness(
        "fuzz_properties", test, "-runs=200000", f"-artifact_prefix={tmp_path}/", str(tmp_path)
    )
    assert "planted" in done.stdout + done.stderr
    assert done.returncode != 0
    assert list(tmp_path.glob("crash-*"))


@given(st.binary(max_size=8))
def planted_property(data: bytes) -> None:
    """Not collected: what the harness is pointed at."""
    assert not data.startswith(b"\x01"), "planted"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fuzz_programs", "--target=moon"), 2, "moon"),
        (("fuzz_properties", "json:loads"), 2, "no test under Hypothesis"),
        (("fuzz_properties",), 2, "name a property"),
    ],
)
@needs_atheris
def test_bad_arguments_are_told_in_one_line(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = harness(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
