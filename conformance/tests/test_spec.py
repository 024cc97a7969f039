"""Requirements: rows are whole, ids are kept. What cites and proves them is another test."""

import re
from pathlib import Path

import pytest

from conformance.model.predict import _USUAL
from conformance.oracle import compare_results, rules
from conformance.spec import cite
from conformance.spec.registry import FOLDER, RegistryError, load, read_chapter, text_of
from conformance.spec.requirement import Surface

SPEC_IDS = """
abi-layout abi-reserved-zero abi-enum-range abi-ignored-bytes abi-compat abi-writes-confined
version-first version-unknown version-old-caller version-absent version-sized
validation-order option-conflicts multi-count pidfd-ignored range-address
walk-order walk-as-madvise gap-counted gap-stop single-mapping error-ends error-ignored
error-partial-stays all-walk all-advices
stats-when stats-advised stats-skipped stats-gaps stats-first-error stats-per-range stats-fault
stats-single-fetch
remote-access remote-advices remote-addresses
default-advices default-future default-inherit default-on-failure
v2-equivalent flags-unknown flags-skip-errors flags-gaps flags-all flags-default flags-return
""".split()  # sections 1 and 3 of the specification: kept for ever


def test_every_id_of_the_specification_has_its_row() -> None:
    assert set(SPEC_IDS) <= load().keys()


def test_every_id_in_the_tables_of_model_and_oracle_is_known() -> None:
    tables = {
        *_USUAL.values(), *compare_results.STATS_RULES.values(), *rules.PAGE_RULES.values(),
        rules.PAGES_KEPT, rules.FLAGS_RULE, rules.SPLIT_RULE, rules.MERGE_RULE, rules.FORK_RULE,
    }  # fmt: skip
    assert tables <= load().keys()


def test_text_is_one_paragraph_of_sentences_without_what_changes() -> None:
    for row in load().values():
        assert row.text[0].isupper() or row.text[0].islower(), row.id
        assert row.text.endswith("."), row.id
        assert "\n" not in row.text, row.id
        assert not re.search(r"0x[0-9a-f]{9,}", row.text), row.id


def test_every_surface_has_requirements() -> None:
    spoken_of = {surface for row in load().values() for surface in row.surfaces}
    assert spoken_of == set(Surface)


def test_a_release_is_given_where_a_rule_is_younger_than_the_oldest_kernel() -> None:
    for ident in ("madvise-guard-content", "madvise-sealed", "remote-pidfd-self"):
        assert load()[ident].since, ident


def test_the_text_of_an_id() -> None:
    assert "counted once" in text_of("gap-counted")
    assert text_of("no-such-id") == ""


ROW = '[[requirement]]\nid = "a-b"\ntext = "T."\nsource = "S"\nsurfaces = ["madvise"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace("a-b", "A b"), "is no id"),
        (ROW.replace('"T."', '" "'), "lacks its text"),
        (ROW.replace('["madvise"]', "[]"), "lacks its text, source or surfaces"),
        (ROW.replace('"madvise"', '"brk"'), "Invalid enum value 'brk'"),
        (ROW + 'sinse = "6.1"\n', "unknown field `sinse`"),
        (ROW + 'since = "soon"\n', "'soon' is no release"),
        (ROW + "since = 6\n", "Expected `str`"),
        ("[requirement]\n", "Expected `array`"),
        ("[[requirement\n", "at line 1"),
    ],
)
def test_a_wrong_chapter_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "chapter.toml"
    path.write_text(text)
    with pytest.raises(RegistryError) as error:
        read_chapter(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_an_id_in_two_chapters_is_an_error(tmp_path: Path) -> None:
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text(ROW)
    with pytest.raises(RegistryError, match=r"two\.toml: the id a-b stands twice"):
        load(tmp_path)


def test_an_empty_folder_is_no_specification(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="holds no chapters"):
        load(tmp_path)
    assert FOLDER.is_dir()


def test_citing_notes_the_id_and_the_last_one() -> None:
    cite.forget_cited()
    assert cite.last_cited() == ""
    assert cite.cite("gap-counted") == "gap-counted"
    assert cite.last_cited() == "gap-counted"
    assert "gap-counted" in cite.HITS
    cite.forget_cited()
    assert cite.last_cited() == ""
    assert "gap-counted" in cite.HITS
    cite.HITS.clear()
    cite.met("gap-stop")
    assert (cite.last_cited(), cite.HITS) == ("", {"gap-stop"})
