"""Bytes that C makes of a struct beside bytes that the codec makes, bit-fields included.

LP64 is packed and unpacked by functions generated for it. ILP32 code may be compiled but not
run everywhere: there the compiler lays the values out in an object file, which is read back.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.codec import pack_struct, unpack_struct
from conformance.abi.emit_c import HEADER_PATH
from conformance.abi.layout import Placed, StructLayout
from conformance.abi.scalars import DataModel

FOLDER = (Path(__file__).parents[2] / HEADER_PATH).parent
LP64, ILP32 = DataModel.LP64, DataModel.ILP32
ARMS = ("range", "ranges", "all")
Values = Mapping[str, int]

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


def arm_of(placed: Placed, layout: StructLayout) -> str:
    """The arm of the union that a member of the control struct lies in, or ""."""
    first = placed.path.split(".")[0]
    return first if layout is v1.CONTROL and first in ARMS else ""


def drawn(placed: Placed) -> st.SearchStrategy[int]:
    """Every value that the member can hold; a bool only 0 and 1, as C stores no other."""
    if placed.size == 1:
        return st.integers(0, 1)
    bits = placed.size * 8
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if placed.signed else (
        st.integers(0, (1 << bits) - 1)
    )  # fmt: skip


@st.composite
def members(draw: st.DrawFn, layout: StructLayout, model: DataModel) -> dict[str, int]:
    """Values for every member, of a union's arms for one."""
    arm = draw(st.sampled_from(ARMS))
    return {
        placed.path: draw(drawn(placed))
        for placed in layout.placed(model)
        if arm_of(placed, layout) in ("", arm)
    }


def functions() -> Iterator[str]:
    """C that packs a struct from an array of values, and unpacks it."""
    yield '#include <string.h>\n#include "madvise_abi.h"'
    for layout in v1.STRUCTS:
        for arm in ARMS if layout is v1.CONTROL else ("",):
            name = f"{layout.tag}_{arm}"
            yield f"void pack_{name}(unsigned char *out, const long *v, int fill) {{"
            yield f"struct {layout.tag} s; memset(&s, fill, sizeof(s));"
            for index, placed in enumerate(layout.placed(LP64)):
                if arm_of(placed, layout) in ("", arm):
                    yield f"s.{placed.path} = (__typeof__(s.{placed.path} + 0))v[{index}];"
            yield "memcpy(out, &s, sizeof(s)); }"
        yield f"void unpack_{layout.tag}(const unsigned char *in, long *v) {{"
        yield f"struct {layout.tag} s; memcpy(&s, in, sizeof(s));"
        for index, placed in enumerate(layout.placed(LP64)):
            yield f"v[{index}] = (long)s.{placed.path};"
        yield "}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("abi")
    source = folder / "pack.c"
    source.write_text("\n".join(functions()) + "\n", encoding="ascii")
    out = folder / "pack.so"
    subprocess.run(
        ["cc", "-std=gnu11", "-O1", "-Wall", "-Werror", "-fPIC", "-shared", f"-I{FOLDER}",
         str(source), "-o", str(out)],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(out))


def as_long(value: int) -> int:
    """An unsigned 64-bit value as the C long of the same bits."""
    return value - (1 << 64) if value >> 63 == 1 else value


@pytest.mark.parametrize("layout", v1.STRUCTS, ids=lambda layout: layout.tag)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_c_packs_the_same_bytes(
    library: ctypes.CDLL, layout: StructLayout, data: st.DataObject
) -> None:
    values = data.draw(members(layout, LP64))
    fill = data.draw(st.sampled_from((0, 0xFF, 0xA5)))
    arm = next((a for a in ARMS if layout is v1.CONTROL and f"{a}.advice" in values), "")
    if layout is v1.CONTROL and not arm:
        arm = "ranges"
    placed = layout.placed(LP64)
    longs = (ctypes.c_long * len(placed))(*[as_long(values.get(p.path, 0)) for p in placed])
    out = ctypes.create_string_buffer(layout.size(LP64))
    getattr(library, f"pack_{layout.tag}_{arm}")(out, longs, fill)
    assert out.raw == pack_struct(layout, values, LP64, fill)


