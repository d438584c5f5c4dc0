"""A task: problems with known answers, put to a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pocketr1.chat import ChatTemplate, load_tokenizer, split_reasoning
from pocketr1.chat.control import ReplyControl, check_think_budget
from pocketr1.chat.reader import ReplyReader
from pocketr1.chat.template import Prompt
from pocketr1.chat.tokenizer import Tokenizer
from pocketr1.engine import Engine, Generation, Sampling
from pocketr1.engine.batch import DEFAULT_BATCH
from pocketr1.engine.window import FullContext
from pocketr1.measure.answers import final_answer, same_answer
from pocketr1.measure.problems import TaskProblem, read_task
from pocketr1.measure.replies import Exchange, answer_begin

__all__ = ["Answering", "JsonLinesTask", "Outcome", "Reply", "Task", "run_task"]

_GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class Answering:
    """How problems are put to a model.

    sampling: how tokens are drawn. max_tokens: of thought and answer together. think: False ends
    the thought before it begins (``ChatTemplate.encode(skip_thought=True)``). batch: how many
    answers are written together; it changes nothing but time and memory. think_budget: tokens of
    thought, behind which it is closed (:class:`pocketr1.chat.control.ReplyControl`); None: any
    number; 0 is what ``think=False`` is. full_context: see ``Engine.generate``.

    Raises UsageError (``chat-think-budget``).
    """

    sampling: Sampling = _GREEDY
    max_tokens: int = 2048
    think: bool = True
    batch: int = DEFAULT_BATCH
    think_budget: int | None = None
    full_context: FullContext = "stop"

    def __post_init__(self) -> None:
        check_think_budget(self.think_budget)


@dataclass(frozen=True)
class Reply:
    """What a model wrote.

    exchange: prompt and reply as tokens, without the end-of-text token; answer: the text behind the
    thought, empty where the reply never leaves it; text: the whole; finish_reason: ``stop`` or
    ``length``.
    """

    exchange: Exchange
    answer: str
    text: str
    finish_reason: str

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The reply's tokens."""
        return self.exchange.ids[self.exchange.reasoning :]


@dataclass(frozen=True)
class Outcome:
    """What a model made of a problem.

    right: its final answer is the expected one; given: that answer, None where there is none;
    tokens: how many it wrote; finish_reason: ``stop`` or ``length``; text: the whole.
    """

    problem: TaskProblem
    right: bool
    given: str | None
    tokens: int
    finish_reason: str
    text: str


class Task(Protocol):
    """What an evaluation asks of a task: problems, replies to them, and what is right.

    The replies of two models are compared problem by problem, so that ``run`` gives one for each,
    in their order, and none may be left out. :class:`JsonLinesTask` is the one that comes along.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def load(self) -> Sequence[TaskProblem]:
        """Return the problems, the same ones every time."""
        ...

    def run(
        self,
        engine: Engine,
        problems: Sequence[TaskProblem],
        answering: Answering,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply]:
        """Return the model's reply to each problem; ``progress`` gets problems done and in all."""
        ...

    def score(self, problem: TaskProblem, reply: Reply) -> Outcome:
        """Judge a reply."""
        ...


@dataclass(frozen=True)
class JsonLinesTask:
    r"""Problems of a file, as :func:`pocketr1.measure.read_task` reads them.

    Each is put to the model in a conversation of its own. An answer is right if what the last
    ``\boxed{}`` behind the thought holds, or the last number there, is exactly the expected one.
    """

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def load(self) -> list[TaskProblem]:
        """Read the file; raises UsageError as ``read_task``."""
        return read_task(self.path)

    def run(
        self,
        engine: Engine,
        problems: Sequence[TaskProblem],
        answering: Answering,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply]:
        """Put every problem to a model; raises as :func:`run_task`."""
        return answer_all(engine, problems, answering, progress)

    def score(self, problem: TaskProblem, reply: Reply) -> Outcome:
        """Judge a reply by its final answer."""
        return score_exactly(problem, reply)


