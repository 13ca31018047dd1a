"""How a mend writes: where code goes, how it is spliced in, how a file reaches a new module."""
