"""The command `madvet`: what it can do, and what each way of failing exits with.

Commands are imported when they are called, so that --help answers at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final, NamedTuple

import click

from ci.cli.exit_codes import BAD_INPUT, HARNESS_FAILED, InputError
from ci.cli.origin import foreign_packages

TRACEBACK_SWITCH: Final = "MADVET_TRACEBACK"  # 1: show where an internal error arose


class Command(NamedTuple):
    """Where a command lives, and its line in --help. native: it judges programs in its own
    process, where native code is worth the milliseconds it takes to find."""

    module: str
    help: str
    native: bool = False


COMMANDS: Final[dict[str, Command]] = {
    "fuzz": Command("ci.cli.fuzz", "Run random programs and judge what the kernel does."),
    "replay": Command("ci.cli.replay", "Run program files again and judge each.", native=True),
    "show": Command("ci.cli.show", "Draw a program: layout, calls, gaps, flags, page states."),
    "conform": Command("ci.cli.conform", "Run the hand-written cases of the specification."),
    "corpus": Command("ci.cli.corpus", "Folders of programs, by what they reach.", native=True),
    "spec": Command(
        "ci.cli.spec", "List the requirements, and what proves and exercises each.", native=True
    ),
    "report": Command("ci.cli.report", "Write the reports of a run or campaign that was kept."),
    "shrink": Command("ci.cli.shrink", "Make a program that diverges small.", native=True),
    "reproducer": Command(
        "ci.cli.reproducer", "Write a program as a C file that shows the fault by itself."
    ),
    "mail": Command("ci.cli.mail", "Write a finding as the text of a mail.", native=True),
    "import": Command("ci.cli.import_programs", "Read programs that syzkaller wrote."),
    "export": Command("ci.cli.export_programs", "Write programs as syzkaller's text."),
    "gate": Command(
        "ci.cli.gate", "Say what changed between two kernels, and was it expected.", native=True
    ),
    "matrix": Command(
        "ci.cli.matrix", "Write what every advice does, on one kernel after another.", native=True
    ),
    "bisect": Command("ci.cli.bisect", "Find the kernel, or the commit, that brought it in."),
    "history": Command("ci.cli.history", "Past mistakes of the kernel, and who still has them."),
    "findings": Command(
        "ci.cli.findings", "What released kernels do that is wrong, or that no manual says."
    ),
    "mutants": Command("ci.cli.mutants", "Plant faults and see whether each is found."),
    "kernels": Command("ci.cli.kernels", "Build and list the kernels that guests boot."),
    "doctor": Command("ci.cli.doctor", "Say what this machine has, lacks, and how to get it."),
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the one a newcomer needs first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command. None for a name that there is not."""
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        command = import_module(known.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of --help, from the texts here."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, known.help) for name, known in COMMANDS.items()])


EPILOG: Final = (
    "Exit codes: 0 all conformant or known; 1 something was found; 2 bad usage or input; "
    "3 the harness or the environment failed; 4 nothing could run."
)


@click.group(cls=LazyGroup, epilog=EPILOG)
@click.version_option(package_name="madvet", message="%(package)s %(version)s")
def cli() -> None:
    """Fuzz madvise(2), process_madvise(2) and madvise_ranges(2) of the kernel that this
    machine runs, against a reference model.

    Start with: madvet fuzz --time 60
    """


def main() -> None:
    """The console script. Never returns; never shows a traceback unless asked to."""
    complaint = foreign_packages()
    if complaint:
        complain(complaint)
        leave(HARNESS_FAILED)
    called = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if called is not None and called.native:
        from ci.compiled.activate import activate

        activate()
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        result = cli.main(arguments, prog_name="madvet", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return BAD_INPUT
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except InputError as error:
        complain(str(error))
        return BAD_INPUT
    except BrokenPipeError:
        # The reader of the output went away (`madvet show FILE | head`): say nothing more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return HARNESS_FAILED
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        return HARNESS_FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: an exit code, not a traceback
        return failure(error)


def failure(error: Exception) -> int:
    """Say what failed, and the exit code for it."""
    from ci.cli.output import OutputError
    from conformance.target.target import TargetError, TargetNameError

    if isinstance(error, TargetNameError):
        complain(str(error))
        return BAD_INPUT
    if isinstance(error, TargetError | OutputError):
        complain(str(error))
        return HARNESS_FAILED
    if os.environ.get(TRACEBACK_SWITCH) == "1":
        sys.excepthook(type(error), error, error.__traceback__)
        return HARNESS_FAILED
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    kind = "" if isinstance(error, OSError) else f"internal error: {type(error).__name__}: "
    complain(f"{kind}{error}{where}; {TRACEBACK_SWITCH}=1 shows how it came to that")
    return HARNESS_FAILED


def complain(message: str) -> None:
    """One error message on standard error."""
    click.echo(f"madvet: {message}", err=True)


def leave(code: int) -> None:
    """Exit, with standard output flushed or the failure to do so said."""
    try:
        sys.stdout.flush()
    except OSError as error:
        complain(f"cannot write to standard output: {error.strerror}")
        os._exit(HARNESS_FAILED)
    sys.exit(code)


if __name__ == "__main__":
    main()
