"""The kernel's reading and writing of the structs, beside the model's and the codec's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.advice import ADVICES
from conformance.abi.codec import pack_struct
from conformance.abi.scalars import DataModel
from conformance.model.control_input import Request, read_request
from conformance.model.policy import DEFAULT_POLICY
from conformance.model.process import Process
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.places import PAGE, ZONE_BASE, ZONE_END
from conformance.program.struct_shapes import ILP32_SHAPE, LP64_SHAPE, Shape
from conformance.tests.kernel_abi import Fetched, KernelAbi, build

CTL, STATS, ARRAY, ELEMENTS = (ZONE_BASE + at for at in (0x100, 0x400, 0x1000, 0x9000))
EFAULT, EINVAL, ENOMEM = 14, 22, 12
KNOWN = tuple(advice.value for advice in ADVICES)
FACTS = KernelFacts(release="7.3", advices=KNOWN, ranges_call=RangesCall.KERNEL)
MODELS = {False: DataModel.LP64, True: DataModel.ILP32}

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def abi(tmp_path_factory: pytest.TempPathFactory) -> KernelAbi:
    return KernelAbi(build(tmp_path_factory.mktemp("kernel_abi")))


WORDS = st.one_of(
    st.integers(0, 5000),
    st.sampled_from([0, 1, PAGE, CTL, STATS, ARRAY, ELEMENTS, ZONE_END - 71, ZONE_END - 8]),
    st.sampled_from([1 << 31, 1 << 32, (1 << 64) - 1, (1 << 64) - PAGE, 0xFFFF_F000]),
    st.integers(0, (1 << 64) - 1),
)
ADVICE = st.one_of(st.sampled_from(KNOWN), st.integers(-2, 110))
RANGES = st.lists(st.tuples(WORDS.map(lambda w: w & ~0xFFF | w & 1), WORDS, ADVICE), max_size=20)
BYTES = st.integers(0, 255)


@st.composite
def controls(draw: st.DrawFn, shape: Shape) -> tuple[bytes, bytes, bytes]:
    """Control, stats and array bytes: mostly in order, so that checks behind are reached."""
    model = shape.model
    kind = draw(st.sampled_from([0, 1, 1, 2, 2, 3]))
    ranges = draw(RANGES)
    members = {
        "version": draw(st.sampled_from([1] * 9 + [0, 2, -1])),
        "type": kind,
        "stats": draw(st.sampled_from([STATS] * 5 + [0, ZONE_END - 71, 1, 1 << 63])),
        "pidfd": draw(st.integers(-(1 << 31), (1 << 31) - 1)),
    }
    if kind == 1:
        count = draw(st.sampled_from([len(ranges)] * 5 + [0, 1024, 1025, 1 << 63]))
        members |= {
            "ranges.arr": draw(st.sampled_from([ARRAY] * 5 + [0, ZONE_END - 30])),
            "ranges.count": count,
        }
    elif kind == 2:
        members |= {"all.advice": draw(ADVICE)}
    else:
        first = ranges[0] if ranges else (0, 0, 0)
        members |= dict(zip(("range.addr", "range.size", "range.advice"), first, strict=True))
    fill = draw(st.sampled_from([0, 0, 0x5A]))
    raw = bytearray(pack_struct(v1.CONTROL, members, model, fill))
    at = shape.flags_at
    if kind == 2:
        raw[12] = draw(st.sampled_from([0, 0, 1, 1, 2, 255]))
    raw[at] = (
        draw(st.sampled_from([0, 0, 2, 6, 8, 14, 16, 255])) & 0xFE
    )  # the target is the model's
    raw[at + 1 :] = bytes(draw(st.sampled_from([[0, 0, 0]] * 6 + [[1, 0, 0], [0, 0, 128]])))
    pointer = draw(st.sampled_from([0, 0, ELEMENTS, 7]))
    stats = pack_struct(v1.STATS, {"per_range_stats": pointer}, model)
    array = b"".join(
        pack_struct(v1.RANGE, {"addr": a, "size": s, "advice": v}, model, 0x5A)
        for a, s, v in ranges
    )
    return bytes(raw), stats, array


def by_kernel(abi: KernelAbi, ctl: int) -> tuple[object, ...] | int:
    """errno, or everything that was read, and the first bad range."""
    request = abi.fetch_request(ctl)
    if isinstance(request, int):
        return -request
    error = abi.fetch_ranges()
    if error:
        abi.end()
        return -error
    ranges = [abi.range(i) for i in range(request.nr_ranges)]
    good = [abi.range_good(i, ranges[i][2] in KNOWN) for i in range(request.nr_ranges)]
    assert abi.end() == 0
    return (
        request.type, request.flags, bool(request.set_default), request.stats, request.per_range,
        ranges, good.index(False) if False in good else -1,
    )  # fmt: skip


def by_model(structs: dict[int, bytes], ctl: int, shape: Shape) -> tuple[object, ...] | int:
    process = Process(FACTS, 16)
    for at, data in structs.items():
        process.memory.place(at, data)
    request = read_request(process, ctl, DEFAULT_POLICY, shape)
    if not isinstance(request, Request):
        return request
    flags = (
        request.ignore_errors * v1.FLAG_IGNORE_ERRORS
        | request.single_mapping * v1.FLAG_SINGLE_MAPPING_ONLY
        | request.stop_on_gap * v1.FLAG_STOP_ON_GAP
    )
    ranges = [(entry.start, entry.length, entry.advice) for entry in request.ranges]
    return (
        request.kind, flags, request.set_default, request.stats_at, request.per_range_at, ranges,
        request.bad_range,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [LP64_SHAPE, ILP32_SHAPE], ids=["LP64", "ILP32"])
@settings(max_examples=800, deadline=None)
@given(st.data())
def test_the_kernel_reads_as_the_model_does(
    abi: KernelAbi, shape: Shape, data: st.DataObject
) -> None:
    ends = [ZONE_END - cut for cut in (shape.control_size - 1, 4, 3)]
    ctl = data.draw(st.sampled_from([CTL] * 8 + [0, *ends]))
    control, stats, array = data.draw(controls(shape))
    placed = {STATS: stats, ARRAY: array}
    if ctl:
        placed[ctl] = control[: ZONE_END - ctl]
    abi.reset(compat=shape is ILP32_SHAPE)
    for at, stored in placed.items():
        abi.place(at, stored)
    before = abi.memory()
    assert by_kernel(abi, ctl) == by_model(placed, ctl, shape)
    assert abi.memory() == before
    assert max(abi.reads()) <= 1, "an input was read twice"


@pytest.mark.parametrize("compat", [False, True])
def test_of_an_unknown_version_nothing_else_is_read(abi: KernelAbi, compat: bool) -> None:
    abi.reset(compat)
    abi.place(CTL, pack_struct(v1.CONTROL, {"version": 2, "stats": STATS}, MODELS[compat]))
    assert abi.fetch_request(CTL) == -EINVAL
    assert sum(abi.reads()) == 4
    assert sum(abi.reads()[CTL - ZONE_BASE :][:4]) == 4


@settings(max_examples=300, deadline=None)
@given(RANGES.filter(len), st.integers(0, 15), st.integers(-5, 5))
def test_ilp32_structs_are_read_as_their_layout_says(
    abi: KernelAbi, ranges: list[tuple[int, int, int]], flags: int, pidfd: int
) -> None:
    abi.reset(compat=True)
    model = DataModel.ILP32
    members = {"version": 1, "type": 1, "stats": STATS, "pidfd": pidfd}
    members |= {"ranges.arr": ARRAY, "ranges.count": len(ranges)}
    raw = bytearray(pack_struct(v1.CONTROL, members, model))
    raw[28] = flags
    abi.place(CTL, bytes(raw))
    abi.place(STATS, pack_struct(v1.STATS, {"per_range_stats": ELEMENTS}, model))
    packed = [
        pack_struct(v1.RANGE, {"addr": a, "size": s, "advice": v}, model) for a, s, v in ranges
    ]
    abi.place(ARRAY, b"".join(packed))
    assert abi.fetch_request(CTL) == Fetched(
        ARRAY, STATS, ELEMENTS, len(ranges), 1, flags, 0, pidfd
    )
    assert abi.fetch_ranges() == 0
    word = (1 << 32) - 1
    assert [abi.range(i) for i in range(len(ranges))] == [
        (a & word, s & word, v) for a, s, v in ranges
    ]
    assert abi.end() == 0
    assert max(abi.reads()) == 1
    assert sum(abi.reads()) == 32 + 36 + 12 * len(ranges)


def lay_out(abi: KernelAbi, model: DataModel, count: int) -> None:
    members = {"version": 1, "type": 1, "stats": STATS, "ranges.arr": ARRAY, "ranges.count": count}
    abi.place(CTL, pack_struct(v1.CONTROL, members, model))
    abi.place(STATS, pack_struct(v1.STATS, {"per_range_stats": ELEMENTS}, model, fill=0xEE))
    packed = [
        pack_struct(v1.RANGE, {"addr": i * PAGE, "size": i, "advice": i % 20}, model, fill=0x5A)
        for i in range(count)
    ]
    abi.place(ARRAY, b"".join(packed))
    assert not isinstance(abi.fetch_request(CTL), int)
    assert abi.fetch_ranges() == 0


WORD = st.integers(0, (1 << 64) - 1)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([False, True]), st.integers(1, 30), st.integers(0, 30),
    st.lists(WORD, min_size=7, max_size=7), st.integers(0, 133),
)  # fmt: skip
@example(True, 3, 2, [1 << 32, (1 << 32) - 1, 0, 1 << 63, 5, (1 << 32) + 1, 2], 12)
def test_the_report_holds_what_the_codec_says_and_nothing_else(
    abi: KernelAbi, compat: bool, count: int, reached: int, words: list[int], err: int
) -> None:
    model, reached, words[6] = MODELS[compat], min(reached, count), words[6] % 1024
    abi.reset(compat)
    lay_out(abi, model, count)
    for i in range(reached):
        abi.verdict(i, i % 2 == 0, i % 3 == 0)
    expected = bytearray(abi.memory())
    assert abi.report(words, err, reached, -err) == -err
    assert abi.end() == 0
    top = (1 << 8 * (4 if compat else 8)) - 1  # what does not fit into 32 bits saturates
    names = ("nr_mappings_advised", "nr_mappings_skipped", "nr_pages_advised", "nr_pages_skipped",
             "nr_gaps", "failed_address", "offset")  # fmt: skip
    members = {name: min(word, top) for name, word in zip(names, words, strict=True)}
    stats = pack_struct(v1.STATS, {**members, "err": err, "per_range_stats": ELEMENTS}, model)
    expected[STATS - ZONE_BASE :][: len(stats)] = stats
    for at, data in [(STATS, stats)] + [
        (ELEMENTS + i * v1.RANGE_STATS.size(model), element(i, model)) for i in range(reached)
    ]:
        expected[at - ZONE_BASE : at - ZONE_BASE + len(data)] = data
    assert abi.memory() == bytes(expected)


def element(i: int, model: DataModel) -> bytes:
    members = {"range.addr": i * PAGE, "range.size": i, "range.advice": i % 20}
    return pack_struct(
        v1.RANGE_STATS, {**members, "success": i % 2 == 0, "partial": i % 3 == 0}, model
    )


@pytest.mark.parametrize("compat", [False, True])
def test_stats_are_written_though_elements_cannot_be(abi: KernelAbi, compat: bool) -> None:
    abi.reset(compat)
    model = MODELS[compat]
    lay_out(abi, model, 2)
    abi.place(STATS, pack_struct(v1.STATS, {"per_range_stats": 64}, model, fill=0xEE))
    assert not isinstance(abi.fetch_request(CTL), int)
    assert abi.fetch_ranges() == 0
    assert abi.report([1, 2, 3, 4, 5, 6, 0], 22, 2, -EINVAL) == -EFAULT
    members = {"nr_mappings_advised": 1, "nr_mappings_skipped": 2, "nr_pages_advised": 3,
               "nr_pages_skipped": 4, "nr_gaps": 5, "failed_address": 6, "err": 22,
               "per_range_stats": 64}  # fmt: skip
    written = pack_struct(v1.STATS, members, model)
    assert abi.read(STATS, len(written)) == written
    assert abi.end() == 0


def test_without_stats_nothing_is_written(abi: KernelAbi) -> None:
    abi.reset()
    abi.place(CTL, pack_struct(v1.CONTROL, {"version": 1, "type": 0}))
    assert not isinstance(abi.fetch_request(CTL), int)
    before = abi.memory()
    assert abi.report([1] * 7, 22, 1, -EINVAL) == -EINVAL
    assert abi.memory() == before


def test_stats_that_cannot_be_written_are_a_fault(abi: KernelAbi) -> None:
    abi.reset(writable=False)
    lay_out(abi, DataModel.LP64, 1)
    assert abi.report([0] * 7, 0, 1, 0) == -EFAULT
    assert abi.end() == 0


def test_an_array_that_gets_no_memory(abi: KernelAbi) -> None:
    abi.reset()
    members = {"version": 1, "type": 1, "ranges.arr": ARRAY, "ranges.count": 1024}
    abi.place(CTL, pack_struct(v1.CONTROL, members))
    abi.no_memory()
    assert not isinstance(abi.fetch_request(CTL), int)
    assert abi.fetch_ranges() == -ENOMEM
    assert abi.end() == 0
    assert sum(abi.reads()) == 48


def test_a_thousand_ranges_are_read_once_and_freed(abi: KernelAbi) -> None:
    abi.reset()
    lay_out(abi, DataModel.LP64, v1.COUNT_MAX)
    assert abi.range(1023) == (1023 * PAGE, 1023, 1023 % 20)
    assert abi.report([0] * 7, 0, 1024, 0) == 0
    assert abi.read(ELEMENTS + 32 * 1023, 32) == pack_struct(
        v1.RANGE_STATS, {"range.addr": 1023 * PAGE, "range.size": 1023, "range.advice": 3}
    )
    assert abi.end() == 0


def test_another_process_takes_few_advices(abi: KernelAbi) -> None:
    abi.reset()
    for each in ADVICES:
        members = {"version": 1, "type": 0, "range.addr": PAGE, "range.advice": each.value}
        abi.place(CTL, pack_struct(v1.CONTROL, members))
        assert not isinstance(abi.fetch_request(CTL), int)
        assert abi.range_good(0, True, other_process=True) == each.remote
        assert abi.range_good(0, True)
        assert not abi.range_good(0, False)


def test_a_32_bit_kernel_has_the_layout_of_its_callers(tmp_path: Path) -> None:
    multiarch = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True).stdout
    flags = ["-m32", "-c", "-idirafter", f"/usr/include/{multiarch.strip()}"]
    probe = tmp_path / "probe.c"
    probe.write_text("#include <errno.h>\n#include <stdlib.h>\n", encoding="ascii")
    command = ["cc", *flags, "-o", str(tmp_path / "probe.o"), str(probe)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cc -m32 finds no C library here (Debian: libc6-dev-i386)")
    build(tmp_path, *flags)  # its static assertions speak
