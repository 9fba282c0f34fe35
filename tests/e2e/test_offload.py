"""Downloads sent by a real nginx, or lighttpd, in front of the gateway."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.processes import FOLDER, Site, ask, open_site, until
from harness.redis_server import free_port

CONFIG = """
daemon off;
worker_processes 1;
pid {path}/nginx.pid;
error_log {path}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {path}/access.log;
  client_body_temp_path {path}/t1;
  proxy_temp_path {path}/t2;
  fastcgi_temp_path {path}/t3;
  uwsgi_temp_path {path}/t4;
  scgi_temp_path {path}/t5;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{gateway}; }}
    location = /linked {{ rewrite ^ /volumes/linked last; }}
    location /volumes/ {{
      internal;
      alias {volumes}/;
      disable_symlinks on from={volumes};
      add_header Access-Control-Allow-Origin $upstream_http_access_control_allow_origin always;
      add_header Access-Control-Allow-Credentials $upstream_http_access_control_allow_credentials always;
      add_header Access-Control-Expose-Headers $upstream_http_access_control_expose_headers always;
      add_header Vary $upstream_http_vary always;
      add_header X-Content-Type-Options $upstream_http_x_content_type_options always;
    }}
  }}
}}
"""

LIGHTTPD = """
server.modules = ("mod_proxy")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{path}"
server.errorlog = "{path}/error.log"
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {gateway}, "x-sendfile" => "enable")))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tmp_path.chmod(0o755)
    with open_site(tmp_path, gateway__offload="X-Accel-Redirect") as opened:
        opened.start("actor")
        opened.start("gateway")
        opened.api.make_folder()
        yield opened


@pytest.fixture
def front(site: Site) -> Iterator[int]:
    """Port of an nginx in front."""
    port = free_port()
    config = site.path / "nginx.conf"
    # Its worker gives up root; all directories above the volume must let it in.
    text = CONFIG.format(path=site.path, port=port, gateway=site.api.client_port, volumes=site.path / "volumes")
    config.write_text("user root;\n" + text)
    with _in_front("nginx", "-c", str(config), "-p", str(site.path), port=port):
        yield port


@contextmanager
def _in_front(command: str, *arguments: str, port: int) -> Iterator[None]:
    binary = shutil.which(command, path=f"{os.defpath}:/usr/sbin")
    assert binary is not None, f"{command} is not installed: run `make test`"
    process = subprocess.Popen([binary, *arguments])
    try:
        until(lambda: _listens(port), f"{command} listens")
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_nginx_sends_what_the_gateway_finds(site: Site, front: int) -> None:
    data = os.urandom(3 << 20)
    site.api.upload("d/한글 100%.bin", data)
    target = site.api.download_url("d/한글 100%.bin")
    direct = ask(site.api.client_port, "GET", target)
    assert (direct.status, direct.body) == (200, b"")
    assert direct.headers["x-accel-redirect"].startswith("/volumes/disk/")
    whole = ask(front, "GET", target)
    assert (whole.status, whole.body) == (200, data)
    assert "filename*=UTF-8''" in whole.headers["content-disposition"]
    assert whole.headers["server"].startswith("nginx")
    part = ask(front, "GET", target, headers={"Range": "bytes=1000000-1000009"})
    assert (part.status, part.body) == (206, data[1_000_000:1_000_010])
    assert ask(front, "GET", "/volumes/disk/x").status == 404, "nobody gets in without a token"


def test_a_link_is_followed_before_nginx_is_told(site: Site, front: int) -> None:
    data = os.urandom(1 << 20)
    site.api.upload("real", data)
    (site.folder / "link").symlink_to("real")
    (site.folder / "out").symlink_to("/etc/passwd")
    assert ask(front, "GET", site.api.download_url("link")).body == data
    assert ask(front, "GET", site.api.download_url("out")).status == 404


def test_small_files_and_other_things_come_from_the_gateway(site: Site, front: int) -> None:
    site.api.upload("small", b"abc")
    answer = ask(front, "GET", site.api.download_url("small"))
    assert (answer.status, answer.body) == (200, b"abc")
    assert ask(front, "GET", site.api.download_url("nope")).status == 404


