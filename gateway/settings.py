"""What can be set about the gateway."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from domain.bounds import MOST_BYTES, Seconds
from gateway.token_key import check_key
from gateway.transfer.offload import OffloadHeader

_MIB = 1 << 20
#: As browsers write origins (RFC 6454 section 6.1).
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#\s]+")

#: A file, or nothing: an empty text is nothing, so that the environment can take a file away.
MaybePath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]

#: A key that signs tokens.
TokenKey = Annotated[SecretStr, Field(min_length=32), AfterValidator(check_key)]

#: Addresses of servers in front. Read before the kinds are told apart, for one reason where they are none.
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(ip_network)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("is not an absolute path")
    if ".." in path.parts:
        raise ValueError("has `..`, which links may lead elsewhere")
    return path


def _origin(text: str) -> str:
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError("is no origin: scheme://host, or scheme://host:port, and nothing behind it")
    return text


def tcp_port(default: Any = ...) -> Any:
    """The field of a TCP port."""
    return Field(default, ge=0, le=65535, description="TCP port; 0 lets the system choose")


class Listen(BaseModel):
    """Where to listen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        "127.0.0.1",
        description="address to listen on; `0.0.0.0` for all of IPv4, `::` for all of IPv6, empty for all of both",
    )
    port: int = tcp_port()


class TlsListen(Listen):
    """Where to listen, with or without TLS."""

    tls_certificate: MaybePath = Field(
        None, description="PEM file with the certificate and those it depends on; absent: plain HTTP"
    )
    tls_key: MaybePath = Field(None, description="PEM file with its key; absent: it is in the certificate's file")


class ClientListen(TlsListen):
    """The client API's place."""

    port: int = tcp_port(6021)


class ManagerListen(TlsListen):
    """The manager API's place."""

    port: int = tcp_port(6022)
    tls_client_ca: MaybePath = Field(
        None, description="PEM file with authorities; set, only clients with a certificate of theirs are served"
    )


