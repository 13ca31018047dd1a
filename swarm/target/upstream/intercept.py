"""A loopback stand-in for hosts that the target's code names: one port, a certificate authority per run.

The port takes TLS straight (certificate by server name), `CONNECT` and plain http as a proxy does. The target
is led there by inject/redirect.py, which answers its name lookups. No proxy variable is set: httpx builds a
further TLS context for each of them, which trebles the cost of a client and so would falsify measurements.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_HEAD_LIMIT_BYTES = 16_384
_SILENCE_S = 10.0
AUTHORITY_FILE = "ca.pem"
_TLS_HANDSHAKE = b"\x16"


class Authority:
    """A certificate authority for one run; its key never leaves memory but for the leaves' files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._key, self._certificate = _make_ca()

    def context(self, host: str) -> ssl.SSLContext:
        """A server's TLS context with a leaf for `host`, made once."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._leaf(host))
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[host] = context
        return self._contexts[host]

    def context_by_name(self) -> ssl.SSLContext:
        """A context that takes the leaf of whatever host the client names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._leaf("localhost"))
        context.set_alpn_protocols(["http/1.1"])

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name:
                connection.context = self.context(name.lower())

        context.sni_callback = choose
        return context

    def write_bundle(self, usual: Path, destination: Path) -> None:
        """The usual certificates with this CA's behind them: building a client keeps its usual cost.

        The CA alone stands beside it, as AUTHORITY_FILE.
        """
        from cryptography.hazmat.primitives.serialization import Encoding

        own = self._certificate.public_bytes(Encoding.PEM)
        destination.write_bytes(usual.read_bytes().rstrip() + b"\n" + own)
        destination.with_name(AUTHORITY_FILE).write_bytes(own)

    def _leaf(self, host: str) -> Path:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key, certificate = _make_leaf(host, self._key, self._certificate)
        number = len(list(self._folder.glob("leaf-*.pem")))
        path = self._folder / f"leaf-{number}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.touch(0o600)
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path


class Authorities:
    """One authority for each interpreter, with the bundle of certificates that its programs are given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Path, tuple[Authority, Path]] = {}
        self._one = threading.Lock()

    def of(self, python: Path) -> tuple[Authority, Path]:
        """The authority and the bundle, made when first asked for. Safe to call from several threads."""
        with self._one:
            if python not in self._made:
                folder = self._folder / f"authority-{len(self._made)}"
                authority = Authority(folder)
                authority.write_bundle(usual_bundle(python), folder / "ca-bundle.pem")
                self._made[python] = authority, folder / "ca-bundle.pem"
            return self._made[python]


_AT_HAND: ContextVar[Authorities | None] = ContextVar("authorities", default=None)


@contextmanager
def one_authority(folder: Path) -> Iterator[None]:
    """For the block, all upstreams have one authority: every start of the target is given the same bundle."""
    token = _AT_HAND.set(Authorities(folder))
    try:
        yield
    finally:
        _AT_HAND.reset(token)


def authorities(folder: Path) -> Authorities:
    """Those of the block of `one_authority`, or new ones in `folder`."""
    return _AT_HAND.get() or Authorities(folder)


@functools.cache
def usual_bundle(python: Path) -> Path:
    """The certificate bundle that the target's http clients load: its own certifi's, else swarm's."""
    import certifi

    try:
        found = subprocess.run(
            [str(python), "-c", "import certifi; print(certifi.where())"],
            capture_output=True, text=True, timeout=10, check=False, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return Path(certifi.where())
    path = Path(found.stdout.strip())
    return path if found.returncode == 0 and path.is_file() else Path(certifi.where())


class Front:
    """The one port: looks at a connection's first bytes, then hands its socket to TLS or to plain http."""

    def __init__(self, server: web.Server, context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._accepting: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self.port = 0

    def beside(self, server: web.Server) -> Front:
        """Another front with the same certificates, for another server."""
        return Front(server, self._context)

    def open(self, preferred_port: int = 0) -> None:
        """Listen on a loopback port: the preferred one where it is free."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", preferred_port))
        except OSError:
            self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(512)
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Stop listening; connections that were handed over belong to the http server."""
        tasks = [*self._opening, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:  # too many open files for a moment
                await asyncio.sleep(0.05)
                continue
            task = loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(_SILENCE_S):
                first = await _peek(connection, 8)
                if first == b"CONNECT ":
                    await self._answer_connect(connection)
                    first = await _peek(connection, 1)
                if not first:
                    connection.close()
                    return
                context = self._context if first[:1] == _TLS_HANDSHAKE else None
                loop = asyncio.get_running_loop()
                await loop.connect_accepted_socket(self._server, connection, ssl=context)
        except (OSError, TimeoutError):
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _answer_connect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        size = 8
        while b"\r\n\r\n" not in (head := await _peek(connection, size)):
            if len(head) < size or size > _HEAD_LIMIT_BYTES:
                raise OSError("no end of the CONNECT request")
            size += 1
        await loop.sock_recv(connection, head.index(b"\r\n\r\n") + 4)
        await loop.sock_sendall(connection, b"HTTP/1.1 200 Connection established\r\n\r\n")


async def _peek(connection: socket.socket, size: int) -> bytes:
    """The first `size` bytes, left where they are; fewer where the client closed or was silent after them."""
    connection.setblocking(False)
    for _ in range(200):
        await _readable(connection)
        seen = connection.recv(size, socket.MSG_PEEK)
        if not seen or len(seen) == size or seen[:1] == _TLS_HANDSHAKE:
            return seen
        await asyncio.sleep(0.005)
    return seen


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection.fileno(), lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(connection.fileno())


def _make_ca() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "swarm test authority (one run)")])
    builder = _dated(x509.CertificateBuilder().subject_name(name).issuer_name(name))
    builder = builder.public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return key, builder.sign(key, hashes.SHA256())


def _make_leaf(
    host: str, ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host[:64])])
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host.encode("idna").decode())]
    builder = _dated(x509.CertificateBuilder().subject_name(name).issuer_name(ca.subject))
    builder = builder.public_key(key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(purpose, critical=False)
    # Python 3.13 verifies strictly: a leaf must name its issuer's key
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    return key, builder.sign(ca_key, hashes.SHA256())


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - day).not_valid_after(now + 7 * day)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
