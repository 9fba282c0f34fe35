"""Tokens for clients: one upload, one download."""

from __future__ import annotations

import secrets
from typing import Annotated

from aiohttp import web
from pydantic import Field

from domain.errors import UnsupportedError
from domain.foreign_names import read_path
from domain.ids import VFolderId
from domain.paths import ROOT
from gateway.gate import Gate
from gateway.manager.unmanaged import is_unmanaged
from gateway.parameters import Bool, Parameters, PathText, Text
from gateway.selections import Selections
from gateway.tokens import AnyPermission, ArchiveClaims, CollectionClaims, DownloadClaims, Rate, UploadClaims
from gateway.uploads.places import upload_path

#: A rate that lets a download end before everybody has given up.
LeastRate = Annotated[Rate, Field(ge=1024)]


class TransferParameters(Parameters):
    """What every token is made from."""

    volume: Text
    #: What whoever gets the token may do in the folder; what the token needs, if it is not told.
    permission: AnyPermission | None = None


class UploadParameters(TransferParameters):
    """A file to come."""

    vfid: VFolderId
    relpath: PathText
    size: int = Field(ge=0)


class UploadBelowParameters(TransferParameters):
    """Files to come, below a directory."""

    vfid: VFolderId
    relpath: PathText = "."
    owner: str = Field("", max_length=128)


class DownloadParameters(TransferParameters):
    """A file to go."""

    vfid: VFolderId
    relpath: PathText
    archive: Bool = False
    unmanaged_path: str | None = None
    rate: LeastRate | None = None


class ArchiveParameters(TransferParameters):
    """Several files to go, by names and patterns."""

    virtual_folder_id: VFolderId
    files: list[PathText] = Field(min_length=1, max_length=1000)
    filename: str | None = Field(None, max_length=255)
    rate: LeastRate | None = None


class TransferRoutes:
    """`/folder/file/upload` and `/folder/file/download`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._selections = Selections(gate.bus, gate.tokens)

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.post("/folder/file/upload", self.upload),
            web.post("/folder/file/upload-below", self.upload_below),
            web.post("/folder/file/download", self.download),
            web.post("/folder/file/archive-download-token", self.archive),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """Begin an upload and make its token."""
        parameters = await self._gate.body(request, UploadParameters)
        upload_path(parameters.relpath)
        beginner = self._gate.uploads.beginner
        claims = await beginner.date(
            UploadClaims(
                volume=self._gate.volume(parameters.volume).name,
                vfid=parameters.vfid,
                relpath=parameters.relpath,
                size=parameters.size,
                session=secrets.token_hex(16),
                perm=parameters.permission,
                exp=self._gate.tokens.expiry(),
            )
        )
        token = self._gate.tokens.sign(claims)
        if claims.begun is None:
            await beginner.create(claims, new=True)
        return web.json_response({"token": token})

    async def upload_below(self, request: web.Request) -> web.Response:
        """Make a token for any number of uploads below a directory, whose names their uploader chooses."""
        parameters = await self._gate.body(request, UploadBelowParameters)
        claims = CollectionClaims(
            volume=self._gate.volume(parameters.volume).name,
            vfid=parameters.vfid,
            relpath=str(read_path(parameters.relpath)),
            owner=parameters.owner or secrets.token_hex(16),
            perm=parameters.permission,
            exp=self._gate.tokens.expiry(),
        )
        await self._gate.files(claims.volume, claims.vfid).stat(ROOT)
        return web.json_response({"token": self._gate.tokens.sign(claims)})

    async def download(self, request: web.Request) -> web.Response:
        """Make the token of a download; whether the file is there shows when it is used."""
        parameters = await self._gate.body(request, DownloadParameters)
        claims = DownloadClaims(
            volume=self._volume(parameters),
            vfid=parameters.vfid,
            relpath=parameters.relpath,
            archive=parameters.archive,
            unmanaged_path=parameters.unmanaged_path,
            rate=parameters.rate,
            perm=parameters.permission,
            exp=self._gate.tokens.expiry(),
        )
        return web.json_response({"token": self._gate.tokens.sign(claims)})

    def _volume(self, parameters: DownloadParameters) -> str:
        """Where the manager says that what is downloaded is.

        Raises:
            UnsupportedError: outside of all volumes, and of the directories that may be read.
            NotFoundError: on no volume there is.
        """
        path = parameters.unmanaged_path
        if path is not None and not self._gate.outside.admits(path):
            raise UnsupportedError("paths outside of volumes are not served, but for those the settings name")
        if path is not None and is_unmanaged(self._gate, parameters.volume):
            return parameters.volume
        return self._gate.volume(parameters.volume).name

    async def archive(self, request: web.Request) -> web.Response:
        """Make the token of several files and directories; what they and patterns lead to shows when it is used."""
        parameters = await self._gate.body(request, ArchiveParameters)
        claims = ArchiveClaims(
            volume=self._gate.volume(parameters.volume).name,
            virtual_folder_id=parameters.virtual_folder_id,
            files=tuple(str(read_path(path)) for path in parameters.files),
            filename=parameters.filename,
            rate=parameters.rate,
            perm=parameters.permission,
            exp=self._gate.tokens.expiry(),
        )
        return web.json_response({"token": await self._selections.sign(claims)})
