"""Files of Debian packages, installed or in the current folder: images that may not be passed on with Convoy."""

import io
import lzma
import tarfile
from pathlib import Path

from pipeline.errors import ConfigError


def read_package(package: str, *paths: str) -> dict[str, bytes]:
    """Return files of a Debian package by their path.

    Args:
        package: its name.
        paths: of files, or of folders with all that is below, relative to the root of a system.

    Raises:
        ConfigError: the package is neither installed nor in the current folder.
    """
    root = Path("/")
    if (root / paths[0]).exists():
        found = [file for path in paths for file in (root / path, *sorted((root / path).rglob("*")))]
        return {str(file.relative_to(root)): file.read_bytes() for file in found if file.is_file()}
    archives = sorted(Path.cwd().glob(f"{package}_*.deb"))
    if not archives:
        raise ConfigError(
            "python -m pipeline.data.bundled",
            f"its images are those of Debian's package {package}, which is neither installed nor here",
            hint=f"`apt-get download {package}` puts it here, on Debian and Ubuntu",
        )
    files = {}
    with tarfile.open(fileobj=io.BytesIO(_read_data(archives[-1]))) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if member.isfile() and any(path == each or path.startswith(f"{each}/") for each in paths):
                opened = archive.extractfile(member)
                assert opened is not None, "it is a file"
                files[path] = opened.read()
    return files


def _read_data(path: Path) -> bytes:
    """Return the tar file of a Debian package (deb(5)): a member of an ar archive, compressed by xz."""
    data, place = path.read_bytes(), 8
    while place < len(data):
        name, size = data[place : place + 16].decode().strip(), int(data[place + 48 : place + 58])
        if name.rstrip("/") == "data.tar.xz":
            return lzma.decompress(data[place + 60 : place + 60 + size])
        place += 60 + size + size % 2
    raise ConfigError(str(path), "has no data.tar.xz", hint="download it again")
