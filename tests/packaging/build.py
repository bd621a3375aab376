"""Builds the wheel and the source archive into a folder: `python tests/packaging/build.py FOLDER`.

From a copy of the files that belong to a distribution, so that neither git nor leftovers of earlier builds
play a part, and with the setuptools of this environment, so that nothing is fetched.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from setuptools import build_meta

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("agent", "hardware", "pdu", "config", "tests", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> list[Path]:
    """The files built, wheel first."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as copy:
        for name in SOURCES:
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, Path(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, Path(copy, name))
        steps = io.StringIO()  # setuptools tells a thousand, of interest only when one fails
        try:
            with contextlib.chdir(copy), contextlib.redirect_stdout(steps), contextlib.redirect_stderr(steps):
                built = [build_meta.build_wheel(str(folder)), build_meta.build_sdist(str(folder))]
        except BaseException:
            sys.stderr.write(steps.getvalue())
            raise
    return [folder / name for name in built]


if __name__ == "__main__":
    print(*build(Path(sys.argv[1])), sep="\n")
