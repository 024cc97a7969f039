"""Fixtures that several files of tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from conformance.tests.shim_arena import Arena, build_library

# The shim as it is; and as it works on kernels before 6.11, which answer no PROCMAP_QUERY, with
# room for a single special mapping, so that it has to look into smaps for each.
SHIM_BUILDS = {"query": (), "text": ("-DSHIM_USE_MAP_QUERY=0", "-DSHIM_SPECIAL_MAX=1")}


@pytest.fixture(scope="session", params=SHIM_BUILDS)
def shim_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shim's library, built once for each way in which it works."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    folder = tmp_path_factory.mktemp(f"shim-{request.param}")
    return str(build_library(folder, *SHIM_BUILDS[request.param]))


@pytest.fixture
def arena(shim_library: str) -> Iterator[Arena]:
    """An empty address space at a fixed place, and the shim to call."""
    made = Arena(shim_library)
    yield made
    made.close()
