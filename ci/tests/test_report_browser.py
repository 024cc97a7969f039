"""The page in a real browser: it lays out at any width, and what is to be pressed works."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from ci.report.html import html
from ci.tests.sample_run import sample_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = os.environ.get("MADVET_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
# The last four: on a machine without a network every look-up of a browser's own is a delay.
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic",
]  # fmt: skip
# Presses what can be pressed, and writes what came of it into the title, which --dump-dom shows.
PROBE = """<script>
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
document.querySelector("button[data-i]").click();
const detail = document.getElementById("detail").textContent;
const filter = document.getElementById("filter");
filter.value = "walk keeps";
filter.dispatchEvent(new Event("input"));
document.title = JSON.stringify({
  wide, detail, filtered: document.getElementById("filtered").textContent,
  shown: [...document.querySelectorAll("tr.case")].filter((r) => r.offsetParent).length,
  drawings: [...document.querySelectorAll("svg.strip")].map((s) => s.getBoundingClientRect().width),
});
</script>"""

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: apt-get install chromium, or MADVET_CHROMIUM=..."
)


def chromium(folder: Path, *arguments: str) -> str:
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_and_answers(tmp_path: Path, width: int) -> None:
    path = tmp_path / "page.html"
    path.write_text(html(sample_run()).replace("</body>", PROBE + "</body>"))
    dom = chromium(tmp_path, f"--window-size={width},900", "--dump-dom", path.as_uri())
    title = re.search(r"<title>(\{.*?\})</title>", dom)
    assert title is not None, "the page's script failed"
    told = title[1].replace("&quot;", '"').replace("&amp;", "&")
    assert '"wide":0' in told, "it is wider than the window"
    assert "madvise: DONTNEED on anon" in told
    assert "EINVAL wwww" in told
    assert '"filtered":"1 of 7"' in told
    assert '"shown":1' in told
    assert min(map(float, re.findall(r"[0-9.]+", told.split('"drawings":[')[1]))) > 100


def corner(png: bytes) -> tuple[int, ...]:
    """The colour of the first pixel of a PNG: no filter changes that one."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return tuple(zlib.decompress(data)[1:4])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_it_can_be_seen(tmp_path: Path, mode: str) -> None:
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(html(sample_run()))
    dark = ["--force-dark-mode"] if mode == "dark" else []
    chromium(tmp_path, *dark, "--window-size=1280,1800", f"--screenshot={picture}", path.as_uri())
    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1280, 1800)
    assert len(data) > 50_000, "almost nothing is on it"
    brightest, darkest = max(corner(data)), min(corner(data))
    assert darkest > 200 if mode == "light" else brightest < 80
