"""What is in archives, as programs find it that others wrote."""

from __future__ import annotations

import io
import tarfile
import zipfile

import zstandard


def files_of(form: str, data: bytes) -> dict[str, bytes]:
    """Files of an archive by name; it is whole, and no name is there twice."""
    if form.endswith("zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            found = {name: archive.read(name) for name in names}
    else:
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(data) if form == "tar.zst" else data
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:*") as archive:
            names = archive.getnames()
            found = {
                member.name: archive.extractfile(member).read() for member in archive.getmembers() if member.isreg()
            }
    assert len(set(names)) == len(names)
    return found
