"""TLS as we speak it to Kafka: 1.2 or newer, the server's name checked, and a failed handshake leaves nothing.

kafka-python leaves the socket of a failed handshake to the garbage collector, and tries again every second.
"""

import ssl
from typing import Any

from consumers.engine.connections import KafkaSettings, read_secret


class _TidySocket(ssl.SSLSocket):
    def do_handshake(self, *arguments: Any, **named: Any) -> None:  # type: ignore[explicit-override]
        try:
            super().do_handshake(*arguments, **named)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self.close()
            raise


def client_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Trusts `ssl_cafile`, or the system's authorities; shows `ssl_certfile`, if there is one.

    Raises OSError (an SSLError is one) where a file cannot be read or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the name, demands a certificate
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TidySocket
    if kafka.ssl_cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(kafka.ssl_cafile)
    if kafka.ssl_certfile is not None:
        password = read_secret(kafka.ssl_key_password, kafka.ssl_key_password_file)
        context.load_cert_chain(
            kafka.ssl_certfile,
            kafka.ssl_keyfile,
            None if password is None else password.get_secret_value(),
        )
    return context
