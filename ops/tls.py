"""TLS on the ports."""

from __future__ import annotations

import ssl

from domain.errors import InvalidRequestError
from gateway.settings import Listen, ManagerListen, TlsListen


def server_context(listen: Listen) -> ssl.SSLContext | None:
    """The TLS context of a port, None if it speaks plain HTTP. Blocking: reads the files.

    Raises:
        InvalidRequestError: a file is missing, or is no certificate or key that fit each other.
    """
    if not isinstance(listen, TlsListen) or listen.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(listen.tls_certificate, listen.tls_key)
        if isinstance(listen, ManagerListen) and listen.tls_client_ca is not None:
            context.load_verify_locations(listen.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequestError(f"TLS of port {listen.port}: {error.strerror or error}") from error
    return context
