"""python -m ci.tidy: exit 1 and a line per problem if the tree breaks a rule."""

from __future__ import annotations

import sys
from pathlib import Path

from ci.tidy.tidy import tidy

if __name__ == "__main__":
    problems = tidy(Path(__file__).resolve().parents[2])
    print(
        "\n".join(problems) or "tidy: nothing to say", file=sys.stderr if problems else sys.stdout
    )
    sys.exit(1 if problems else 0)
