"""Engines: where the programs of a campaign come from. Each is a worker's inner loop."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

# name -> the class that does a worker's work, loaded when it is asked for: some need an extra.
ENGINES: Final = {
    "random": "fuzz.engine.worker:Worker",
    "guided": "fuzz.engine.worker:Worker",
    "fail-nth": "fuzz.engine.fail_nth_worker:FailNthWorker",
    "signals": "fuzz.engine.signals_worker:SignalsWorker",
    "atheris": "fuzz.engine.atheris_worker:AtherisWorker",
    "hypothesis": "fuzz.engine.stateful_worker:StatefulWorker",
}


class Need(NamedTuple):
    """What an engine needs that is an extra: the module, and the extra that brings it."""

    module: str
    extra: str

    def missing(self) -> str:
        """What to say when it is not installed; "" when it is."""
        if find_spec(self.module) is not None:
            return ""
        return f"{self.module} is not installed: pip install 'madvet[{self.extra}]'"


NEEDS: Final = {
    "atheris": Need("atheris", "atheris"),
    "hypothesis": Need("hypothesis", "hypothesis"),
}
# Batches in a lease, of slower engines: who waits for the first figures shall not think that
# nothing happens.
LEASE_BATCHES_MAX: Final = {"hypothesis": 1, "atheris": 4, "fail-nth": 1, "signals": 1}


def engine_class(name: str) -> Any:
    """The class; made with (end, options, lanes, suspects), it has run()."""
    module, _, attribute = ENGINES[name].partition(":")
    return getattr(import_module(module), attribute)
