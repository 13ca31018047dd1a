"""A search that looks for words first finds what the pattern finds."""

from __future__ import annotations

import re

import pytest

from swarm.analysis.module import Module
from swarm.analysis.reading.mentions import _alternatives, holds, in_small_letters
from swarm.analysis.reading.parsing import parse_module

PATTERNS = (
    r"audit[-_. ]?(log|trail)|(?<!my[-_])pgaudit|\bsiem\b",
    r"(seen|known)_(ids?|events?)\b|replay_(guard|cache)|dedup(e|lication)?_keys?",
    r"status_code\s*=\s*(\w+\.)*429|,\s*429\s*\n|[\"']content-type[\"'].{0,9}(!=|==)",
    r"a{2}b|x?yz+|(?:one|two)+three|[^\]|]w|\(\)|^top|",
    r"prometheus[-_](?!lines)\w|\w[-_]prometheus",
)
TEXTS = (
    "", "audit log", "audit", "my_pgaudit", "the pgaudit", "siem", "a siem here", "known_id = 1", "knowns_id",
    "replay_cache", "dedup_key", "deduplication_keys", "dedupx_keys", "status_code = http.429", "return {}, 429\n",
    "'content-type' == x", "'content-type', but nothing compared ==", "aab", "ab", "yz", "onetwothree", "three", "w",
    "f()", "top", "prometheus_lines", "prometheus_client", "my-prometheus",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_the_pattern_finds_is_found(pattern: str) -> None:
    for text in TEXTS:
        assert holds(text, pattern) == (re.search(pattern, text) is not None), text


def test_each_alternative_is_known_by_words_of_its_own() -> None:
    words = [words for words, _ in _alternatives(r"(old|next)_(secret|key)|colou?r_map|\bhyx\.\w|\w+")]
    assert words == [("old", "next"), ("r_map",), ("hyx.",), ("",)]


def test_a_module_mentions_a_pattern_whatever_the_case() -> None:
    text = "HEADER = 'x-SIG: d'\n"
    module = Module("app.py", text, parse_module(text), "app")
    assert module.mentions(r"\bX-Sig\b\W+[A-F]")
    assert not module.mentions(r"\bX-Sig\b\W+[E-F]")
    assert in_small_letters(r"\W[A-F]B") == r"\W[a-f]b"
