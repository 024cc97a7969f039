"""The ledger: strict to read, narrow in what it excuses."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from conformance.model.predict import predict
from conformance.oracle.identity import Identity, identify
from conformance.oracle.judge import judge
from conformance.oracle.ledger import FOLDER, Ledger, LedgerError, load_ledger, parse_ledger
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program.call import IoRange, Madvise, ProcessMadvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.tests.bad_outcome import FACTS, as_predicted

CORPUS = FOLDER.parent
GOOD = """format = 1
[[known]]
id = "some-id"
reason = "because"
reference = "somewhere"
identity = ["madvise/FREE/*/madvise-free-content/page.*"]
since = "6.13"
until = "6.18"
"""


def one(**changes: str) -> str:
    """GOOD with some lines replaced; "" leaves a line out."""
    lines = []
    for line in GOOD.splitlines():
        key = line.split(" = ")[0]
        if key in changes:
            line = changes[key] and f"{key} = {changes[key]}"
        lines.append(line)
    extra = [f"{key} = {value}" for key, value in changes.items() if f"\n{key} = " not in GOOD]
    return "\n".join([*lines, *extra, ""])


def found(identity: Identity) -> tuple[Program, Verdict]:
    """A program and a verdict that have this identity."""
    difference = Difference(1, identity.difference, "k", "m", "words", identity.rule)
    program = Program(
        (Mapping(Kind.ANON, 0, 1),), (Madvise(page_address(0), PAGE, 8),)
    )  # fmt: skip
    verdict = Verdict(VerdictKind.DIVERGENCE, (difference,))
    assert identify(program, verdict) == identity
    return program, verdict


FREE = Identity("madvise", "FREE", "anon", "madvise-free-content", "page.present")


def test_the_ledger_of_the_corpus_reads_and_its_reproducers_are_there() -> None:
    ledger = load_ledger()
    assert ledger.entries
    for entry in ledger.entries:
        if entry.reproducer:
            data = (CORPUS / entry.reproducer).read_bytes()
            assert loads(data, entry.reproducer).finding is not None


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("6.12.117", False),
        ("6.13", True),
        ("6.13.0-rc1", True),
        ("6.18.44-cloud", True),
        ("6.19", False),
        ("7.3.4", False),
    ],
)
def test_an_entry_excuses_only_the_releases_it_names(release: str, known: bool) -> None:
    ledger = Ledger(tuple(parse_ledger(GOOD.encode(), "ledger")))
    match = ledger.match(*found(FREE), replace(FACTS, release=release))
    assert (match is not None) == known


def test_bounds_may_name_a_stable_release() -> None:
    text = one(since='"6.12.55"', until='"6.12.60"')
    ledger = Ledger(tuple(parse_ledger(text.encode(), "ledger")))
    for release, known in (("6.12.54", False), ("6.12.55", True), ("6.12.60", True),
                           ("6.12.61", False), ("6.13", False)):  # fmt: skip
        match = ledger.match(*found(FREE), replace(FACTS, release=release))
        assert (match is not None) == known, release


def test_an_entry_may_ask_for_facts_instead() -> None:
    text = one(since="", until="", facts="{ guard_flag = true, fault_around_pages = 16 }")
    ledger = Ledger(tuple(parse_ledger(text.encode(), "ledger")))
    assert ledger.match(*found(FREE), FACTS) is not None
    assert ledger.match(*found(FREE), replace(FACTS, guard_flag=False)) is None


@pytest.mark.parametrize(
    "identity",
    [
        Identity("madvise", "FREE", "anon", "madvise-free-content", "vma.split"),
        Identity("madvise", "FREE", "anon", "madvise-content-kept", "page.present"),
    ],
)
def test_what_no_pattern_matches_is_not_excused(identity: Identity) -> None:
    ledger = Ledger(tuple(parse_ledger(GOOD.encode(), "ledger")))
    assert ledger.match(*found(identity), FACTS) is None


@pytest.mark.parametrize(
    ("log", "fails", "known"),
    [
        ("in do_op_one_page\nin buffer_op", True, True),
        ("in do_op_one_page\nin buffer_op", False, False),
        ("in buffer_op", True, False),
        ("", True, False),
    ],
)
def test_an_entry_may_ask_for_words_of_the_log_and_a_failed_allocation(
    log: str, fails: bool, known: bool
) -> None:
    text = one(log='["do_op_one_page", "buffer_op"]', fail_nth="true")
    ledger = Ledger(tuple(parse_ledger(text.encode(), "ledger")))
    program, verdict = found(FREE)
    (step,) = program.steps
    program = replace(program, steps=(replace(step, fail_nth=int(fails)),))
    match = ledger.match(program, replace(verdict, log=log), FACTS)
    assert (match is not None) is known


def test_a_conformant_verdict_matches_nothing() -> None:
    ledger = Ledger(tuple(parse_ledger(GOOD.encode(), "ledger")))
    program, _ = found(FREE)
    assert ledger.match(program, Verdict(VerdictKind.CONFORMANT), FACTS) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 1\nknwon = []\n", "knwon: is not known here"),
        ("format = 2\n", "only format = 1"),
        ("known = []\n", "format: is missing"),
        ("format = 1\nknown = 3\n", "must be an array"),
        (one(reason=""), "ledger:2: known 1: reason: is missing"),
        (one(reason='" "'), "ledger:4: known 1: reason: is empty"),
        (one(reference="7"), "ledger:5: known 1: reference: must be a string"),
        (one(id='"Some Id"'), "ledger:3: known 1: id: is"),
        (one(identity="[]"), "ledger:6: known 1: identity: must hold at least one"),
        (one(identity='["*"]'), "must have 5 parts"),
        (one(identity='"a/b/c/d/e"'), "must be an array"),
        (one(since='"six"'), 'ledger:7: known 1: since: is "six"'),
        (one(since='"6.19"'), "ledger:8: known 1: until: 6.18 is before since = 6.19"),
        (one(since="", until=""), "no kernel is for ever"),
        (one(facts="{ weather = true }"), 'knows no fact "weather"'),
        (one(facts="{ guard_flag = 1 }"), "guard_flag is a bool, not a int"),
        (one(facts="{}"), "must be a table such as"),
        (one(surprise="1"), "surprise: is not known here"),
        ("format = 1\n[[known\n", "not TOML"),
        (GOOD + GOOD.removeprefix("format = 1\n") * 1000, "allowed: at most 1000"),
    ],
)
def test_a_wrong_ledger_is_told_with_file_line_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(LedgerError) as error:
        parse_ledger(text.encode(), "ledger")
    assert message in str(error.value)


def test_bytes_that_are_no_text_are_told() -> None:
    with pytest.raises(LedgerError, match="not UTF-8"):
        parse_ledger(b"format = 1\n\xff", "ledger")


def test_the_same_id_twice_is_an_error_even_in_two_files(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(LedgerError, match=r"b\.toml: the id some-id is taken by .*a\.toml"):
        load_ledger(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no such folder"):
        load_ledger(tmp_path / "nowhere")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(LedgerError, match=r"folder\.toml: cannot be read"):
        load_ledger(tmp_path)


# The first entry: which outcomes it excuses, and which it must not.


@pytest.mark.parametrize(
    ("call", "result", "known"),
    [
        (ProcessMadvise(26), 0, True),
        (ProcessMadvise(26, (IoRange(page_address(0), 0),)), 0, True),
        (ProcessMadvise(26, (IoRange(page_address(0), PAGE),)), PAGE, False),
        (ProcessMadvise(26), -1, False),
        (ProcessMadvise(26, flags=1), 0, False),
    ],
)
def test_the_empty_vector_is_excused_and_nothing_else(
    call: ProcessMadvise, result: int, known: bool
) -> None:
    program = Program((Mapping(Kind.ANON, 0, 2),), (call,))
    prediction = predict(program, FACTS)
    outcome = as_predicted(prediction)
    verdict = judge(program, replace(outcome, results=(*outcome.results[:-1], result)), prediction)
    assert verdict.bad
    entry = load_ledger().match(program, verdict, FACTS)
    assert (entry.id if entry else None) == ("empty-vector-advice" if known else None)
    assert load_ledger().match(program, verdict, replace(FACTS, release="7.3.4")) is None