def test_what_nginx_would_not_pass_on_comes_from_the_gateway(site: Site, front: int) -> None:
    data = os.urandom(1 << 20)
    site.api.upload("a.txt", data)
    target = site.api.download_url("a.txt")
    wanted = ask(front, "GET", target, headers={"Want-Repr-Digest": "sha-256=1"})
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert (wanted.body, wanted.headers["repr-digest"]) == (data, f"sha-256=:{digest}:")
    shown = ask(front, "GET", f"{target}&inline=1")
    assert (shown.body, shown.headers["content-type"]) == (data, "text/plain; charset=utf-8")
    assert "sandbox" in shown.headers["content-security-policy"]
    assert shown.headers["x-content-type-options"] == "nosniff"


def test_nginx_is_told_how_fast(site: Site, front: int) -> None:
    data = os.urandom(1 << 20)
    site.api.upload("a.bin", data)
    body = {"volume": "disk", "vfid": FOLDER, "relpath": "a.bin", "rate": 100 << 20}
    token = site.api.manager("POST", "/folder/file/download", body).json["token"]
    direct = ask(site.api.client_port, "GET", f"/download?token={token}")
    assert (direct.body, direct.headers["x-accel-limit-rate"]) == (b"", str(100 << 20))
    answer = ask(front, "GET", f"/download?token={token}")
    assert (answer.status, answer.body) == (200, data)
    assert "x-accel-limit-rate" not in answer.headers


def test_whoever_sends_a_file_sends_all_of_it(site: Site, front: int) -> None:
    """So that all answers about one file have one tag, and one that is known is recognised."""
    site.api.upload("small", b"abc")
    target = site.api.download_url("small")
    tag = ask(front, "GET", target).headers["etag"]
    assert ask(front, "HEAD", target).headers["etag"] == tag
    assert ask(front, "GET", target, headers={"If-None-Match": tag}).status == 304
    data = os.urandom(1 << 20)
    site.api.upload("large", data)
    target = site.api.download_url("large")
    tag = ask(front, "GET", target).headers["etag"]
    part = ask(front, "GET", target, headers={"Range": "bytes=0-9"})
    assert (part.status, part.body, part.headers["etag"]) == (206, data[:10], tag)
    part = ask(front, "GET", target, headers={"Range": "bytes=5-", "If-Range": part.headers["etag"]})
    assert (part.status, part.body) == (206, data[5:])


def test_no_name_leads_lighttpd_to_another_file(tmp_path: Path) -> None:
    """It decodes what it is told, so that a name may hold the way to somebody else's folder."""
    volumes = tmp_path / "volumes"
    with open_site(tmp_path, gateway__offload="X-Sendfile", gateway__offload_prefix=str(volumes)) as site:
        site.start("actor")
        site.start("gateway")
        site.api.make_folder()
        data = os.urandom(1 << 20)
        site.api.upload("a b+c.bin", data)
        site.api.upload("%2e%2e%2fsecret", data)
        (site.folder.parent / "secret").write_bytes(b"secret")
        port = free_port()
        config = tmp_path / "lighttpd.conf"
        config.write_text(LIGHTTPD.format(path=tmp_path, port=port, gateway=site.api.client_port))
        with _in_front("lighttpd", "-D", "-f", str(config), port=port):
            target = site.api.download_url("a b+c.bin")
            assert "x-sendfile" in ask(site.api.client_port, "GET", target).headers
            assert ask(port, "GET", target).body == data
            assert ask(port, "GET", site.api.download_url("%2e%2e%2fsecret")).body == data


def test_pages_may_read_what_nginx_sends(site: Site, front: int) -> None:
    site.api.upload("large", os.urandom(1 << 20))
    target = site.api.download_url("large")
    for more, status in (({}, 200), ({"Range": "bytes=5-9"}, 206), ({"Range": "bytes=9999999-"}, 416)):
        answer = ask(front, "GET", target, headers={"Origin": "https://webui.example", **more})
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://webui.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert (answer.headers["vary"], answer.headers["x-content-type-options"]) == ("Origin", "nosniff")
    assert "access-control-allow-origin" not in ask(front, "GET", target).headers


def test_nginx_follows_no_link_that_came_meanwhile(site: Site, front: int) -> None:
    """Who could put one there in the moment between would have any file sent that nginx may read."""
    (site.path / "volumes" / "linked").symlink_to("/etc/passwd")
    assert ask(front, "GET", "/linked").status == 403
