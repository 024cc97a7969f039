"""Configurations of kernels: read strictly, merged, and never dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.kernels.catalogue import CATALOGUE
from ci.kernels.configuration import (
    FragmentError,
    Missed,
    Wish,
    missed,
    read_fragments,
    with_wishes,
)
from conformance.target.guest_images import FLAVOURS


def fragment(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.config"
    path.write_text(text)
    return path


def test_a_later_fragment_wins(tmp_path: Path) -> None:
    one = fragment(tmp_path, "one", "# Essential\nCONFIG_A=y\n# why\n# Wanted\nCONFIG_B=n\n")
    two = fragment(tmp_path, "two", '# Wanted\n\nCONFIG_A=n\nCONFIG_C="x y"\n')
    assert read_fragments([one]) == {"CONFIG_A": Wish("y", True), "CONFIG_B": Wish("n", False)}
    assert read_fragments([one, two])["CONFIG_A"] == Wish("n", False)
    assert read_fragments([two])["CONFIG_C"] == Wish('"x y"', False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# Wanted\nCONFIG_A\n", "one.config:2: neither"),
        ("# Wanted\nA=y\n", "one.config:2: neither"),
        ("CONFIG_A=y\n", "one.config:1: stands under neither"),
    ],
)
def test_what_is_no_fragment_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FragmentError, match=words):
        read_fragments([fragment(tmp_path, "one", text)])


def test_wishes_replace_what_a_config_says() -> None:
    before = "#\n# Automatic\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=7\n"
    wishes = {
        "CONFIG_A": Wish("n", False),
        "CONFIG_B": Wish("m", False),
        "CONFIG_D": Wish("1", True),
    }
    assert with_wishes(before, wishes) == (
        "#\n# Automatic\nCONFIG_C=7\n# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_D=1\n"
    )


def test_what_was_not_met_is_told() -> None:
    wishes = {
        "CONFIG_MET": Wish("y", True),
        "CONFIG_LOST": Wish("y", True),
        "CONFIG_OTHER": Wish("4", False),
        "CONFIG_KEPT": Wish("n", False),
        "CONFIG_OFF": Wish("n", True),
    }
    got = "CONFIG_MET=y\nCONFIG_OTHER=8\nCONFIG_KEPT=y\n# CONFIG_OFF is not set\n"
    assert missed(wishes, got) == (
        Missed("CONFIG_LOST", "y", "n", True),
        Missed("CONFIG_OTHER", "4", "8", False),
        Missed("CONFIG_KEPT", "n", "y", False),
    )
    assert missed(wishes, got)[1].words == "CONFIG_OTHER=4 (got 8)"


@pytest.mark.parametrize("name", FLAVOURS)
def test_every_flavour_reads_and_has_the_call(name: str) -> None:
    flavour = CATALOGUE[name]
    wishes = read_fragments(flavour.fragment_paths)
    assert wishes["CONFIG_MADVISE_RANGES"] == Wish("y", True)
    assert wishes["CONFIG_SLUB_TINY"].value == "n"
    assert ("CONFIG_MADVISE_RANGES_MUTANTS" in wishes) == name.endswith("-mutants")
    assert ("CONFIG_KASAN" in wishes) == (name != "lean")
    assert ("CONFIG_UBSAN" in wishes) == name.startswith("debug")
    assert "KCOV_INSTRUMENT_madvise.o=y" in flavour.variables
    assert ("KCOV_INSTRUMENT_vma.o=y" in flavour.variables) == (name != "lean")


def test_a_mutant_flavour_differs_by_its_faults_only() -> None:
    for name in ("uml", "debug"):
        plain = read_fragments(CATALOGUE[name].fragment_paths)
        faulty = read_fragments(CATALOGUE[f"{name}-mutants"].fragment_paths)
        assert set(faulty) - set(plain) == {"CONFIG_MADVISE_RANGES_MUTANTS"}
        assert all(faulty[symbol] == wish for symbol, wish in plain.items())
