"""Keeps a target's Python on this machine: connections and look-ups beyond loopback are refused and noted.

Loaded by sitecustomize before anything else, so that a redirector that comes later wraps it and may send a
host to loopback first. Standard library only, Python 3.8 and later.
"""
# mypy: ignore-errors
# ruff: noqa: UP031 - it runs in any interpreter, before anything else may be imported

import errno
import os
import socket
import sys

_LOG = os.environ.get("SWARM_EGRESS_LOG", "")
_INTERNET = {socket.AF_INET, socket.AF_INET6}
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_sendto = socket.socket.sendto
_getaddrinfo = socket.getaddrinfo
_gethostbyname = socket.gethostbyname
_gethostbyname_ex = socket.gethostbyname_ex


def _note(host, port):
    if not _LOG:
        return
    try:
        line = "%s:%s\n" % (host, port)
        descriptor = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode("utf-8", "replace"))
        finally:
            os.close(descriptor)
    except OSError:
        pass


def _text(host):
    if isinstance(host, (bytes, bytearray)):
        return bytes(host).decode("ascii", "replace")
    return host


def _is_local(host):
    host = _text(host)
    if host is None or host == "":
        return True
    host = str(host).split("%")[0].rstrip(".").lower()
    if host in ("localhost", "ip6-localhost", "::1", "::", "0.0.0.0") or host.endswith(".localhost"):
        return True
    if host.startswith("::ffff:"):
        host = host[7:]
    return _is_numeric_loopback(host) or host == socket.gethostname().lower()


def _is_numeric_loopback(host):
    try:
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except (OSError, ValueError):
        return False


def _refusal(host, port, kind=None):
    _note(_text(host), _text(port))
    text = "swarm: no network but loopback: %s:%s is out of reach; declare it under `upstreams`" % (
        _text(host),
        _text(port),
    )
    if kind is not None:
        return kind(socket.EAI_NONAME, text)
    return OSError(errno.ENETUNREACH, text)


def _leaves(sock, address):
    return sock.family in _INTERNET and isinstance(address, tuple) and address and not _is_local(address[0])


def connect(self, address):
    if _leaves(self, address):
        raise _refusal(address[0], address[1])
    return _connect(self, address)


def connect_ex(self, address):
    if _leaves(self, address):
        _refusal(address[0], address[1])
        return errno.ENETUNREACH
    return _connect_ex(self, address)


def sendto(self, data, *rest):
    if rest and _leaves(self, rest[-1]):
        raise _refusal(rest[-1][0], rest[-1][1])
    return _sendto(self, data, *rest)


def getaddrinfo(host, port, *args, **kwargs):
    if not _is_local(host):
        if _is_number(host):  # binding or parsing is no look-up; connecting is refused above
            return _getaddrinfo(host, port, *args, **kwargs)
        raise _refusal(host, port, socket.gaierror)
    return _getaddrinfo(host, port, *args, **kwargs)


def _is_number(host):
    for family in _INTERNET:
        try:
            socket.inet_pton(family, str(_text(host)).split("%")[0])
            return True
        except (OSError, ValueError):
            continue
    return False


def gethostbyname(host):
    if not _is_local(host) and not _is_number(host):
        raise _refusal(host, "", socket.gaierror)
    return _gethostbyname(host)


def gethostbyname_ex(host):
    if not _is_local(host) and not _is_number(host):
        raise _refusal(host, "", socket.gaierror)
    return _gethostbyname_ex(host)


def _guard_uvloop(module):
    """uvloop resolves and connects in C, past the socket module: let names go through socket.getaddrinfo first."""
    loop = module.Loop
    connection, datagram, lookup = loop.create_connection, loop.create_datagram_endpoint, loop.getaddrinfo

    async def resolved(self, host, port, family=0):
        if _is_local(host):
            return host, port
        infos = await self.run_in_executor(None, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        address = infos[0][4]
        if not _is_local(address[0]):
            raise _refusal(host, port)
        return address[0], address[1]

    async def create_connection(self, protocol_factory, host=None, port=None, **options):
        if host is not None and options.get("sock") is None:
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = _text(host)
            host, port = await resolved(self, host, port, options.get("family", 0))
        return await connection(self, protocol_factory, host, port, **options)

    async def create_datagram_endpoint(self, protocol_factory, local_addr=None, remote_addr=None, **options):
        if isinstance(remote_addr, tuple):
            remote_addr = await resolved(self, remote_addr[0], remote_addr[1])
        return await datagram(self, protocol_factory, local_addr=local_addr, remote_addr=remote_addr, **options)

    async def getaddrinfo(self, host, port, **options):
        if _is_local(host):
            return await lookup(self, host, port, **options)
        return await self.run_in_executor(None, lambda: socket.getaddrinfo(host, port, **options))

    loop.create_connection = create_connection
    loop.create_datagram_endpoint = create_datagram_endpoint
    loop.getaddrinfo = getaddrinfo


class _UvloopFinder:
    """Sees uvloop being imported, whenever that is, and guards it then."""

    def find_spec(self, name, path=None, target=None):
        if name != "uvloop":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _guard_uvloop(module)

        spec.loader.exec_module = exec_module
        return spec


def _install():
    socket.socket.connect = connect
    socket.socket.connect_ex = connect_ex
    socket.socket.sendto = sendto
    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = gethostbyname
    socket.gethostbyname_ex = gethostbyname_ex
    sys.meta_path.insert(0, _UvloopFinder())


_install()
