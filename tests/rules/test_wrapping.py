"""Lines that a mend made too long are broken as formatters break them."""

from __future__ import annotations

import ast
import textwrap

import pytest

from swarm.rules.writing.wrapping import wrapped

BROKEN = (
    """
    rows = session.execute(
        text("SELECT id, name, email, balance_cents FROM customers WHERE email LIKE :email"),
        {"email": f"%{email}%"},
    )
    """,
    """
    answer = with_retries(
        lambda: _http.get(address, headers=self.headers, params=chosen, timeout=HTTP_TIMEOUT_S)
    )
    """,
    """
    async with aiohttp.ClientSession(
        headers=headers, timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
    ) as session:
        pass
    """,
    """
    return any(
        [
            hmac.compare_digest(sign(body, key=key), sent)
            for key in signing_keys(None, 'HOOK_KEY_PREVIOUS')
        ]
    )
    """,
)


@pytest.mark.parametrize("text", BROKEN)
def test_a_long_line_is_broken_at_its_last_bracket(text: str) -> None:
    broken = f"async def f():\n{textwrap.indent(textwrap.dedent(text).strip(), '    ')}\n"
    line = ast.unparse(ast.parse(broken)) + "\n"
    assert max(map(len, line.splitlines())) > 100
    assert ast.dump(ast.parse(line)) == ast.dump(ast.parse(broken))
    assert wrapped("async def f():\n    pass\n", line).replace("'", '"') == broken.replace("'", '"')


@pytest.mark.parametrize(
    "line",
    [
        f"x = call({'a' * 60}, {'b' * 60})  # a word about it\n",
        f"x = '{'long ' * 30}'\n",
        f"x = {'one + ' * 25}one\n",
    ],
)
def test_what_cannot_be_broken_without_a_doubt_stays(line: str) -> None:
    assert wrapped("", line) == line


def test_lines_of_the_file_s_own_length_stay() -> None:
    own = f"first = call({', '.join(['argument'] * 14)})\n"
    added = f"other = call({', '.join(['argument'] * 13)})\n"
    assert wrapped(own, own + added) == own + added
    assert wrapped("", added) != added
