"""The committed wire.h is what Python writes today, and a C compiler reads the same numbers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.abi.vm_flags import BIT, NAMES
from conformance.program import outcome, places
from conformance.program.wire import Op
from conformance.program.wire_c import HEADER_PATH, header, main

ROOT = Path(__file__).parents[2]


def test_committed_header_is_current() -> None:
    committed = (ROOT / HEADER_PATH).read_text(encoding="ascii")
    assert committed == header(), "run `python -m conformance.program.wire_c`"


def test_main_writes_the_file_named(tmp_path: Path) -> None:
    target = tmp_path / "wire.h"
    assert main([str(target)]) == 0
    assert target.read_text(encoding="ascii") == header()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")
def test_compiler_reads_the_same_values(tmp_path: Path) -> None:
    expected = {
        "OP_ZONE_CHECK": Op.ZONE_CHECK,
        "PAGE_READ": outcome.PAGE_READ,
        "(long)KERNEL": places.KERNEL - (1 << 64),
        "PIDFD_SELF_GROUP": places.PIDFD_SELF_GROUP,
        "VF_UR": BIT["ur"],
        "VF_COUNT": len(NAMES),
    }
    lines = [f'_Static_assert({name} == {value}L, "{name}");' for name, value in expected.items()]
    lines.append('_Static_assert(sizeof((const char *[])VF_NAMES) == 8 * VF_COUNT, "names");')
    source = tmp_path / "probe.c"
    source.write_text('#include "wire.h"\n' + "\n".join(lines) + "\n", encoding="ascii")
    folder = (ROOT / HEADER_PATH).parent
    subprocess.run(
        ["cc", "-std=gnu11", "-Wall", "-Werror", f"-I{folder}", "-c", str(source), "-o",
         str(tmp_path / "probe.o")],
        check=True,
    )  # fmt: skip
