"""Differences in what calls return and in the bytes they leave in structs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from conformance.abi import control_v1 as v1
from conformance.abi import vm_flags
from conformance.abi.layout import StructLayout
from conformance.abi.scalars import DataModel
from conformance.model.prediction import Prediction
from conformance.oracle.compare_effects import COMPARED_FLAGS
from conformance.oracle.explain import Steps, address_words, result_class, result_words
from conformance.oracle.verdict import Difference
from conformance.program import call as c
from conformance.program.call import HEIRS, SIGNAL_HANDLED_ONE, SIGNAL_SLEPT, SIGNAL_WOKEN
from conformance.program.control_memory import Poke, pokes_of
from conformance.program.places import ARENA_BASE, ARENA_END_MAX
from conformance.program.race import placed as structs_of
from conformance.program.struct_shapes import LP64_SHAPE, Shape, shape_of
from conformance.spec.cite import cite

# The rule behind each member of the stats.
STATS_RULES: Final[dict[str, str]] = {
    "nr_mappings_advised": "stats-advised",
    "nr_pages_advised": "stats-advised",
    "nr_mappings_skipped": "stats-skipped",
    "nr_pages_skipped": "stats-skipped",
    "nr_gaps": "gap-counted",
    "per_range_stats": "stats-per-range",
    "err": "stats-first-error",
    "failed_address": "stats-first-error",
    "offset": "stats-first-error",
}
DISTURBANCES: Final = ("fault", "signal")  # peeks that are a word each
ADDRESSES: Final = frozenset({"failed_address", "per_range_stats", "range.addr"})


def compare_result(steps: Steps, step: int, seen: int, prediction: Prediction) -> Difference | None:
    """The difference of one step's result, or None: equal, an alternative, or left open."""
    expected = prediction.results[step]
    if seen == expected or step in prediction.unspecified:
        return None
    alternatives = prediction.alternatives.get(step, ())
    if any(alternative.value == seen for alternative in alternatives):
        return None
    call = steps.all[step]
    kernel, model = result_words(call, seen), result_words(call, expected)
    for alternative in alternatives:
        model += f" or {result_words(call, alternative.value)}"
    field = f"result.{result_class(call, seen)}-not-{result_class(call, expected)}"
    rule = prediction.requirements[step]
    words = f"{steps.words(step)}: kernel {kernel}, model {model} ({rule})"
    return Difference(step, field, kernel, model, words, rule)


def compare_peeks(
    steps: Steps,
    step: int,
    first: int,
    after: int,
    seen: Sequence[bytes],
    prediction: Prediction,
) -> list[Difference]:
    """The differences in the bytes read back after one step: peeks [first, after)."""
    out: list[Difference] = []
    before: list[Poke] = []
    call = steps.all[step]
    shape = LP64_SHAPE
    if isinstance(call, c.Race):
        before = [Poke(0, b""), *(one.poke for one in structs_of(call) if one.peeked)]
    elif isinstance(call, c.MadviseRanges):
        shape = shape_of(call.ilp32)
        before = [p for p in pokes_of(call) if p.output or ARENA_BASE <= p.at < ARENA_END_MAX]
    for index in range(first, min(after, len(seen))):
        kernel, model = seen[index], prediction.peeks[index]
        if kernel == model or index in prediction.free_peeks:
            continue
        name = prediction.peek_names[index]
        poke = before[index - first].data if index - first < len(before) else b""
        for part in _compare_struct(name, kernel, model, poke, shape):
            field, kernel_words, model_words, detail, rule = part
            words = (
                f"{steps.words(step)}: {detail}: kernel {kernel_words}, "
                f"model {model_words} ({rule})"
            )
            out.append(Difference(step, field, kernel_words, model_words, words, rule))
    return out


class _Struct(NamedTuple):
    """A struct as a caller of one data model lays it out."""

    layout: StructLayout
    model: DataModel


# field, kernel, model, the field with its index, rule
_Part = tuple[str, str, str, str, str]


def _compare_struct(
    name: str, kernel: bytes, model: bytes, before: bytes, shape: Shape
) -> list[_Part]:
    if name == "zone":
        return [_zone(kernel, model)]
    if name in DISTURBANCES:
        return [_disturbance(name, kernel, model)]
    if name == "race":
        values = [[int.from_bytes(side[i : i + 8], "little", signed=True)
                   for i in range(0, len(side), 8)] for side in (kernel, model)]  # fmt: skip
        words = [", ".join(map(str, side)) for side in values]
        return [("race.results", words[0], words[1], "results of the actors", cite("race-linear"))]
    if name == "heirs":
        return _heirs(kernel, model)
    if len(kernel) != len(model):
        readable = f"{len(kernel)} bytes readable", f"{len(model)} bytes readable"
        return [(f"{name}.readable", *readable, name, cite("walk-as-madvise"))]
    if name in ("ctl", "array"):
        return _input(name, kernel, model, before, shape.model)
    if name == "stats":
        return _output(name, _Struct(v1.STATS, shape.model), kernel, model, before, name)
    out: list[_Part] = []
    element = _Struct(v1.RANGE_STATS, shape.model)
    size = shape.per_range_size
    for at in range(0, len(model), size):
        end = at + size
        if kernel[at:end] != model[at:end]:
            detail = f"{name}[{at // size}]"
            out += _output(name, element, kernel[at:end], model[at:end], before[at:end], detail)
    return out


