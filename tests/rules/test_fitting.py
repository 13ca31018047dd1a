"""What a mend writes looks like the file around it."""

from __future__ import annotations

from swarm.rules.writing.fitting import fitted

OWN = "".join(f"name_{number} = 'text {number}'\n" for number in range(8))
ADDED = 'limit = call("A", f"{number}", "it\'s", "", key="b")\n"""doc"""\n'


def test_new_texts_have_the_quotes_of_the_file() -> None:
    assert (
        fitted(OWN, OWN + ADDED) == OWN + "limit = call('A', f'{number}', \"it's\", '', key='b')\n\"\"\"doc\"\"\"\n"
    )


def test_a_file_of_both_or_of_few_keeps_what_was_written() -> None:
    for own in ("x = 'one'\n", OWN + 'other = "y"\nthird = "z"\n'):
        assert fitted(own, own + ADDED) == own + ADDED


def test_lines_that_were_there_stay() -> None:
    own = "".join(f"name_{number} = 'text {number}'\n" for number in range(20)) + 'odd = "kept"\n'
    assert fitted(own, own + 'new = "x"\n') == own + "new = 'x'\n"
