"""Engines: where the programs of a campaign come from. Each is a worker's inner loop."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

# name -> the class that does a worker's work, loaded when it is asked for: some need an extra.
ENGINES: Final = {
    "random": "fuzz.engine.worker:Worker",
    "guided": "fuzz.engine.worker:Worker",
    "fail-nth": "fuzz.engine.fail_nth_worker:FailNthWorker",
    "atheris": "fuzz.engine.atheris_worker:AtherisWorker",
    "hypothesis": "fuzz.engine.stateful_worker:StatefulWorker",
}
# What an engine needs that is an extra: module to find, and how to get it.
NEEDS: Final = {
    "atheris": ("atheris", "pip install 'madvet[atheris]'"),
    "hypothesis": ("hypothesis", "pip install 'madvet[hypothesis]'"),
}
# Batches in a lease, of slower engines: who waits for the first figures shall not think that
# nothing happens.
LEASE_BATCHES_MAX: Final = {"hypothesis": 1, "atheris": 4}


def engine_class(name: str) -> Any:
    """The class; made with (end, options, lanes, suspects), it has run()."""
    module, _, attribute = ENGINES[name].partition(":")
    return getattr(import_module(module), attribute)
