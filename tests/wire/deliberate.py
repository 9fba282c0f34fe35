"""Exchanges that are deliberately other than with the reference, each with its reason.

One difference needs no entry: where the reference answers an error as plain JSON, Penstock answers a problem
document (RFC 9457) with the same members and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Deliberate:
    """What Penstock answers instead."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)


_DEFECT = "the reference fails with 500, which tells a client nothing and closes its connection"
_WORDS = "the same answer in other words: not those of an exception of Python"
_ESCAPE = "the reference writes outside of the folder"
_HEAD = "HEAD is answered wherever GET is (RFC 9110, section 9.3.2)"
_RANGE = "a Range header that is not understood is passed over (RFC 9110, section 14.2)"
_FETCH = "the reference answers with an empty file where there is none"
_FINISHED = "a client that lost the last answer has to be able to tell success from loss"
_SIZE = "a size no upload may have is refused when it is announced"
_ARCHIVE = "files are stored, so that the archive has a length and a broken download of it resumes"
_HEALTH = "other parts are looked at: there is no etcd and no artifact database to depend on"

DELIBERATE: Mapping[str, Deliberate] = {
    "009-mgr-health": Deliberate(200, _HEALTH),
    "256-internal-health": Deliberate(200, _HEALTH),
    "015-mgr-volumes": Deliberate(200, "every volume can limit its quota scopes, and says so"),
    # Bad input
    "020-mgr-hwinfo-no-body": Deliberate(400, _DEFECT),
    "021-mgr-hwinfo-bad-json": Deliberate(400, _DEFECT),
    "027-qs-create-dup": Deliberate(409, _DEFECT),
    "030-qs-create-bad-type": Deliberate(400, _DEFECT),
    "031-qs-create-bad-options": Deliberate(400, _DEFECT),
    "038-vf-create-dup": Deliberate(409, _DEFECT),
    "044-vf-create-bad-uuid": Deliberate(400, _DEFECT),
    "057-vf-used-bytes-missing": Deliberate(404, _DEFECT),
    "063-mkdir-absolute": Deliberate(400, _DEFECT),
    "105-tus-patch-onto-dir": Deliberate(400, _DEFECT),
    "116-upload-session-missing-folder": Deliberate(404, _DEFECT),
    "219-rename-with-slash": Deliberate(400, _DEFECT),
    "220-rename-dot": Deliberate(400, _DEFECT),
    "120-upload-session-size-negative": Deliberate(400, _SIZE),
    "121-upload-session-size-huge": Deliberate(413, _SIZE),
    # Words
    "045-vf-create-bad-type": Deliberate(400, _WORDS),
    "048-vf-mount-subpath-escape": Deliberate(400, "`subpath` is the path that was asked for, not `Bad Request`"),
    "064-mkdir-escape": Deliberate(422, _WORDS),
    "065-mkdir-escape-deep": Deliberate(422, _WORDS),
    "070-mkdir-missing-folder": Deliberate(422, _WORDS),
    "136-list-escape": Deliberate(400, _WORDS),
    "213-archive-token-vfid-obj": Deliberate(400, "missing parameters are told in one way on all routes"),
    "226-move-escape": Deliberate(400, _WORDS),
    "227-move-dir-into-self": Deliberate(400, "paths of the host are not told"),
    "236-delete-escape": Deliberate(400, _WORDS),
    # Uploads
    "091-tus-head-after-done": Deliberate(200, _FINISHED, {"upload-offset": "100000", "upload-length": "100000"}),
    "092-tus-patch-after-done": Deliberate(413, _FINISHED),
    "094-tus-patch-overshoot": Deliberate(413, "bytes beyond the announced size are not part of the file"),
    "106-upload-session-escape": Deliberate(400, _ESCAPE),
    "107-tus-patch-escape": Deliberate(400, _ESCAPE),
    "109-tus-patch-escape-dst_dir": Deliberate(400, _ESCAPE),
    "130-tus-patch-no-exp": Deliberate(400, "a token without an end is not taken"),
    # Downloads
    "142-fetch-missing": Deliberate(400, _FETCH),
    "143-fetch-dir": Deliberate(400, _FETCH),
    "144-fetch-escape": Deliberate(400, _FETCH),
    "147-dl-head": Deliberate(200, _HEAD, {"content-length": "100000"}),
    "167-dl-head-if-range": Deliberate(200, _HEAD, {"content-length": "100000"}),
    "180-dl-known-mtime-head": Deliberate(200, _HEAD, {"content-length": "10"}),
    "201-dl-dir-archive-head": Deliberate(200, _HEAD, {"content-type": "application/zip"}),
    "154-dl-range-reversed": Deliberate(200, _RANGE),
    "155-dl-range-multi": Deliberate(206, "several ranges are served (RFC 9110, section 14.6)"),
    "156-dl-range-bad-unit": Deliberate(200, _RANGE),
    "157-dl-range-garbage": Deliberate(200, _RANGE),
    "159-dl-range-suffix-0": Deliberate(416, "a suffix of no bytes selects nothing (RFC 9110, section 14.1.2)"),
    "169-dl-if-range-etag-wrong": Deliberate(200, "another version's bytes would be mixed in (RFC 9110, 13.1.5)"),
    "185-dl-unicode": Deliberate(200, "letters that cannot stand in `filename` are replaced, not dropped"),
    "199-dl-dir": Deliberate(200, "a token that was made for an archive gives one"),
    "200-dl-dir-archive": Deliberate(200, _ARCHIVE, {"content-type": "application/zip"}),
    "203-dl-dir-archive-emptydirs": Deliberate(200, _ARCHIVE, {"content-type": "application/zip"}),
    "208-dl-unmanaged": Deliberate(400, "nothing outside of the volumes is served, whoever signs for it"),
    # Folders and files
    "242-clone-result-usage": Deliberate(200, "a clone has links where its source has them"),
    "246-clone-cross-volume": Deliberate(200, "folders are cloned from volume to volume as well"),
    "232-delete-dir-nonrecursive": Deliberate(200, "what was not deleted is named"),
}