def _zone(kernel: bytes, model: bytes) -> _Part:
    seen, expected = (int.from_bytes(data, "little") for data in (kernel, model))
    words = [
        "nothing else changed" if not at else f"{address_words(at)} changed"
        for at in (seen, expected)
    ]
    return "zone", words[0], words[1], "memory outside the structs", cite("abi-writes-confined")


def _disturbance(name: str, kernel: bytes, model: bytes) -> _Part:
    """What came of a signal, or how much was left of the count of an allocation that is to fail."""
    seen, expected = (int.from_bytes(data, "little") for data in (kernel, model))
    if name == "fault":
        words = [
            "it failed" if not left else f"{left} fewer were made" for left in (seen, expected)
        ]
        return "fault", words[0], words[1], "allocations", cite("allocation-fails")
    words = []
    for word in (seen, expected):
        said = "slept" if word & SIGNAL_SLEPT else "did not sleep"
        said += ", was woken" if word & SIGNAL_WOKEN else ""
        words.append(f"{said}, handled {word // SIGNAL_HANDLED_ONE} times")
    return "signal", words[0], words[1], "the call under a signal", cite("signal-handled")


def _heirs(kernel: bytes, model: bytes) -> list[_Part]:
    """VmFlags of VMAs that are new, of this process (default-future) and of its heirs."""
    out: list[_Part] = []
    if len(kernel) != len(model):
        words = [f"{len(data) // 8} looks" for data in (kernel, model)]
        return [("heirs.missing", words[0], words[1], "new VMAs", cite("default-inherit"))]
    for index, where in enumerate(HEIRS):
        seen, expected = (
            int.from_bytes(data[8 * index : 8 * index + 8], "little") for data in (kernel, model)
        )
        more, less = seen & ~expected & COMPARED_FLAGS, expected & ~seen & COMPARED_FLAGS
        if not more and not less:
            continue
        field = "heirs." + where.replace(" ", "-").replace("'", "")
        field += "".join(f"+{n}" for n in vm_flags.names(more).split())
        field += "".join(f"-{n}" for n in vm_flags.names(less).split())
        rule = cite("default-inherit" if index else "default-future")
        out.append((field, vm_flags.names(seen), vm_flags.names(expected), where, rule))
    return out


def _input(
    name: str, kernel: bytes, model: bytes, before: bytes, data_model: DataModel
) -> list[_Part]:
    """The control struct and the array are the caller's: the call may not write them."""
    rule = "abi-writes-confined" if model == before else "stats-single-fetch"
    first = next(i for i in range(len(model)) if kernel[i] != model[i])
    member = ""
    if name == "ctl":
        member = _member(_Struct(v1.CONTROL, data_model), first) or "padding"
    else:
        element = _Struct(v1.RANGE, data_model)
        member = _member(element, first % v1.RANGE.size(data_model)) or "padding"
    detail = f"{name}, byte {first} ({member})"
    values = f"{kernel[first]:#04x}", f"{model[first]:#04x}"
    return [(f"{name}.{member}", *values, detail, cite(rule))]


def _output(
    name: str, struct: _Struct, kernel: bytes, model: bytes, before: bytes, detail: str
) -> list[_Part]:
    """A struct that the call writes: first whether it did, then member by member, then holes."""
    if kernel == before:
        rule = "stats-when" if name == "stats" else "stats-per-range"
        return [(f"{name}.unwritten", "as before the call", "written", detail, cite(rule))]
    if model == before:
        rule = "stats-when" if name == "stats" else "stats-per-range"
        return [(f"{name}.written", "written", "as before the call", detail, cite(rule))]
    out: list[_Part] = []
    covered: set[int] = set()
    for placed in struct.layout.placed(struct.model):
        span = range(placed.offset, placed.offset + placed.size)
        covered.update(span)
        if placed.offset + placed.size > len(model):
            continue
        values = [
            int.from_bytes(data[span.start : span.stop], "little", signed=placed.signed)
            for data in (kernel, model)
        ]
        if values[0] == values[1]:
            continue
        words = [address_words(v) if placed.path in ADDRESSES else str(v) for v in values]
        rule = STATS_RULES[placed.path] if name == "stats" else "stats-per-range"
        out.append((f"{name}.{placed.path}", words[0], words[1], f"{detail}.{placed.path}", rule))
    return out + _padding(name, kernel, model, before, covered, detail)


def _padding(
    name: str, kernel: bytes, model: bytes, before: bytes, covered: set[int], detail: str
) -> list[_Part]:
    """Holes must be zero. What was there before may have been left; anything else has come
    from the kernel's own memory."""
    wrong = [i for i in range(len(model)) if i not in covered and kernel[i] != model[i]]
    if not wrong:
        return []
    leaked = [i for i in wrong if kernel[i] and kernel[i] != before[i]]
    first = (leaked or wrong)[0]
    what = f"{detail}, padding byte {first}"
    values = f"{kernel[first]:#04x}", f"{model[first]:#04x}"
    field = f"{name}.leak" if leaked else f"{name}.padding"
    return [(field, *values, what, cite("abi-writes-confined"))]


def _member(struct: _Struct, offset: int) -> str:
    """The first member that covers a byte, or "" for a hole."""
    for placed in struct.layout.placed(struct.model):
        if placed.offset <= offset < placed.offset + placed.size:
            return placed.path
    return ""
