"""Checks what a source distribution holds: all that the build needs, and nothing else.

python scripts/check_sdist.py ARCHIVE
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import PurePosixPath

_NEEDED = {
    "CMakeLists.txt",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
    "core/CMakeLists.txt",
    "core/base/error.h",
    "models/tiny-r1/model.safetensors",
    "src/pocketr1/__init__.py",
    "src/pocketr1/py.typed",
    "src/pocketr1/server/web/index.html",
    "src/pocketr1/server/web/LICENSES.txt",
}
# The tests travel with the sources, so that a packager can run them; their data does not.
# The page is shipped built; its sources come along for whoever builds all from source.
_ROOMS = {"core", "src", "tests", "docs", "examples", "models", "web"}
# 1.2 MB are the built page, whose fonts and libraries it cannot fetch, and its pictures in docs.
_LARGEST = 6_500_000  # bytes, unpacked, without models


def main() -> int:
    """Check an archive and print what is wrong."""
    archive = sys.argv[1]
    violations: list[str] = []
    size = 0
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
    names = {str(PurePosixPath(*PurePosixPath(member.name).parts[1:])) for member in members}
    for name in sorted(names):
        path = PurePosixPath(name)
        if len(path.parts) > 1 and path.parts[0] not in _ROOMS:
            violations.append(f"{name}: not needed to build, test or read")
        if path.suffix in {".so", ".o", ".pyc", ".whl"}:
            violations.append(f"{name}: built, not source")
    violations += [f"{name}: missing" for name in sorted(_NEEDED - names)]
    size = sum(member.size for member in members if "/models/" not in member.name)
    if size > _LARGEST:
        violations.append(f"{archive}: {size} bytes without models, more than {_LARGEST}")
    print("\n".join(violations) or f"{len(names)} files, {size} bytes: what is needed and no more")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
