"""The proposer thread: asks the policy, checks what it says, turns whatever goes wrong into a value."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from autoresearch_rl.controller.journal import storable
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import PolicyError
from autoresearch_rl.events import AskPolicy, Proposed
from autoresearch_rl.history import History
from autoresearch_rl.policy import Ask, Policy
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Budget, LlmReply, LlmRequest, Proposal

_LOG = logging.getLogger(__name__)


@dataclass
class Proposer:
    """Answers asks with a policy's proposals, one ask at a time, in a thread of its own while `running`."""

    policy: Policy
    space: SearchSpace
    settings: Settings
    _asks: queue.SimpleQueue[tuple[AskPolicy, History, Budget] | None] = field(default_factory=queue.SimpleQueue)

    @contextmanager
    def running(self, post: Callable[[Proposed], None]) -> Iterator[None]:
        """Starts the thread, which posts one `Proposed` for each ask. It is not waited for: a policy may hang."""

        def serve() -> None:
            while (item := self._asks.get()) is not None:
                post(self.answer(*item))

        threading.Thread(target=serve, name="proposer", daemon=True).start()
        try:
            yield
        finally:
            self._asks.put(None)

    def ask(self, effect: AskPolicy, history: History, budget: Budget) -> None:
        """Queues an ask."""
        self._asks.put((effect, history, budget))

    def answer(self, effect: AskPolicy, history: History, budget: Budget) -> Proposed:
        """Asks the policy now. Never raises: an exception of the policy becomes `Proposed.error`."""
        import numpy as np

        rng = np.random.default_rng((self.settings.seed, effect.ask))
        ask = Ask(history=history, count=effect.count, rng=rng, budget=budget, complete=_no_model)
        try:
            proposals = tuple(self.policy.propose(ask))
            self._check(proposals, effect.count, history)
            # As the journal will have it: a policy sees the same memo before and after a resume, lists where it had put tuples.
            proposals = tuple(replace(proposal, memo=json.loads(json.dumps(dict(proposal.memo)))) for proposal in proposals)
        except (Exception, SystemExit) as error:  # foreign code: the one place where a policy's failure becomes a value
            _LOG.warning("the policy failed on ask %d", effect.ask, exc_info=not isinstance(error, PolicyError))
            return Proposed(ask=effect.ask, error=f"{type(error).__name__}: {error}")
        return Proposed(ask=effect.ask, proposals=proposals)

    def _check(self, proposals: tuple[Proposal, ...], count: int, history: History) -> None:
        if len(proposals) > count:
            raise PolicyError(f"the policy made {len(proposals)} proposals where {count} were asked for")
        for proposal in proposals:
            wrong = self.space.check(proposal.params)
            if wrong:
                raise PolicyError(f"the policy proposed what is not in the search space: {wrong}")
            for name, number in (("parent", proposal.parent), ("repeat_of", proposal.repeat_of)):
                if number is not None and not _known(number, history):
                    raise PolicyError(f"the policy proposed {name}={number!r}, which is no trial of its history")
            if not _is_json(proposal):
                raise PolicyError(f"the policy proposed texts or a memo that JSON cannot hold: {proposal!r:.200}")


def _known(number: int, history: History) -> bool:
    return history.find(number) is not None or any(trial.number == number for trial in history.pending)


def _is_json(proposal: Proposal) -> bool:
    """Whether the journal can hold it, and give it back."""
    texts = (proposal.patch, proposal.rationale, proposal.source)
    return all(isinstance(text, str) for text in texts) and storable([dict(proposal.memo), *texts])


def _no_model(_: LlmRequest) -> LlmReply:
    raise PolicyError("this policy needs a language model, and none is configured")
