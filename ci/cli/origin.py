"""Are conformance, fuzz and ci the three of one checkout?

The names are short and flat; some other distribution may have brought a package `ci` of its
own, which would answer in the place of ours.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("conformance", "fuzz", "ci")


def foreign_packages() -> str:
    """What is wrong with where the packages come from, and what to do; "" when all is well."""
    root = Path(__file__).resolve().parents[2]
    complaints = []
    for name in PACKAGES:
        where = _folder(name)
        if where is None:
            complaints.append(f"the package {name!r} is not installed: pip install -e {root}")
        elif where.parent != root:
            complaints.append(
                f"the package {name!r} comes from {where}, not from {root}{_owner(name)}"
            )
    return "; ".join(complaints)


def _folder(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _owner(name: str) -> str:
    """Which distribution shadows a package, in words. Slow: asked only when one does."""
    from importlib.metadata import packages_distributions

    owners = [owner for owner in packages_distributions().get(name, []) if owner != "madvet"]
    if not owners:
        return ": another folder on PYTHONPATH comes first"
    return f": remove the distribution {', '.join(sorted(set(owners)))} from this environment"
