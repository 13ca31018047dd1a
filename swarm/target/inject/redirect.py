"""Runs inside the target (standard library only, Python 3.8+): no name lookup leaves the machine.

Names that mean this machine resolve as ever. Any other host resolves, for web ports, to an address of loopback
that nobody uses; a connection to that address, whatever its port, is led to swarm's one port (some clients keep
the port of the URL and not the one that the look-up gave). There the host's declared routes are played, or the
call is refused and listed. Every other port fails as an unknown name does, and is noted in a file.
"""
# mypy: ignore-errors
# ruff: noqa: BLE001, PTH123, PTH113, UP031
# Read by the target's interpreter, old ones included, before its own imports: no pathlib, no typing.

import importlib.abc
import importlib.machinery
import ipaddress
import os
import socket
import ssl
import sys

_PORT = int(os.environ.get("SWARM_REDIRECT_PORT", "0") or 0)
_HOSTS = frozenset(os.environ.get("SWARM_REDIRECT_HOSTS", "").lower().split())
_REFUSED_FILE = os.environ.get("SWARM_REFUSED_FILE", "")
_BUNDLE = os.environ.get("SSL_CERT_FILE", "")
_WEB_PORTS = frozenset({80, 443, 3000, 5000, 8000, 8001, 8008, 8080, 8081, 8088, 8443, 8888, 9000, 9443})
_NAMED_PORTS = {"http": 80, "https": 443}
_AUTHORITY = os.environ.get("SWARM_CA_FILE", "")
_STAND_IN = "127.83.87.1"
_real_getaddrinfo = socket.getaddrinfo
_real_gethostbyname = socket.gethostbyname
_real_gethostbyname_ex = socket.gethostbyname_ex
_real_connect = socket.socket.connect
_real_connect_ex = socket.socket.connect_ex
_real_load = ssl.SSLContext.load_verify_locations


def _text(host):
    return host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else host


def _is_local(host):
    if host is None or host == "":
        return True
    name = str(_text(host)).strip("[]").rstrip(".").lower()
    if name in ("localhost", "ip6-localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return True  # an address needs no lookup; where it may lead is the sandbox's business


def _number(port):
    if isinstance(port, int):
        return port
    text = _text(port)
    if text is None:
        return 0
    return int(text) if str(text).isdigit() else _NAMED_PORTS.get(str(text), 0)


def _leads_here(host, port):
    """Whether swarm's port answers for this host and port."""
    return bool(_PORT) and (str(_text(host)).rstrip(".").lower() in _HOSTS or _number(port) in _WEB_PORTS)


def _refuse(host, port):
    number = _number(port)
    address = "%s:%d" % (_text(host), number) if number else str(_text(host))
    if _REFUSED_FILE:
        try:
            with open(_REFUSED_FILE, "a") as refused:
                refused.write("CONNECT %s\n" % address)
        except OSError:
            pass
    raise socket.gaierror(socket.EAI_NONAME, "swarm: no network but loopback: %s" % address)


def _getaddrinfo(host, port, *args, **kwargs):
    if _is_local(host):
        return _real_getaddrinfo(host, port, *args, **kwargs)
    if _leads_here(host, port):
        family = kwargs.get("family", args[0] if args else 0)
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "swarm: only IPv4 leads to the played hosts")
        kind = kwargs.get("type", args[1] if len(args) > 1 else 0) or socket.SOCK_STREAM
        return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", (_STAND_IN, _number(port)))]
    return _refuse(host, port)


def _gethostbyname(host):
    if _is_local(host):
        return _real_gethostbyname(host)
    return _STAND_IN if _leads_here(host, 0) else _refuse(host, 0)


def _gethostbyname_ex(host):
    if _is_local(host):
        return _real_gethostbyname_ex(host)
    return (_text(host), [], [_gethostbyname(host)])


def _led(address):
    if isinstance(address, tuple) and address and _text(address[0]) == _STAND_IN:
        return ("127.0.0.1", _PORT)
    return address


def _connect(self, address):
    return _real_connect(self, _led(address))


def _connect_ex(self, address):
    return _real_connect_ex(self, _led(address))


def _load_verify_locations(self, cafile=None, capath=None, cadata=None):
    """Clients that bring a bundle of their own (payment and cloud SDKs do) trust the test authority as well."""
    _real_load(self, cafile, capath, cadata)
    if cafile != _BUNDLE and os.path.isfile(_AUTHORITY):
        _real_load(self, _AUTHORITY)


def _into_uvloop(module):
    """uvloop looks names up in C: its loop gets ready addresses instead."""
    loop_class = module.Loop
    real_getaddrinfo, real_connect = loop_class.getaddrinfo, loop_class.create_connection

    async def getaddrinfo(self, host, port, **options):
        if _is_local(host):
            return await real_getaddrinfo(self, host, port, **options)
        return _getaddrinfo(host, port, **options)

    async def create_connection(self, factory, host=None, port=None, **options):
        if host is not None and not _is_local(host):
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = host
            host, port = _getaddrinfo(host, port)[0][4]
        host, port = _led((host, port))
        return await real_connect(self, factory, host, port, **options)

    loop_class.getaddrinfo = getaddrinfo
    loop_class.create_connection = create_connection


def _into_aiohttp(module):
    """aiohttp asks c-ares where aiodns is installed; the threaded resolver asks `socket`."""
    module.DefaultResolver = module.ThreadedResolver


def _into_certifi(module):
    """Clients that name certifi's bundle themselves get the one with the test authority in it."""
    if _BUNDLE and os.path.isfile(_BUNDLE):
        module.where = lambda: _BUNDLE


_AFTER_IMPORT = {
    "uvloop": _into_uvloop,
    "aiohttp.resolver": _into_aiohttp,
    "certifi": _into_certifi,
    "certifi.core": _into_certifi,
}


class _Loader(importlib.abc.Loader):
    def __init__(self, real, change):
        self._real = real
        self._change = change

    def create_module(self, spec):
        return self._real.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = self._real
        module.__spec__.loader = self._real
        self._real.exec_module(module)
        try:
            self._change(module)
        except Exception as error:  # the target must run, whatever its libraries look like inside
            sys.stderr.write("swarm: %s is not redirected: %s\n" % (module.__name__, error))


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        change = _AFTER_IMPORT.get(name)
        if change is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, change)
                return spec
        return None


if _PORT:
    socket.getaddrinfo = _getaddrinfo
    socket.gethostbyname = _gethostbyname
    socket.gethostbyname_ex = _gethostbyname_ex
    socket.socket.connect = _connect
    socket.socket.connect_ex = _connect_ex
    ssl.SSLContext.load_verify_locations = _load_verify_locations
    sys.meta_path.insert(0, _Finder())
    for _name, _change in _AFTER_IMPORT.items():
        if _change is not None and _name in sys.modules:
            _change(sys.modules[_name])
