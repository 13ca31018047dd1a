"""What was said in one conversation: all of it, and what of it a model is still shown."""

from __future__ import annotations

from dataclasses import replace

from swarm.agents.conversation.clearing import Clearing, clear
from swarm.core.chat import Block, Conversation, Message, Role
from swarm.models.estimate import blocks_bound, blocks_tokens

_SAID_AGAIN = 64  # tokens around an answer's blocks when they are read as input, at most


class History:
    """Grows at its end only; `clear` alone changes what is shown of the past. Roles alternate, always.

    `cleared` counts the results that were taken out. `context_tokens` is the size of what is shown: the last turn's,
    as its model reported or estimated it, and an estimate of what was said since. `most_tokens` is what the next turn
    reads at most: what was cleared counts until a model has told the size without it.
    """

    def __init__(self, start: Conversation, most_tokens: int = 0) -> None:
        self.whole = self.shown = start
        self.cleared = 0
        self.context_tokens = 0
        self.most_tokens = most_tokens

    def answered(self, blocks: tuple[Block, ...]) -> None:
        """The model said something; after a paused turn it goes on in the same message."""
        self._add("assistant", blocks)

    def told(self, *blocks: Block) -> None:
        """The model is told something; it joins the last message where that is the user's."""
        self._add("user", blocks)
        self.context_tokens += blocks_tokens(blocks)
        self.most_tokens += blocks_bound(blocks)

    def took(self, tokens: int) -> None:
        """A turn was had over all that is shown, and these were its input and output."""
        self.context_tokens = tokens
        if tokens:  # some servers tell of none
            self.most_tokens = tokens + _SAID_AGAIN

    def clear(self, rule: Clearing) -> int:
        """Take out what has served, where the context is large; the tokens that came free."""
        if not rule.over_tokens or self.context_tokens <= rule.over_tokens:
            return 0
        done = clear(self.shown.messages, rule)
        if done is None:
            return 0
        self.shown = replace(self.shown, messages=done.messages)
        self.cleared += done.results
        self.context_tokens = max(0, self.context_tokens - done.freed_tokens)
        return done.freed_tokens

    def _add(self, role: Role, blocks: tuple[Block, ...]) -> None:
        same = self.whole is self.shown
        self.whole = _with(self.whole, role, blocks)
        self.shown = self.whole if same else _with(self.shown, role, blocks)


def _with(conversation: Conversation, role: Role, blocks: tuple[Block, ...]) -> Conversation:
    messages = conversation.messages
    if messages and messages[-1].role == role:
        joined = Message(role, (*messages[-1].blocks, *blocks))
        return replace(conversation, messages=(*messages[:-1], joined))
    return conversation.plus(Message(role, blocks))
