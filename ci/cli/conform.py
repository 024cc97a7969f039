"""madvet conform: the hand-written cases, run by pytest against one target."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import target_option

CASES: Final = Path(__file__).resolve().parents[2] / "conformance" / "cases"
OK, TESTS_FAILED, INTERRUPTED, NO_TESTS = 0, 1, 2, 5  # pytest.ExitCode


@click.command("conform", context_settings={"ignore_unknown_options": True})
@target_option("host,shim")
@click.option("--requirement", help="Only the cases of requirements whose id contains this.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    targets: tuple[str, ...], requirement: str | None, pytest_arguments: tuple[str, ...]
) -> int:
    """Run the hand-written cases of the specification.

    Each case states what a requirement demands and is run on every target. Further arguments
    go to pytest, which comes with `pip install madvet[test]`.
    """
    if find_spec("pytest") is None:
        click.echo("madvet conform: pytest is missing: pip install -e '.[test]'", err=True)
        return exit_codes.HARNESS_FAILED
    import pytest

    arguments = [
        str(CASES),
        f"--rootdir={CASES.parents[1]}",
        f"--target={','.join(targets)}",
        "-p",
        "no:cacheprovider",  # nothing is left behind in the tree
        *([f"--requirement={requirement}"] if requirement else []),
        *(pytest_arguments or ("-q",)),
    ]
    return _exit_code(int(pytest.main(arguments)))


def _exit_code(status: int) -> int:
    """pytest's exit status in our terms: a broken run is not a divergence."""
    return {
        OK: exit_codes.CONFORMANT,
        TESTS_FAILED: exit_codes.FOUND,
        NO_TESTS: exit_codes.NOTHING_RAN,
    }.get(status, exit_codes.HARNESS_FAILED)
