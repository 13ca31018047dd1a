"""The two families of errors: one reaches the user, the other reaches the model.

SwarmError                what a user did or has; carries an exit code and one line that says the mend
├── UsageError      2     words on the command line, or agents.yaml
├── TargetError     3     the target does not start, its tests are red, a bad path
├── ProviderError   4     the model provider, where no fallback is allowed
├── BudgetExceeded  5     a budget or deadline ended the run early
└── Interrupted   130     Ctrl-C; what was done is kept

ToolFailed                a tool could not do what a model asked; the text goes back to that model

Anything else that is raised is a bug of ours (exit code 70).
"""

from __future__ import annotations

BUG_EXIT_CODE = 70


class SwarmError(Exception):
    """An error that a user can mend; `str(error)` is one or two plain lines that say how."""

    exit_code = 1


class UsageError(SwarmError):
    """The command line or agents.yaml is wrong."""

    exit_code = 2


class TargetError(SwarmError):
    """The target cannot be worked on as it is."""

    exit_code = 3


class ProviderError(SwarmError):
    """The model provider failed and nothing may take its place."""

    exit_code = 4


class BudgetExceeded(SwarmError):
    """A budget or a deadline ended the run early; what was done is reported."""

    exit_code = 5


class Interrupted(SwarmError):
    """The user stopped the run."""

    exit_code = 130


class ToolFailed(Exception):
    """A tool could not do what was asked; `str(error)` tells the model what to try instead."""
