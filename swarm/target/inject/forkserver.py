"""Runs in the target's interpreter, before its program: imports its libraries, then forks a child for each start.

A child goes on as if it had just been started: this module returns in it, and the interpreter runs the program with
the child's own arguments, environment, folder and output. The fork server itself never gets so far.

Only libraries are imported beforehand, and of those none that would have looked at something that differs from start
to start: an environment variable, the working folder, a certificate file. Standard library only, Python 3.8 and
later.
"""
# mypy: ignore-errors
# ruff: noqa: BLE001, PTH109, PTH117, PTH120, PTH208 - it runs in any interpreter, before anything else may be imported

import builtins
import ctypes
import importlib
import io
import json
import os
import signal
import socket
import ssl
import struct
import sys

_PR_SET_PDEATHSIG = 1
_LENGTH = struct.Struct("!I")


class _Apart(BaseException):
    """Ends the import of what is left to each child; an ImportError would be taken for a library that is missing."""


class _Environment(os._Environ):
    """Tells a watch which variables are looked at."""

    watch = None

    def __getitem__(self, key):
        if self.watch is not None:
            self.watch.looked_at(key)
        return os._Environ.__getitem__(self, key)

    def __iter__(self):
        if self.watch is not None:
            self.watch.note()
        return os._Environ.__iter__(self)


class _Watch:
    """Notes the modules whose import looks at what differs from start to start; `with` it for as long."""

    def __init__(self, differing):
        self.differing = set(differing)
        self.looked = set()
        self.touched = set()
        self.asked = []
        self._undo = []

    def __enter__(self):
        os.environ.__class__ = _Environment
        _Environment.watch = self
        self._instead(os, "getcwd", lambda real: self._noting(real))
        self._instead(ssl.SSLContext, "set_default_verify_paths", lambda real: self._certificates(real))
        for where in (builtins, io):
            self._instead(where, "open", lambda real: self._opening(real))
        return self

    def __exit__(self, *error):
        _Environment.watch = None
        os.environ.__class__ = os._Environ
        for where, name, real in self._undo:
            setattr(where, name, real)

    def looked_at(self, key):
        """A variable is read. That the standard library looks (for HOME, in sysconfig) means nothing to a service."""
        if not _is_standard(_being_imported()):
            self.looked.add(key)
            if key in self.differing:
                self.note()

    def folder_asked(self):
        """The working folder is asked for; what a module keeps of it under a name of its own, a child puts right."""
        imported = _being_imported()
        if not _is_standard(imported):
            self.asked.append([names.get("__name__", "") for names in imported])

    def keepers(self, folder):
        """The names under which modules keep the working folder; one that asked and keeps it otherwise is touched."""
        kept = set()
        for names in self.asked:
            module = sys.modules.get(names[0]) if names else None
            own = {name for name, value in vars(module).items() if value == folder} if module else ()
            kept |= {(names[0], name) for name in own}
            if not own:
                self.touched.update(names)
        return kept

    def note(self):
        """Whoever is being imported at the moment, and all that import it, is left to each child."""
        self.touched.update(names.get("__name__", "") for names in _being_imported())

    def _instead(self, where, name, wrapped):
        real = getattr(where, name)
        self._undo.append((where, name, real))
        setattr(where, name, wrapped(real))

    def _noting(self, real):
        def noting(*args, **options):
            self.folder_asked()
            return real(*args, **options)

        return noting

    def _certificates(self, real):
        def certificates(context):
            self.looked_at("SSL_CERT_FILE")
            self.looked_at("SSL_CERT_DIR")
            return real(context)

        return certificates

    def _opening(self, real):
        def opening(file, *args, **options):
            if isinstance(file, (str, os.PathLike)) and not os.path.isabs(os.fspath(file)):
                self.folder_asked()
            return real(file, *args, **options)

        return opening


def _being_imported():
    """The globals of the modules whose code is being run, the innermost first."""
    found, frame = [], sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            found.append(frame.f_globals)
        frame = frame.f_back
    return found


def _is_standard(imported):
    file = imported[0].get("__file__") or "" if imported else ""
    return file.startswith(os.path.dirname(os.__file__) + os.sep) and "-packages" + os.sep not in file


