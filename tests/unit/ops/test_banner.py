"""What `penstock serve` says when everything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.embedded import Home
from ops.serve import banner
from ops.settings import load_settings

SECRET = "0123456789abcdef0123456789abcdef"
SETTINGS = """
[gateway]
manager_secret = "{secret}"
token_secret = "{secret}"
[gateway.client]
{client}
port = 1
[volumes.disk]
backend = "vfs"
path = "/srv/disk"
"""


@pytest.mark.parametrize(
    ("client", "url"),
    [
        ("", "http://127.0.0.1:1"),
        ("host = '0.0.0.0'", "http://127.0.0.1:1"),
        ("host = ''", "http://127.0.0.1:1"),
        ("host = '::'", "http://[::1]:1"),
        ("host = 'there'", "http://there:1"),
        ("tls_certificate = 'x.pem'", "https://127.0.0.1:1"),
    ],
)
def test_its_addresses_can_be_asked(tmp_path: Path, client: str, url: str) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(SETTINGS.format(secret=SECRET, client=client))
    home = Home(tmp_path / "data")
    home.path.mkdir()
    home.prepare(config)
    said = banner(load_settings(config), home)
    assert f"clients      {url}\n" in said
    assert f"; C={url};" in said
    assert "set PENSTOCK__GATEWAY__MANAGER_SECRET" in said
    assert SECRET not in said
