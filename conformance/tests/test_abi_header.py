"""madvise_abi.h: current, and what compilers make of it is what Python computes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.abi import control_v1 as v1
from conformance.abi.advice import ADVICES, BY_NAME
from conformance.abi.emit_c import HEADER_PATH, NOTES, header, main
from conformance.abi.layout import Bitfield, Field, StructLayout, Union
from conformance.abi.scalars import DataModel

ROOT = Path(__file__).parents[2]
FOLDER = (ROOT / HEADER_PATH).parent
MODELS = {"-m64": DataModel.LP64, "-m32": DataModel.ILP32}
# A compiler needs no C library for this, so that -m32 works wherever it knows the architecture.
COMMAND = ("cc", "-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-c")

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


def compiles(flag: str, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What the compiler says of a source that includes the header."""
    source = folder / "probe.c"
    source.write_text(f'#include "madvise_abi.h"\n{text}\n', encoding="ascii")
    return subprocess.run(
        [*COMMAND, flag, f"-I{FOLDER}", str(source), "-o", str(folder / "probe.o")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def knows(flag: str, folder: Path) -> bool:
    """Can this machine's compiler make code of that kind at all?"""
    source = folder / "empty.c"
    source.write_text("int nothing;\n", encoding="ascii")
    command = [*COMMAND, flag, str(source), "-o", str(folder / "empty.o")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=MODELS)
def flag(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each data model that the compiler knows."""
    value = str(request.param)
    if not knows(value, tmp_path):
        pytest.skip(f"cc {value} makes no code on this machine")
    return value


def checks(layout: StructLayout, model: DataModel) -> Iterator[str]:
    """Every size, offset, width and signedness of a struct as static assertions."""
    tag = f"struct {layout.tag}"
    yield f"sizeof({tag}) == {layout.size(model)}"
    yield f"_Alignof({tag}) == {layout.align(model)}"
    for placed in layout.placed(model):
        if placed.bit is not None:
            continue  # C has no address for it; test_abi_bytes looks at its bytes
        member = f"(({tag} *)0)->{placed.path}"
        yield f"__builtin_offsetof({tag}, {placed.path}) == {placed.offset}"
        yield f"sizeof({member}) == {placed.size}"
        yield f"((__typeof__({member}))-1 < (__typeof__({member}))1) == {int(placed.signed)}"


def test_committed_header_is_current() -> None:
    committed = (ROOT / HEADER_PATH).read_text(encoding="ascii")
    assert committed == header(), "run `python -m conformance.abi.emit_c`"


def test_main_writes_the_file_named(tmp_path: Path) -> None:
    assert main([str(tmp_path / "abi.h")]) == 0
    assert (tmp_path / "abi.h").read_text(encoding="ascii") == header()


def test_sizes_are_those_of_the_specification() -> None:
    sizes = {
        layout.tag: (layout.size(DataModel.LP64), layout.size(DataModel.ILP32))
        for layout in v1.STRUCTS
    }
    assert sizes == {
        "madvise_range": (24, 12),
        "madvise_ranges": (16, 8),
        "madvise_range_stats": (32, 16),
        "madvise_ranges_stats": (72, 36),
        "madvise_ranges_all": (8, 8),
        "madvise_ranges_control": (48, 32),
    }
    flags = {
        model: {p.path: (p.offset, p.bit) for p in v1.CONTROL.placed(model) if p.bit is not None}
        for model in DataModel
    }
    names = ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap")
    assert flags == {
        DataModel.LP64: {name: (44, bit) for bit, name in enumerate(names)},
        DataModel.ILP32: {name: (28, bit) for bit, name in enumerate(names)},
    }


@needs_compiler
def test_compiler_agrees_on_every_offset_and_size(flag: str, tmp_path: Path) -> None:
    model = MODELS[flag]
    lines = [
        f'_Static_assert({check}, "{layout.tag}");'
        for layout in v1.STRUCTS
        for check in checks(layout, model)
    ]
    assert len(lines) > 100
    done = compiles(flag, tmp_path, "\n".join(lines))
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_header_refuses_a_layout_that_differs(flag: str, tmp_path: Path) -> None:
    """The assertions inside the header are alive: another packing does not compile."""
    done = compiles(flag, tmp_path, "")
    assert done.returncode == 0, done.stderr
    source = tmp_path / "packed.c"
    source.write_text('#pragma pack(1)\n#include "madvise_abi.h"\n', encoding="ascii")
    packed = subprocess.run(
        [*COMMAND, flag, f"-I{FOLDER}", str(source), "-o", str(tmp_path / "packed.o")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert packed.returncode != 0
    assert "size of struct" in packed.stderr


@needs_compiler
def test_numbers_and_advice_rows(flag: str, tmp_path: Path) -> None:
    rows = "".join(
        f'_Static_assert(MADV_{a.name} == {a.value}, "{a.name}");\n'
        f"_Static_assert(USES_{a.name} == ({int(a.remote)} | {int(a.discard)} << 1 |"
        f' {int(a.whole)} << 2 | {int(a.default)} << 3), "{a.name}");\n'
        for a in ADVICES
    )
    text = f"""
enum {{
#define ROW(name, value, uses) USES_##name = (uses),
	MADVISE_ADVICES(ROW)
}};
{rows}
_Static_assert(MADVISE_RANGES_FLAGS_KNOWN == {v1.FLAGS_KNOWN}, "flags");
_Static_assert(MADVISE_RANGES_IS_REMOTE == {v1.FLAG_IS_REMOTE}, "flags");
_Static_assert(MADVISE_RANGES_IGNORE_ERRORS == {v1.FLAG_IGNORE_ERRORS}, "flags");
_Static_assert(MADVISE_RANGES_SINGLE_MAPPING_ONLY == {v1.FLAG_SINGLE_MAPPING_ONLY}, "flags");
_Static_assert(MADVISE_RANGES_STOP_ON_GAP == {v1.FLAG_STOP_ON_GAP}, "flags");
_Static_assert(MADVISE_RANGE_SINGLE == 0 && MADVISE_RANGE_MULTI == 1, "types");
_Static_assert(MADVISE_RANGE_ALL == 2 && __NR_madvise_ranges == 473, "types");
"""
    done = compiles(flag, tmp_path, text)
    assert done.returncode == 0, done.stderr


@needs_compiler
@pytest.mark.parametrize(
    "order", [("madvise_abi.h", "sys/mman.h"), ("sys/mman.h", "madvise_abi.h")]
)
def test_header_goes_with_the_c_library(order: tuple[str, str], tmp_path: Path) -> None:
    source = tmp_path / "both.c"
    source.write_text("".join(f"#include <{name}>\n" for name in order), encoding="ascii")
    subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", f"-I{FOLDER}", "-c", str(source),
         "-o", str(tmp_path / "both.o")],
        check=True,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")
def test_header_is_good_for_cplusplus(tmp_path: Path) -> None:
    source = tmp_path / "probe.cc"
    source.write_text(
        '#include "madvise_abi.h"\nmadvise_ranges_control control;\n', encoding="ascii"
    )
    subprocess.run(
        ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{FOLDER}", "-c", str(source),
         "-o", str(tmp_path / "probe.o")],
        check=True,
    )  # fmt: skip


def test_every_note_is_of_a_member() -> None:
    members = set()
    for layout in v1.STRUCTS:
        for member in layout.members:
            arms = member.arms if isinstance(member, Union) else (member,)
            assert all(isinstance(arm, Field | Bitfield) for arm in arms)
            members |= {f"{layout.tag}.{arm.name}" for arm in arms}
    assert set(NOTES) <= members


UAPI = [
    path
    for path in (
        Path("/usr/include/asm-generic/mman-common.h"),
        *Path("/usr/src").glob("linux*/include/uapi/asm-generic/mman-common.h"),
    )
    if path.is_file()
]


@pytest.mark.skipif(not UAPI, reason="no kernel headers here")
@pytest.mark.parametrize("path", UAPI, ids=str)
def test_every_advice_of_the_kernel_headers_is_in_the_table(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = {
        name: int(value, 0) for name, value in re.findall(r"#define\s+MADV_(\w+)\s+(\w+)", text)
    }
    assert len(found) >= 20
    assert found == {name: BY_NAME[name].value for name in found if name in BY_NAME}


def test_advices_are_in_order_and_single() -> None:
    values = [advice.value for advice in ADVICES]
    assert values == sorted(set(values))
    assert len(BY_NAME) == len(ADVICES) == 27