def answer_all(
    engine: Engine,
    problems: Sequence[TaskProblem],
    answering: Answering,
    progress: Callable[[int, int], None] | None = None,
) -> list[Reply]:
    """Put every problem to a model, each in a conversation of its own; replies in their order."""
    tokenizer = load_tokenizer(engine.path)
    template = ChatTemplate.load(engine.path, tokenizer)
    skips = not answering.think or answering.think_budget == 0
    prompts = [
        template.encode([{"role": "user", "content": problem.question}], skip_thought=skips)
        for problem in problems
    ]
    ends = {*engine.spec.eos_token_ids, tokenizer.eos_id}
    replies: list[Reply | None] = [None] * len(problems)
    completions = engine.generate_many(
        (prompt.ids for prompt in prompts),
        answering.sampling,
        max_tokens=answering.max_tokens,
        stop_token_ids=[end for end in ends if end is not None],
        batch=answering.batch,
        watch=_Budget(tokenizer, prompts, answering.think_budget),
        full_context=answering.full_context,
    )
    for done, completion in enumerate(completions, 1):
        prompt = prompts[completion.index]
        text = tokenizer.decode(completion.token_ids)
        thought = answer_begin(tokenizer, completion.token_ids, opened=prompt.thinking)
        begin = len(prompt.ids)
        replies[completion.index] = Reply(
            Exchange((*prompt.ids, *completion.token_ids), begin, begin + thought),
            split_reasoning(text, opened=prompt.thinking)[1],
            text,
            completion.finish_reason,
        )
        if progress is not None:
            progress(done, len(problems))
    return [reply for reply in replies if reply is not None]


class _Budget:
    """Closes the thoughts of many replies; does nothing where there is no budget."""

    def __init__(self, tokenizer: Tokenizer, prompts: Sequence[Prompt], budget: int | None) -> None:
        self._tokenizer, self._prompts, self._budget = tokenizer, prompts, budget
        self._open: dict[int, tuple[ReplyReader, ReplyControl]] = {}

    def __call__(self, generation: Generation) -> None:
        """Take a reply's newest token."""
        if self._budget is None:
            return
        index = generation.index
        if index not in self._open:
            reader = ReplyReader(self._tokenizer, self._prompts[index].thinking)
            control = ReplyControl(
                reader, self._tokenizer, think_budget=self._budget, loop_check=False
            )
            self._open[index] = reader, control
        if generation.finish_reason is not None:
            del self._open[index]
            return
        reader, control = self._open[index]
        token = generation.token_ids[-1]
        text, _ = reader.feed(token)
        given = control.take(token, text)
        if given:
            generation.force(given)


def score_exactly(problem: TaskProblem, reply: Reply) -> Outcome:
    """Judge a reply by its final answer, which is looked for behind the thought."""
    given = final_answer(reply.answer)
    return Outcome(
        problem,
        same_answer(given, problem.answer),
        given,
        len(reply.token_ids),
        reply.finish_reason,
        reply.text,
    )


def run_task(
    engine: Engine,
    problems: Sequence[TaskProblem],
    *,
    sampling: Sampling | None = None,
    max_tokens: int = 2048,
    think: bool = True,
    batch: int = DEFAULT_BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Put every problem to a model, each in a conversation of its own; outcomes in their order.

    sampling: None is greedy. The other options: see :class:`Answering`. progress: called with
    problems done and in all.

    The final answer is looked for behind the thought; a reply that never leaves its thought has
    none. Raises ChatError where the model has no usable tokenizer or template, and what
    ``Engine.generate_many`` raises.
    """
    answering = Answering(sampling or _GREEDY, max_tokens, think, batch)
    replies = answer_all(engine, problems, answering, progress)
    return [score_exactly(*pair) for pair in zip(problems, replies, strict=True)]
