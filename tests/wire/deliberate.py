"""What is deliberately other than with the reference, place by place, each exchange with its reason.

One difference needs no entry: where the reference answers an error as plain JSON, Penstock answers a problem
document (RFC 9457) with the same members, a type and a title.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wire.comparing import ANYTHING, NOTHING


@dataclass(frozen=True)
class Deliberate:
    """What differs, and why."""

    reason: str
    #: What there is instead, by place (`wire.comparing`); everything else is the same.
    here: Mapping[str, Any]
    #: Header fields that are there besides.
    headers: Mapping[str, str] = field(default_factory=dict)


_DEFECT: Final = "the reference fails with 500, which tells a client nothing and closes its connection"
_WORDS: Final = "the same answer in other words: not those of an exception of Python"
_MORE: Final = "it is told besides what is wrong"
_ESCAPE: Final = "the reference writes outside of the folder"
_HEAD: Final = "HEAD is answered wherever GET is (RFC 9110, section 9.3.2)"
_RANGE: Final = "a Range header that is not understood is passed over (RFC 9110, section 14.2)"
_FETCH: Final = "the reference answers with an empty file where there is none"
_FINISHED: Final = "a client that lost the last answer has to be able to tell success from loss"
_SIZE: Final = "a size no upload may have is refused when it is announced"
_ARCHIVE: Final = "files are stored, so that the archive has a length and a broken download of it resumes"
_HEALTH: Final = "other parts are looked at: there is no etcd and no artifact database to depend on"

_PEER: Final = "https://api.backend.ai/probs/storage"
_OUT: Final = "leads out of the folder"
_NO_FOLDER: Final = (
    "VFolder not found or not a directory: "
    "user:11111111-1111-4111-8111-111111111111/aabb0008000040008000000000000008"
)
#: SHA-256 of the recording's file of 100,000 bytes.
_WHOLE: Final = "55af394c980c7a7fb68aa904c4afdd93d76e5f826487105fc06f92a25bab8cbe"
_NO_BYTES: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _problem(kind: str, title: str, code: str = "", **members: Any) -> dict[str, Any]:
    coded = {"error_code": code} if code else {}
    return {"type": kind, "title": title, **coded, **members}


def _wrong(**data: Any) -> dict[str, Any]:
    """The answer to a wrong parameter."""
    return _problem(f"{_PEER}/invalid-api-params", "Invalid API parameters", data=data)


def _path(message: str, *paths: str) -> dict[str, Any]:
    """The answer to a wrong path."""
    code = "vfolder_access_invalid-parameters"
    return _problem(f"{_PEER}/subpath/invalid", "Invalid Subpath", code, msg=message, data=message, paths=[*paths])


def _no_folder() -> dict[str, Any]:
    return _problem(f"{_PEER}/vfolder/not-found", "VFolder Not Found", "vfolder_read_not-found", msg=_NO_FOLDER)


def _too_large(message: str, **members: Any) -> dict[str, Any]:
    kind, code = "urn:penstock:problem:too-large", "vfolder_request_invalid-parameters"
    return _problem(kind, "Content Too Large", code, msg=message, retry="never", **members)


def _is_a_directory() -> dict[str, Any]:
    kind = "urn:penstock:problem:file-is-a-directory"
    return _problem(kind, "File operation failed", msg="Is a directory", errno=21, paths=["d1"])


def _instead(reason: str, status: int, body: Any, **headers: Any) -> Deliberate:
    """Another answer altogether."""
    named = {f"header {name.replace('_', '-')}": value for name, value in headers.items()}
    return Deliberate(reason, {"status": status, "body": body, **named})


def _members(document: Mapping[str, Any]) -> dict[str, Any]:
    return {f".{name}": value for name, value in document.items()}


def _health() -> Deliberate:
    parts = (("bus", "redis"), ("disk", "volume"), ("shm", "volume"))
    return Deliberate(
        _HEALTH,
        {
            f".connectivity.connectivity_checks[{number}].{name}": value
            for number, (part, group) in enumerate(parts)
            for name, value in (("component_id", part), ("service_group", group))
        },
    )


def _headed(length: str = "", kind: str = "application/octet-stream") -> Deliberate:
    told = {"content-type": kind, **({"content-length": length} if length else {})}
    return Deliberate(_HEAD, {"status": 200, "header allow": NOTHING}, told)


_NO_UPLOAD: Final[Mapping[str, Any]] = {"upload_offset": NOTHING, "upload_length": NOTHING}


def _escaped(path: str) -> Deliberate:
    return Deliberate(f"{_WORDS}; {_MORE}", {".msg": _OUT, ".data": _OUT, ".paths": [path]})


_NOT_GOOD: Final = Deliberate(
    "a token that does not hold is no proof (RFC 9110, section 15.5.2); no client tells the two apart",
    {"status": 401},
)
_UNRANGED: Final = _instead(_RANGE, 200, _WHOLE, content_range=NOTHING)

DELIBERATE: Mapping[str, Deliberate] = {
    "009-mgr-health": _health(),
    "256-internal-health": _health(),
    "257-internal-metrics": Deliberate("each program measures itself", {"body": ANYTHING}),
    "015-mgr-volumes": Deliberate(
        "every volume can limit its quota scopes, and says so; the second one lies elsewhere",
        {
            ".volumes[0].capabilities": ["quota", "vfolder"],
            ".volumes[1].capabilities": ["quota", "vfolder"],
            ".volumes[1].path": ANYTHING,
        },
    ),
    # Bad input
    "020-mgr-hwinfo-no-body": _instead(_DEFECT, 400, _wrong(volume="is required")),
    "021-mgr-hwinfo-bad-json": _instead(
        _DEFECT,
        400,
        {
            **_wrong(body="the body is not valid JSON"),
            "msg": "the body is not valid JSON",
            "error_code": "storage-proxy_request_invalid-parameters",
        },
    ),
    "023-mgr-perf-metric": Deliberate(_MORE, {".msg": "backend vfs measures nothing"}),
    "027-qs-create-dup": _instead(
        _DEFECT,
        409,
        _problem(
            f"{_PEER}/quota/scope/already-exists",
            "Quota Scope Already Exists",
            "quota-scope_create_already-exists",
            msg="user:11111111-1111-4111-8111-111111111111: exists",
        ),
    ),
    "030-qs-create-bad-type": _instead(
        _DEFECT, 400, _wrong(qsid="quota scope must be user or project, not 'team'")
    ),
    "031-qs-create-bad-options": _instead(
        _DEFECT, 400, _wrong(**{"options.limit_bytes": "is required", "options.limit": "limit is not allowed key"})
    ),
    "038-vf-create-dup": _instead(
        _DEFECT,
        409,
        _problem(
            "urn:penstock:problem:conflict",
            "Conflict",
            "vfolder_update_conflict",
            msg="user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001: exists",
            retry="never",
        ),
    ),
    "044-vf-create-bad-uuid": _instead(_DEFECT, 400, _wrong(vfid="not a UUID: 'zzz'")),
    "057-vf-used-bytes-missing": _instead(_DEFECT, 404, _no_folder()),
    "063-mkdir-absolute": _instead(
        _DEFECT, 400, _wrong(relpath="expected relative path but the value is absolute")
    ),
    "105-tus-patch-onto-dir": _instead(_DEFECT, 400, _is_a_directory()),
    "116-upload-session-missing-folder": _instead(_DEFECT, 404, _no_folder()),
    "219-rename-with-slash": _instead(_DEFECT, 400, _path("a new name must be one name, without a slash", "a/b")),
    "220-rename-dot": _instead(_DEFECT, 400, _path("the folder itself cannot be changed this way", ".")),
    "120-upload-session-size-negative": _instead(
        _SIZE, 400, _wrong(size="Input should be greater than or equal to 0")
    ),
    "121-upload-session-size-huge": _instead(
        _SIZE,
        413,
        _too_large("1000000000000000 bytes are more than 107374182400", max_bytes=107_374_182_400),
    ),
    # Words
    "045-vf-create-bad-type": Deliberate(_WORDS, {".data.vfid": "cannot convert value to VFolderId"}),
    "048-vf-mount-subpath-escape": Deliberate("`Bad Request` is no subpath", {".subpath": "../../x"}),
    "064-mkdir-escape": Deliberate(_WORDS, {".results.failed[0].msg": _OUT}),
    "065-mkdir-escape-deep": Deliberate(_WORDS, {".results.failed[0].msg": _OUT}),
    "070-mkdir-missing-folder": Deliberate(_WORDS, {".results.failed[0].msg": _NO_FOLDER}),
    "136-list-escape": _escaped(".."),
    "213-archive-token-vfid-obj": Deliberate(
        "missing parameters are told in one way on all routes",
        {
            **_members(_wrong(virtual_folder_id="is required", vfid="vfid is not allowed key")),
            ".error_code": NOTHING,
            ".msg": NOTHING,
        },
    ),
    "226-move-escape": _escaped("../../f1"),
    "227-move-dir-into-self": Deliberate(
        "paths of the host are not told", {".msg": "p/q/r/s: into itself", ".paths": ["p/q/r/s"]}
    ),
    "236-delete-escape": _escaped("../x"),
    # Uploads
    "080-tus-patch-wrong-offset": Deliberate(_MORE, {".expected-offset": 40000, ".provided-offset": 0}),
    "081-tus-patch-no-offset": Deliberate(
        _MORE, {".data": {"Upload-Offset": "Missing required Upload-Offset header for TUS PATCH request"}}
    ),
    "082-tus-patch-bad-offset": Deliberate(
        _MORE, {".data": {"Upload-Offset": "Invalid Upload-Offset header value: abc"}}
    ),
    "091-tus-head-after-done": Deliberate(
        _FINISHED, {"status": 200}, {"upload-offset": "100000", "upload-length": "100000"}
    ),
    "092-tus-patch-after-done": Deliberate(
        _FINISHED,
        {
            "status": 413,
            **_members(_too_large("4 bytes at offset 100000 pass the upload's length of 100000", length=100_000)),
        },
    ),
    "094-tus-patch-overshoot": _instead(
        "bytes beyond the announced size are not part of the file",
        413,
        _too_large("16 bytes at offset 0 pass the upload's length of 10", length=10),
        **_NO_UPLOAD,
    ),
    "106-upload-session-escape": _instead(_ESCAPE, 400, _path(_OUT, "../esc.bin")),
    "107-tus-patch-escape": _instead(_ESCAPE, 401, _wrong(token=ANYTHING), **_NO_UPLOAD),
    "109-tus-patch-escape-dst_dir": _instead(_ESCAPE, 400, _path(_OUT, "../e2"), **_NO_UPLOAD),
    "124-tus-patch-bad-token": _NOT_GOOD,
    "125-tus-patch-wrong-sig": _NOT_GOOD,
    "126-tus-patch-expired": _NOT_GOOD,
    "127-tus-patch-alg-none": _NOT_GOOD,
    "129-tus-patch-download-token": Deliberate(
        "a good token for something else is no bad one (RFC 9110, section 15.5.4)", {"status": 403}
    ),
    "130-tus-patch-no-exp": Deliberate(
        "a token without an end is not taken", {"status": 401, **_members(_wrong(token=ANYTHING))}
    ),
    # Downloads
    "142-fetch-missing": _instead(_FETCH, 404, _problem(f"{_PEER}/file-not-found", "File not found")),
    "143-fetch-dir": _instead(_FETCH, 400, _is_a_directory()),
    "144-fetch-escape": _instead(_FETCH, 400, _path(_OUT, "../../x")),
    "147-dl-head": _headed("100000"),
    "167-dl-head-if-range": _headed("100000"),
    "180-dl-known-mtime-head": _headed("10"),
    "201-dl-dir-archive-head": _headed(kind="application/zip"),
    "154-dl-range-reversed": _UNRANGED,
    "155-dl-range-multi": _instead(
        "several ranges are served, as one where little is between them (RFC 9110, section 14.2)",
        206,
        "\0\a\x0e\x15\x1c#*",
        content_range="bytes 0-6/100000",
    ),
    "156-dl-range-bad-unit": _UNRANGED,
    "157-dl-range-garbage": _UNRANGED,
    "159-dl-range-suffix-0": _instead(
        "a suffix of no bytes selects nothing (RFC 9110, section 14.1.2)",
        416,
        _NO_BYTES,
        accept_ranges=NOTHING,
        content_range="bytes */100000",
        content_type=NOTHING,
    ),
    "169-dl-if-range-etag-wrong": _instead(
        "another version's bytes would be mixed in (RFC 9110, 13.1.5)", 200, _WHOLE, content_range=NOTHING
    ),
    "185-dl-unicode": Deliberate(
        "letters that cannot stand in `filename` are replaced, not dropped",
        {
            "header content-disposition": 'attachment;filename="__ __.txt"; '
            "filename*=UTF-8''%ED%95%9C%EA%B8%80%20%ED%8C%8C%EC%9D%BC.txt"
        },
    ),
    "199-dl-dir": _instead(
        "a token that was made for an archive gives one", 200, ANYTHING, content_type="application/zip"
    ),
    "200-dl-dir-archive": Deliberate(_ARCHIVE, {"body": ANYTHING}, {"content-type": "application/zip"}),
    "203-dl-dir-archive-emptydirs": Deliberate(_ARCHIVE, {"body": ANYTHING}, {"content-type": "application/zip"}),
    "205-dl-bad-token": _NOT_GOOD,
    "206-dl-expired": _NOT_GOOD,
    "207-dl-wrong-sig": _NOT_GOOD,
    "208-dl-unmanaged": _instead(
        "nothing outside of the volumes is served unless the settings name it, whoever signs for it",
        403,
        _wrong(token=ANYTHING),
        accept_ranges=NOTHING,
        content_disposition=NOTHING,
        content_type="application/problem+json; charset=utf-8",
        etag=NOTHING,
        last_modified=NOTHING,
    ),
    # Folders and files
    "228-vf-usage": Deliberate("a small upload has no file before its bytes come", {".file_count": 24}),
    "242-clone-result-usage": Deliberate(
        "a clone has links where its source has them", {".file_count": 10, ".used_bytes": ANYTHING}
    ),
    "246-clone-cross-volume": _instead(
        "folders are cloned from volume to volume as well", 200, {"bgtask_id": "<bgtask_id, str>"}
    ),
    "232-delete-dir-nonrecursive": Deliberate("what was not deleted is named", {".skipped": ["p"]}),
}
