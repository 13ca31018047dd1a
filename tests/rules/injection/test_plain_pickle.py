"""Pickles of plain values are read as before, and what names anything else is refused before it runs."""

from __future__ import annotations

import builtins
import datetime
import io
import pickle
import pickletools
import uuid
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

SERVICE = """import pickle

from flask import Flask, request

app = Flask(__name__)


@app.post("/basket")
def basket():
    lines = pickle.loads(request.get_data())
    return {"lines": len(lines["items"]), "first": [line.upper() for line in lines["items"]][:1]}
"""
PLAIN: dict[str, Any] = {
    "a": [1, 2.5, None, True, "é", b"\x00\xff", (1, (2, 3)), {4, 5}, frozenset({6}), bytearray(b"x"), 3 + 4j],
    "b": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
    "c": [datetime.date(2026, 1, 2), datetime.timedelta(seconds=3), Decimal("1.5"), Fraction(1, 3)],
    "d": [OrderedDict(x=1), deque([1, 2]), Counter("aab"), uuid.UUID(int=7), range(3), slice(1, 2)],
}


class Trap:
    """Unpickling it calls `eval`."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return builtins.eval, ("__import__('sys').audit('swarm.trap')",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("basket")
    write(path, {"app.py": SERVICE})
    mend(path, "unsafe-deserialisation")
    return path


def test_plain_values_come_as_before(folder: Path) -> None:
    with loaded(folder, "plain_pickle") as module:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(PLAIN, protocol)
            assert module.load_plain(data) == PLAIN, protocol
            assert module.load_plain(io.BytesIO(data)) == PLAIN


def test_what_names_anything_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = [pickle.dumps(Trap(), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    hostile += [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\nset.__init__.__globals__\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"c_codecs\ndecode\n(Vx\nVrot13\ntR.",
        b"ccopyreg\n_reconstructor\n(c__main__\nA\nc__builtin__\nobject\nNtR.",
    ]
    with loaded(folder, "plain_pickle") as module:
        for data in hostile:
            pickletools.dis(data, io.StringIO())
            with pytest.raises(pickle.UnpicklingError) as raised:
                module.load_plain(data)
            assert getattr(raised.value, "code", None) == 400
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            module.load_plain(b"")
        monkeypatch.setenv("PICKLED_CLASSES", "pathlib.PurePosixPath, builtins.eval.x")
        assert module.load_plain(pickle.dumps(PurePosixPath("/a"))).name == "a"
        monkeypatch.setenv("PLAIN_PICKLES", "0")
        assert module.load_plain(pickle.dumps(Path)) is Path


def test_the_mended_handler_answers_alike_and_refuses_with_400(folder: Path) -> None:
    with loaded(folder, "app") as module:
        client = module.app.test_client()
        answer = client.post("/basket", data=pickle.dumps({"items": ["tea", "milk"]}))
        assert (answer.status_code, answer.get_json()) == (200, {"lines": 2, "first": ["TEA"]})
        assert client.post("/basket", data=pickle.dumps(Trap())).status_code == 400


@pytest.mark.parametrize(
    ("uses", "is_plain"),
    [
        ("return {'n': len(got)}", True),
        ("return {'n': got.get('n', 0), 'all': sorted(got['all'])}", True),
        ("for line in got:\n        print(line['a'])\n    return 'ok'", True),
        ("return got", True),
        ("return got.predict([1])", False),
        ("return keep(got)", False),
        ("app.model = got\n    return 'ok'", False),
        ("return {'n': got.n}", False),
        ("return got(1)", False),
        ("first = got['first']\n    return first.run()", False),
        ("if isinstance(got, Trap):\n        return 'no'\n    return 'ok'", False),
    ],
)
def test_only_what_is_used_as_plain_values_is_mended(uses: str, is_plain: bool, tmp_path: Path) -> None:
    code = SERVICE.split("    lines =")[0] + f"    got = pickle.loads(request.get_data())\n    {uses}\n"
    write(tmp_path, {"app.py": code})
    (finding,) = find(tmp_path, "unsafe-deserialisation")
    assert finding.mendable is is_plain