@pytest.mark.parametrize("layout", v1.STRUCTS, ids=lambda layout: layout.tag)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_c_reads_the_same_members(
    library: ctypes.CDLL, layout: StructLayout, data: st.DataObject
) -> None:
    raw = bytearray(data.draw(st.binary(min_size=layout.size(LP64), max_size=layout.size(LP64))))
    placed = layout.placed(LP64)
    for p in placed:
        if p.size == 1 and p.bit is None:
            raw[p.offset] &= 1  # C may read a bool that holds anything else as it likes
    longs = (ctypes.c_long * len(placed))()
    getattr(library, f"unpack_{layout.tag}")(bytes(raw), longs)
    read = unpack_struct(layout, bytes(raw), LP64)
    assert list(longs) == [as_long(read[p.path]) for p in placed]


def initializer(layout: StructLayout, values: Values, model: DataModel) -> str:
    """A struct's members as a C initializer."""
    parts = []
    for placed in layout.placed(model):
        if placed.path in values:
            value = values[placed.path]
            text = f"{value}LL" if value > -(1 << 63) else "(-9223372036854775807LL - 1)"
            parts.append(f".{placed.path} = (__typeof__(((struct {layout.tag} *)0)->"
                         f"{placed.path} + 0)){'0' if not value else text}")  # fmt: skip
    return "{ " + ", ".join(parts) + " }"


def section_of(path: Path, name: str) -> bytes:
    """A section of a 32-bit little-endian ELF object."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x01\x01"
    (headers,) = struct.unpack_from("<I", data, 32)
    size, count, names = struct.unpack_from("<HHH", data, 46)
    rows = [struct.unpack_from("<10I", data, headers + i * size) for i in range(count)]
    strings = rows[names][4]
    for row in rows:
        at = strings + row[0]
        if data[at : data.index(b"\0", at)] == name.encode():
            return data[row[4] : row[4] + row[5]]
    raise AssertionError(f"{path} has no section {name}")


def compiled_ilp32(folder: Path, layout: StructLayout, rows: Sequence[Values]) -> list[bytes]:
    """The bytes of each row, as a 32-bit compiler lays them out."""
    source, out = folder / "values.c", folder / "values.o"
    body = ",\n".join(initializer(layout, row, ILP32) for row in rows)
    source.write_text(
        f'#include "madvise_abi.h"\n'
        f'const struct {layout.tag} values[] __attribute__((section("laid_out"), used)) = '
        f"{{\n{body}\n}};\n",
        encoding="ascii",
    )
    subprocess.run(
        ["cc", "-m32", "-std=gnu11", "-ffreestanding", "-w", f"-I{FOLDER}", "-c", str(source),
         "-o", str(out)],
        check=True,
    )  # fmt: skip
    data = section_of(out, "laid_out")
    size = layout.size(ILP32)
    assert len(data) == size * len(rows)
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.fixture(scope="module")
def can_ilp32(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("ilp32") / "empty.c"
    source.write_text("int nothing;\n", encoding="ascii")
    command = ["cc", "-m32", "-c", str(source), "-o", str(source.with_suffix(".o"))]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cc -m32 makes no code on this machine")


@pytest.mark.usefixtures("can_ilp32")
@pytest.mark.parametrize("layout", v1.STRUCTS, ids=lambda layout: layout.tag)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=5
)
@given(data=st.data())
def test_32_bit_compiler_lays_out_the_same_bytes(
    tmp_path: Path, layout: StructLayout, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(members(layout, ILP32), min_size=1, max_size=12))
    expected = [pack_struct(layout, row, ILP32) for row in rows]
    assert compiled_ilp32(tmp_path, layout, rows) == expected
