"""madvet import: programs in the text of another fuzzer as program files."""

from __future__ import annotations

from pathlib import Path

import click

from ci.cli import exit_codes
from ci.cli.exit_codes import InputError
from ci.cli.output import OutputError
from ci.cli.program_files import read_bytes
from conformance.program.text import dumps
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.syzkaller_read import Imported, read_programs
from fuzz.findings.syzkaller_values import NotSupported, SyzkallerError


@click.command("import")
@click.option(
    "--syz",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    help="A file in syzkaller's text: calls, blank lines between programs.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the program files.  [default: standard output, of one program]",
)
@click.option(
    "--skip-unsupported",
    "skip",
    is_flag=True,
    help="Leave out calls that madvet does not have, and say which.",
)
def command(source: Path, out: Path | None, skip: bool) -> int:
    """Read programs that syzkaller wrote.

    mmap, munmap, mprotect, mremap, madvise and process_madvise on memory without files. The
    program files can be replayed, shown, shrunk, and written in C.
    """
    name = source.stem if str(source) != "-" else "program"
    try:
        text = read_bytes(source).decode("utf-8")
        programs = read_programs(text, skip)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: is no text: {error.reason} at byte {error.start}") from error
    except NotSupported as error:
        raise InputError(f"{source}: {error} (--skip-unsupported leaves it out)") from error
    except SyzkallerError as error:
        raise InputError(f"{source}: {error}") from error
    for number, one in enumerate(programs, 1):
        for line in one.left_out:
            click.echo(f"program {number}: left out: {line}", err=True)
    if out is None:
        if len(programs) > 1:
            raise InputError(f"{source}: {len(programs)} programs; --out names a folder for them")
        click.echo(_file(source, 1, programs[0]), nl=False)
        return exit_codes.CONFORMANT
    try:
        out.mkdir(parents=True, exist_ok=True)
        digits = len(str(len(programs)))  # so that a folder has them in their order
        for number, one in enumerate(programs, 1):
            path = out / f"{name}-{number:0{digits}}.toml"
            write_atomically(path, _file(source, number, one).encode())
            click.echo(str(path))
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror}") from error
    return exit_codes.CONFORMANT


def _file(source: Path, number: int, one: Imported) -> str:
    lines = [f"Program {number} of {source.name}, from syzkaller's text."]
    lines += [f"Left out: {line}" for line in one.left_out]
    return dumps(one.program, "\n".join(lines))