class GatewaySettings(BaseModel):
    """HTTP: ports, secrets and limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client: ClientListen = Field(default_factory=ClientListen, description="where clients transfer files")
    manager: ManagerListen = Field(
        default_factory=ManagerListen, description="where the manager talks; keep it from clients"
    )
    manager_secret: SecretStr = Field(
        min_length=1,
        description="what the manager proves itself with (X-BackendAI-Storage-Auth-Token); "
        "may be given as `file:PATH#NAME` or `env:NAME`",
    )
    token_secret: TokenKey = Field(
        description="key that signs upload and download tokens, at least 32 characters; "
        "may be given as `file:PATH#NAME` or `env:NAME`",
    )
    manager_secrets_old: list[Annotated[SecretStr, Field(min_length=1)]] = Field(
        default_factory=list, description="manager secrets that are taken as well, while the first is changed"
    )
    token_secrets_old: list[TokenKey] = Field(
        default_factory=list,
        description="keys that signed tokens before; what they signed stays good until it expires",
    )
    token_audience: str = Field(
        "",
        max_length=255,
        description="whom tokens are for (`aud`); set, tokens for others or for nobody are refused",
    )
    token_skew_seconds: float = Field(
        5.0, ge=0, le=300, description="how far the clocks of others who make tokens may be off, in seconds"
    )
    processes: int = Field(
        1, ge=1, le=256, description="processes that share the ports; about one a core for many small transfers"
    )
    token_seconds: Seconds = Field(
        24 * 3600.0, ge=1, description="how long upload and download tokens are valid, in seconds"
    )
    upload_seconds: Seconds = Field(
        24 * 3600.0, ge=1, description="how long an upload is kept after its last byte, in seconds"
    )
    finished_seconds: Seconds = Field(
        24 * 3600.0, ge=0, description="how long a finished upload can still be asked about, in seconds"
    )
    sweep_seconds: Seconds = Field(
        60.0, gt=0, description="how often expired and interrupted uploads are looked for, in seconds"
    )
    max_upload_bytes: int = Field(
        100 << 30, ge=1, le=MOST_BYTES, description="largest file an upload may have, in bytes"
    )
    resumable_uploads: bool = Field(
        False,
        description="whether `/uploads` speaks draft-ietf-httpbis-resumable-upload-12 (interop versions 8 and 9)",
    )
    offload: OffloadHeader = Field(
        OffloadHeader.NONE,
        description="have the web server in front send files: `X-Accel-Redirect` (nginx) or `X-Sendfile` "
        "(Apache, lighttpd); empty: they are sent from here",
    )
    offload_prefix: str = Field(
        "/volumes",
        pattern="^(/|$)",
        description="what stands before `<volume>/<path>` in that header: a location of the server in front, "
        "or for X-Sendfile a directory that holds the volumes",
    )
    upload_digests: bool = Field(
        True, description="whether the SHA-256 of every upload is computed, kept with its file and told"
    )
    uploads_per_owner: int = Field(
        1000, ge=1, description="unfinished uploads one owner of `upload-below` tokens may have"
    )
    peer_requests: int = Field(
        0,
        ge=0,
        description="requests one address may have running on the client port at once, in each of `processes`; "
        "0: no limit",
    )
    peer_rate: float = Field(
        0.0,
        ge=0,
        description="requests a second one address may begin on the client port, in each of `processes`; "
        "0: no limit",
    )
    manager_peer_requests: int = Field(
        0,
        ge=0,
        description="the same for the manager port, where all requests may come from one manager; 0: no limit",
    )
    manager_peer_rate: float = Field(
        0.0, ge=0, description="requests a second one address may begin on the manager port; 0: no limit"
    )
    trusted_proxies: list[Network] = Field(
        default_factory=list,
        description="networks of servers in front whose X-Forwarded-For tells who asks, such as `10.0.0.0/8`",
    )
    max_body_bytes: int = Field(_MIB, ge=1024, description="largest JSON body, in bytes")
    write_bytes: int = Field(
        _MIB, ge=4096, le=64 * _MIB, description="bytes of an upload gathered before they are written at once"
    )
    read_bytes: int = Field(
        _MIB,
        ge=4096,
        le=64 * _MIB,
        description="bytes of a download read at once where the kernel does not send them",
    )
    idempotency_seconds: Seconds = Field(
        24 * 3600.0, ge=60, description="how long an Idempotency-Key is recognised, in seconds"
    )
    event_streams: int = Field(
        64, ge=0, description="followers of `GET /events` one gateway process serves at once"
    )
    command_seconds: Seconds = Field(30.0, gt=0, description="how long a request waits for an actor, in seconds")
    idle_seconds: Seconds = Field(
        60.0, gt=0, description="how long a transfer may stand still before it is cut, in seconds"
    )
    stop_seconds: Seconds = Field(
        30.0, ge=0, description="how long running transfers may go on when the process stops, in seconds"
    )
    archive_limit: int = Field(
        200_000,
        ge=1,
        le=MOST_BYTES,
        description="most files and directories one archive holds; about 0.5 KiB of memory each",
    )
    archives_limit: int = Field(
        2_000_000,
        ge=1,
        le=MOST_BYTES,
        description="most files and directories of all archives one process makes at once; who comes then is to "
        "come again (503)",
    )
    unpack_entries: int = Field(
        10_000, ge=1, description="most files and directories in an archive that is unpacked on the server"
    )
    unpack_bytes: int = Field(
        100 << 30, ge=1, description="most bytes an archive that is unpacked on the server becomes"
    )
    unpack_ratio: int = Field(
        200, ge=1, description="most bytes each byte of an archive becomes, where they are more than 16 MiB"
    )
    list_limit: int = Field(100_000, ge=1, le=MOST_BYTES, description="most entries one listing shows")
    usage_max_age_seconds: Seconds = Field(
        300.0,
        ge=0,
        description="age of a folder's usage at which it is counted anew to judge a quota, in seconds",
    )
    usage_wait_seconds: Seconds = Field(
        20.0,
        gt=0,
        description="how long a request waits for the count of a folder, in seconds; then it is told what the last "
        "one was",
    )
    unmanaged_paths: list[Annotated[Path, AfterValidator(_absolute)]] = Field(
        default_factory=list,
        description="directories outside of all volumes from which files are sent to whom Backend.AI's manager "
        "gives a token for an `unmanaged_path`; none: such tokens are refused",
    )
    allow_origins: list[Annotated[str, AfterValidator(_origin)]] = Field(
        ["*"], description="web origins that may use the client port; `*` for any: tokens, not cookies, give access"
    )

    @property
    def manager_secrets(self) -> list[SecretStr]:
        """Secrets the manager may prove itself with."""
        return [self.manager_secret, *self.manager_secrets_old]
