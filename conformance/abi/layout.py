"""Struct layouts computed from their members, as a C compiler does it: nobody types an offset."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.abi.scalars import DataModel, Scalar


@dataclass(frozen=True)
class Field:
    """A member. type: a scalar or a struct by value. spelling: its C declaration where the
    type alone does not give it (pointers to structs)."""

    name: str
    type: Scalar | StructLayout
    spelling: str = ""


@dataclass(frozen=True)
class Bitfield:
    """`bool name : 1`: one bit of the current byte, from bit 0 up (little-endian ABIs)."""

    name: str


@dataclass(frozen=True)
class Union:
    """An anonymous union; each arm is a named struct member."""

    arms: tuple[Field, ...]


Member = Field | Bitfield | Union


@dataclass(frozen=True)
class Placed:
    """Where a scalar lies. path: dotted from the outermost struct. bit: None, or its bit."""

    path: str
    offset: int
    size: int
    signed: bool
    bit: int | None = None


@dataclass(frozen=True)
class StructLayout:
    """A C struct. tag: its name after `struct`."""

    tag: str
    members: tuple[Member, ...]
    # What _place() found: asked for every program file that is read.
    _known: dict[DataModel, tuple[tuple[Placed, ...], int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def align(self, model: DataModel) -> int:
        """Alignment in bytes."""
        return max(_align(member, model) for member in self.members)

    def size(self, model: DataModel) -> int:
        """sizeof, in bytes."""
        return self._place(model)[1]

    def placed(self, model: DataModel) -> tuple[Placed, ...]:
        """Every scalar inside, in order of declaration."""
        return self._place(model)[0]

    def offset(self, path: str, model: DataModel) -> int:
        """Byte offset of a scalar or of a struct member, by dotted path. KeyError if none."""
        for placed in self.placed(model):
            if placed.path == path or placed.path.startswith(path + "."):
                return placed.offset
        raise KeyError(f"struct {self.tag} has no member {path}")

    def _place(self, model: DataModel) -> tuple[tuple[Placed, ...], int]:
        if model not in self._known:
            self._known[model] = self._compute(model)
        return self._known[model]

    def _compute(self, model: DataModel) -> tuple[tuple[Placed, ...], int]:
        out: list[Placed] = []
        at = 0
        bit = -1  # next free bit of the byte at `at` - 1, or -1
        for member in self.members:
            if isinstance(member, Bitfield):
                if bit in (-1, 8):
                    at, bit = at + 1, 0
                out.append(Placed(member.name, at - 1, 1, False, bit))
                bit += 1
                continue
            bit = -1
            at = _round_up(at, _align(member, model))
            arms = member.arms if isinstance(member, Union) else (member,)
            for arm in arms:
                out.extend(_inside(arm, at, model))
            at += max(_size(arm.type, model) for arm in arms)
        return tuple(out), _round_up(at, self.align(model))


def _inside(field: Field, at: int, model: DataModel) -> list[Placed]:
    """The scalars of a field that lies at byte `at`."""
    if isinstance(field.type, Scalar):
        return [Placed(field.name, at, field.type.size(model), field.type.signed)]
    return [
        Placed(f"{field.name}.{p.path}", at + p.offset, p.size, p.signed, p.bit)
        for p in field.type.placed(model)
    ]


def _size(kind: Scalar | StructLayout, model: DataModel) -> int:
    return kind.size(model)


def _align(member: Member, model: DataModel) -> int:
    if isinstance(member, Bitfield):
        return 1
    if isinstance(member, Union):
        return max(_align(arm, model) for arm in member.arms)
    return member.type.size(model) if isinstance(member.type, Scalar) else member.type.align(model)


def _round_up(value: int, align: int) -> int:
    return (value + align - 1) // align * align
