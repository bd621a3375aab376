"""Builds the wheel and the source archive into a folder: `python tests/packaging/build.py FOLDER`.

It builds from a copy of the files that belong to a distribution, so neither git nor leftovers of earlier
builds have an effect. It uses the setuptools of this environment, so nothing is downloaded.
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
    """Build and return the paths of the wheel and of the source archive."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as copy:
        for name in SOURCES:
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, Path(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, Path(copy, name))
        log = io.StringIO()  # shown only if the build fails
        try:
            with contextlib.chdir(copy), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                built = [build_meta.build_wheel(str(folder)), build_meta.build_sdist(str(folder))]
        except BaseException:
            sys.stderr.write(log.getvalue())
            raise
    return [folder / name for name in built]


if __name__ == "__main__":
    print(*build(Path(sys.argv[1])), sep="\n")
