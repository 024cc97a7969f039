"""Native code and plain Python are the same program: same words, same predictions."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ci.compiled.activate import native_folder
from ci.compiled.sources import CHECKOUT

DIGEST = """
import hashlib
from ci.compiled.activate import activate
said = activate()
from conformance.abi.advice import ADVICES
from conformance.model.predict import predict
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.wire import encode
from fuzz.generate.programs import ProgramSource

def plain(value):
    if isinstance(value, dict):
        return sorted((repr(key), plain(inner)) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    names = FIELDS.get(type(value).__name__)
    return repr(value) if names is None else [plain(getattr(value, name)) for name in names]

FIELDS = {
    "Prediction": ("results requirements alternatives unspecified judged_until peeks peek_steps "
                   "peek_names snapshots skip dies_at dies_of").split(),
    "ExpectedSnapshot": "step child vmas pages page_masks page_alternatives reasons".split(),
}
advices = tuple(advice.value for advice in ADVICES if advice.family.value != "poison")
digest = hashlib.sha256()
source = ProgramSource(11)
for call in (RangesCall.ABSENT, RangesCall.SHIM):
    facts = KernelFacts("6.18", advices, ranges_call=call, disk_fs="ext4")
    for index in range(1500):
        program = source.program(index)
        digest.update(encode(program, index))
        if not program.whole:
            prediction = predict(program, facts, observe=index % 4)
            digest.update(repr(plain(prediction)).encode())
print(said.partition(" (")[0])
print(digest.hexdigest())
"""


def digest(switch: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MADVET_COMPILED": switch},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(
    native_folder() is None, reason="no native code of these sources (make compiled)"
)
def test_native_code_generates_encodes_and_predicts_the_same() -> None:
    said, native = digest("1")
    assert said == "native code"
    assert digest("0") == ["plain Python", native]
