"""The rule repeated-question: questions to a model that have one answer alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.kept_answers.reading_code import ASK, found


@pytest.mark.parametrize(
    ("then", "count"),
    [
        ("", 1),
        ('body["temperature"] = 0\n    ', 1),
        ('body["temperature"] = 0.7\n    ', 0),
        ('body["temperature"] = size\n    ', 0),
        ('body["tools"] = [{"name": "mail"}]\n    ', 0),
        ('body["stream"] = True\n    ', 0),
        ('body["stream"] = False\n    ', 1),
        ("body.update(overrides)\n    ", 0),
        ("overrides[prompt] = 'asked'\n    ", 0),
        ("prompt = f'{prompt} {time.time()}'\n    ", 0),
    ],
)
def test_questions_with_one_answer_alone(tmp_path: Path, then: str, count: int) -> None:
    assert len(found(tmp_path, ASK.format(then=then), "await ask(name)", "repeated-question")) == count


def test_a_question_by_a_providers_package(tmp_path: Path) -> None:
    body = """import anthropic

claude = anthropic.AsyncAnthropic()


async def ask(prompt: str) -> str:
    told = await claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": prompt}])
    return told.content[0].text
"""
    assert [f.mendable for f in found(tmp_path, body, "await ask(name)", "repeated-question")] == [True]
    assert not found(tmp_path, body.replace("max_tokens=9", "tools=TOOLS"), "await ask(name)", "repeated-question")