class _LeftApart:
    """Ends the import of modules that are to be each child's own, and of all that is named as one of the target's."""

    def __init__(self, names, own):
        self._names = frozenset(names)
        self._own = frozenset(own)

    def find_spec(self, name, path=None, target=None):
        if name in self._names or name.partition(".")[0] in self._own:
            raise _Apart(name)
        return


def _receive(channel):
    """The next message and the descriptors beside it; nothing where swarm has gone."""
    data, beside, _, _ = channel.recvmsg(_LENGTH.size, socket.CMSG_SPACE(4))
    if not data:
        return None, []
    descriptors = [
        struct.unpack("i", content[:4])[0]
        for level, kind, content in beside
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
    ]
    while len(data) < _LENGTH.size:
        data += channel.recv(_LENGTH.size - len(data))
    left, parts = _LENGTH.unpack(data)[0], []
    while left:
        part = channel.recv(left)
        if not part:
            return None, descriptors
        parts.append(part)
        left -= len(part)
    return json.loads(b"".join(parts).decode()), descriptors


def _send(channel, message):
    data = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(data)) + data)


def _import_all(order):
    """Import the libraries in the order given; the watch that was kept, and where the working folder is kept."""
    finder = _LeftApart(order["apart"], order["own"])
    sys.meta_path.insert(0, finder)
    try:
        with _Watch(order["differing"]) as watch:
            held = _held()
            for name in order["imports"]:
                loaded = set(order["forks_well"]).intersection(sys.modules)
                try:
                    importlib.import_module(name)
                except (KeyboardInterrupt, MemoryError):
                    raise
                except BaseException:  # it is not there, or is each child's own: a child will see for itself
                    continue
                if _held() > held:  # a thread or a descriptor would not be a child's own
                    held = _held()
                    if loaded == set(order["forks_well"]).intersection(sys.modules):
                        watch.touched.add(name)
    finally:
        sys.meta_path.remove(finder)
    return watch, {("multiprocessing.process", "ORIGINAL_DIR")} | watch.keepers(os.getcwd())


def _held():
    return len(os.listdir("/proc/self/task")) + len(os.listdir("/proc/self/fd"))


def _die_with_parent():
    """For a fork: the kernel's request is not inherited."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask():
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _become(order, log, import_path, keepers):
    """What exec would have done for a child."""
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    words = len(sys.argv) - 1
    sys.argv[1:] = order["argv"][len(order["argv"]) - words :]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = order["argv"] if order["argv"][0] == sys.executable else [sys.executable, *order["argv"]]
    sys.path[:] = [*order["path"], *import_path]
    importlib.invalidate_caches()
    for module, name in keepers:
        if module in sys.modules:
            setattr(sys.modules[module], name, order["cwd"])
    numbers = sys.modules.get("numpy.random")
    if numbers is not None:  # the rest of Python seeds itself anew after a fork
        numbers.seed()


def _exit_code(pid):
    """How a child ended, as subprocess says it."""
    try:
        status = os.waitpid(pid, 0)[1]
    except OSError:
        return -signal.SIGKILL
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _serve(channel, keepers):
    """Answer swarm until it goes; returns in a child, and nowhere else."""
    import_path = list(sys.path)
    ask = _die_with_parent()
    while True:
        order, descriptors = _receive(channel)
        if order is None:
            os._exit(0)
        if "ended" in order:
            _send(channel, {"exit": _exit_code(order["ended"])})
            continue
        pid = os.fork()
        if pid == 0:
            ask()
            _become(order, descriptors[0], import_path, keepers)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _send(channel, {"pid": pid})


def _run():
    channel = socket.socket(fileno=int(os.environ.pop("SWARM_FORKSERVER")))
    order, _ = _receive(channel)
    if order is None:
        os._exit(0)
    watch, keepers = _import_all(order)
    patched = any(name in sys.modules for name in order["patchers"])
    _send(channel, {"touched": sorted(watch.touched), "looked": sorted(watch.looked), "patched": patched})
    if watch.touched or patched:
        os._exit(0)
    _serve(channel, keepers)


_run()
