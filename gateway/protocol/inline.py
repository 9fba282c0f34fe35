"""What a browser may show by itself: kinds of files that can do nothing there.

Everything that could run, such as HTML, SVG and PDF, is offered to be saved.
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = "text/plain; charset=utf-8"
#: Media types by the endings of names. Text of any kind is shown as it stands.
_BY_ENDING: Final = {
    **dict.fromkeys(("txt", "text", "log"), _TEXT),
    "png": "image/png",
    **dict.fromkeys(("jpg", "jpeg", "jpe"), "image/jpeg"),
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    **dict.fromkeys(("wav", "wave"), "audio/wav"),
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "weba": "audio/webm",
    **dict.fromkeys(("oga", "ogg", "opus"), "audio/ogg"),
    **dict.fromkeys(("mp4", "m4v"), "video/mp4"),
    "webm": "video/webm",
    "ogv": "video/ogg",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "ogx": "application/ogg",
}


def inline_type(name: str) -> str | None:
    """The media type by which a file of this name may be shown; None: it may not."""
    _, dot, ending = name.rpartition(".")
    return _BY_ENDING.get(ending.lower()) if dot else None
