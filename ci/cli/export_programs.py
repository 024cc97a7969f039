"""madvet export: program files in the text of another fuzzer."""

from __future__ import annotations

from pathlib import Path

import click

from ci.cli import exit_codes
from ci.cli.exit_codes import InputError
from ci.cli.program_files import find_files, read_program_file
from fuzz.findings.syzkaller_text import syzkaller_text
from fuzz.findings.syzkaller_values import NotSupported


@click.command("export")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--syz", is_flag=True, required=True, help="As syzkaller's text.")
@click.option(
    "--skip-unsupported",
    "skip",
    is_flag=True,
    help="Leave out what syzkaller's text cannot say, and say what.",
)
def command(paths: tuple[Path, ...], syz: bool, skip: bool) -> int:
    """Write programs as syzkaller's text, with blank lines between them.

    For syz-execprog and syz-prog2c. Memory without files only; madvise_ranges() is not known
    there.
    """
    texts = []
    for path in find_files(paths):
        try:
            exported = syzkaller_text(read_program_file(path).program, skip)
        except NotSupported as error:
            raise InputError(f"{path}: {error} (--skip-unsupported leaves it out)") from error
        for what in exported.left_out:
            click.echo(f"{path}: left out: {what}", err=True)
        texts.append(exported.text)
    click.echo("\n".join(texts), nl=False)
    return exit_codes.CONFORMANT
