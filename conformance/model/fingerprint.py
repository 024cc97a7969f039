"""All that a later step may depend on, as one value to compare: two orders of a race that lead to
the same fingerprint go on alike."""

from __future__ import annotations

from conformance.model.address_space import AddressSpace, File
from conformance.model.process import Process


def fingerprint(process: Process) -> tuple[object, ...]:
    """Of a process, its files, its zones and the second process."""
    files: dict[int, File] = {id(file): file for file in process.files}
    spaces: list[object] = [vmas_of(process.space, files), _pages(process.space)]
    if process.remote is not None:
        spaces += [vmas_of(process.remote, files), _pages(process.remote), process.gone]
    numbers = {ident: number for number, ident in enumerate(files)}
    shown = [_shown(process.space, numbers)]
    if process.remote is not None:
        shown.append(_shown(process.remote, numbers))
    zone = tuple(sorted((at, bytes(data)) for at, data in process.memory.zone.items()))
    contents = tuple([_file(file) for file in files.values()])
    return tuple(spaces), tuple(shown), contents, zone


def vmas_of(space: AddressSpace, files: dict[int, File] | None = None) -> tuple[object, ...]:
    """The list of VMAs, but for the files behind; these are added to `files`."""
    names: dict[int, int] = {0: 0}
    out: list[object] = []
    for vma in space.vmas:
        if files is not None and vma.file is not None:
            files.setdefault(id(vma.file), vma.file)
        anon_vma = names.setdefault(vma.anon_vma, len(names))
        out.append(
            (vma.start, vma.end, vma.flags, vma.pgoff, vma.anonymous, anon_vma,
             vma.anon_vma < 0, vma.handle, vma.shift)
        )  # fmt: skip
    return tuple(out)


def _shown(space: AddressSpace, numbers: dict[int, int]) -> tuple[int, ...]:
    """Which file each VMA shows."""
    return tuple([numbers.get(id(vma.file), -1) for vma in space.vmas])


def _pages(space: AddressSpace) -> tuple[object, ...]:
    return (
        tuple(space.pte),
        tuple(space.copy_of),
        tuple(space.lazy),
        tuple(sorted((index, bytes(data)) for index, data in space.bytes.items())),
        space.default_flags,
        space.unsure,
    )


def _file(file: File) -> tuple[object, ...]:
    return (
        file.pages,
        tuple(sorted(file.content.items())),
        tuple(sorted(file.cached)),
        tuple(sorted(file.dropped)),
        tuple(sorted((page, bytes(data)) for page, data in file.spelled.items())),
    )
