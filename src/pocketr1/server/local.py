"""A model in this process, as the server asks it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pocketr1.chat import ChatTemplate, Message, Tokenizer, load_tokenizer
from pocketr1.chat.assembly import ReplyAssembly
from pocketr1.chat.control import ReplyControl, check_think_budget
from pocketr1.chat.reader import PlainReader, ReplyReader
from pocketr1.engine import Engine, inspect
from pocketr1.engine.constraint import Constraint
from pocketr1.engine.generation import Request
from pocketr1.engine.kvstore import KVStore, inspect_store, prune
from pocketr1.engine.loading import load
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions
from pocketr1.engine.tokens import as_token_array
from pocketr1.errors import ContextFullError, EngineError, PocketR1Error, UsageError
from pocketr1.machine import rss_bytes
from pocketr1.server.backend import Cached, Encoded, Ended, Event, Facts, Load, Task
from pocketr1.server.errors import RequestError
from pocketr1.server.grammar import Grammars
from pocketr1.server.mailbox import Mailbox
from pocketr1.server.replies import ReplyEvents
from pocketr1.server.worker import Job, Worker

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1.engine.loading import ModelSource

__all__ = ["LocalBackend"]

Result = TypeVar("Result")

# Threads that render templates and encode texts, while the loop goes on.
_TEXT_THREADS = 2


class ConstraintSource(Protocol):
    """A compiled schema: gives each reply the state of its own."""

    def constraint(self) -> Constraint:
        """Return the state of one more reply, at its beginning."""
        ...


class SchemaCompiler(Protocol):
    """Compiles schemas; :class:`~pocketr1.server.grammar.Grammars` is one."""

    async def compile(self, schema: Mapping[str, Any]) -> ConstraintSource:
        """Return what holds an answer to a JSON Schema; raises ServerError for a bad one."""
        ...


class LocalBackend:
    """A :class:`~pocketr1.server.backend.Backend` over one engine, which a thread of its own owns.

    engine: one that is loaded, whose owner stops using it until the backend is closed; or a
    function that loads one in the worker's thread (``cpus`` pin that one then), which is closed
    with the backend. name: what requests call the model; ``None``: its directory's name. grammars:
    what compiles JSON Schemas; ``None``: llguidance.

    A reader that falls behind is waited for by nobody: what it has not read lies in its mailbox, at
    most the length of its answers.

    Raises what loading raises, ChatError for a model without a usable tokenizer.
    """

    def __init__(
        self,
        engine: Engine | Callable[[], Engine],
        options: SchedulerOptions | None = None,
        *,
        name: str | None = None,
        grammars: SchemaCompiler | None = None,
    ) -> None:
        given = isinstance(engine, Engine)
        opener: Callable[[], Engine] = (lambda: engine) if isinstance(engine, Engine) else engine
        self._worker = Worker(opener, options or SchedulerOptions(), closes=not given)
        self._engine = self._worker.engine
        try:
            self._tokenizer: Tokenizer = load_tokenizer(self._engine.path)
        except BaseException:
            self._worker.stop()
            self._worker.join()
            raise
        self._template: ChatTemplate | None = None
        self._facts = _facts(self._engine, name)
        spec = self._engine.spec
        ends = {*spec.eos_token_ids, self._tokenizer.eos_id} - {None}
        self._ends = frozenset(i for i in ends if i is not None)
        tokenizer_file = self._engine.path / "tokenizer.json"
        self._grammars = grammars or Grammars(
            tokenizer_file, sorted(self._ends), self._engine.vocab_size
        )
        self._texts = ThreadPoolExecutor(_TEXT_THREADS, "pocketr1-text")
        self._active = 0
        self._quiet: asyncio.Event | None = None
        self._closing = False

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] | ModelSource,
        options: SchedulerOptions | None = None,
        *,
        name: str | None = None,
        **load_options: Any,
    ) -> Self:
        """Load a model with the options of :func:`pocketr1.load`, and serve it."""
        return cls(partial(load, model, **load_options), options, name=name)

    @property
    def facts(self) -> Facts:
        """What the model is."""
        return self._facts

    async def generate(self, task: Task) -> AsyncGenerator[Event, None]:
        """Yield what happens; see :meth:`pocketr1.server.backend.Backend.generate`."""
        self._check_open()
        self._active += 1
        job: Job | None = None
        left = task.n
        try:
            job = await self._job(task)
            self._check_open()
            self._worker.submit(job)
            while left:
                for event in await job.mailbox.take():
                    left -= isinstance(event, Ended)
                    yield event
        finally:
            if job is not None and left:
                self._worker.cancel(job)
            self._active -= 1
            if self._quiet is not None and not self._active:
                self._quiet.set()

    async def encode(self, prompt: Sequence[Message] | str, *, think: bool = True) -> Encoded:
        """Return a prompt's tokens, as :meth:`generate` takes them."""
        text, ids, thinking, _ = await self._apart(self._encode, prompt, think, False)
        return Encoded(text, ids, thinking)

    async def tokenize(self, text: str, *, added_tokens: bool = False) -> list[int]:
        """Return the tokens of ``text``; added tokens spelt in it count only where asked for."""
        tokenizer = self._tokenizer
        encode = tokenizer.encode_markup if added_tokens else tokenizer.encode_text
        return await self._apart(encode, text)

    async def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``. Raises UsageError (``token-id``)."""
        most = self._engine.vocab_size - 1
        for token in ids:
            if type(token) is not int or not 0 <= token <= most:
                raise UsageError("token-id", value=token, most=most)
        return await self._apart(self._tokenizer.decode, list(ids), False)

    def load(self) -> Load:
        """Return how busy it is."""
        return replace(self._worker.load, rss_bytes=rss_bytes())

    async def cached(self) -> Cached:
        """Return what is kept of prompts."""

        def look(scheduler: Scheduler) -> tuple[int, int, bytes]:
            pages = scheduler.pages.used - scheduler.pages_running
            store = scheduler.engine.kv_store
            own = b"" if store is None else store.identity.fingerprint
            return pages, scheduler.engine._session.page_bytes, own

        pages, page_bytes, own = await asyncio.wrap_future(self._worker.call(look))
        store = self._engine.kv_store
        if store is None:
            return Cached(pages, pages * page_bytes)
        stored, size = await self._apart(_stored, store.path, own.hex()[:12])
        return Cached(pages, pages * page_bytes, str(store.path), stored, size)

    async def drop_cached(self, *, every_model: bool = False) -> None:
        """Forget it, in memory and this model's part of the store, or all of the store."""

        def drop(scheduler: Scheduler) -> str:
            scheduler.forget()
            scheduler.engine.trim_pages()
            store = scheduler.engine.kv_store
            return "" if store is None else store.identity.fingerprint.hex()[:12]

        own = await asyncio.wrap_future(self._worker.call(drop))
        store = self._engine.kv_store
        if store is not None:
            await self._apart(_erase, store, None if every_model else own)

    async def close(self, grace: float = 0.0) -> None:
        """Take no more tasks, let those under way go on for ``grace`` seconds, end the rest.

        Those end with finish_reason ``cancelled``; what came before is delivered. Harmless twice.
        """
        self._closing = True
        if self._active and grace > 0:
            self._quiet = asyncio.Event()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), grace)
        self._worker.stop()
        await asyncio.get_running_loop().run_in_executor(None, self._worker.join)
        self._texts.shutdown(wait=False)

    # Preparing a task.

    def _check_open(self) -> None:
        if self._closing:
            raise RequestError("server-closing", status=503)

    async def _apart(self, work: Callable[..., Result], *args: Any) -> Result:
        """Do work that may take long in a thread of its own."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._texts, partial(work, *args))

    async def _job(self, task: Task) -> Job:
        _check(task)
        plain = isinstance(task.prompt, str | tuple)
        _, ids, thinking, skipped = await self._apart(
            self._encode, task.prompt, task.think, task.think_budget == 0
        )
        array = as_token_array(ids, self._engine.vocab_size)
        limit = self._engine.max_context
        if len(array) > limit:
            raise ContextFullError("context-too-long", tokens=len(array), limit=limit)
        source = None
        if task.json_schema is not None:
            source = await self._grammars.compile(task.json_schema)
        sampling = task.sampling.seeded()
        requests, replies = [], []
        for index in range(task.n):
            ends = frozenset() if task.ignore_eos else self._ends
            requests.append(Request(array, sampling, task.max_tokens, ends, index))
            reader: ReplyReader | PlainReader
            if plain:
                reader = PlainReader(self._tokenizer)
            else:
                reader = ReplyReader(self._tokenizer, thinking)
            control = ReplyControl(
                reader,
                self._tokenizer,
                think_budget=task.think_budget,
                loop_check=task.loop_check,
            )
            assembly = ReplyAssembly(
                reader,
                control,
                skipped=skipped and task.think,
                max_answer_tokens=task.max_answer_tokens,
                stop=task.stop,
            )
            replies.append(
                ReplyEvents(
                    index,
                    assembly,
                    self._tokenizer,
                    top_logprobs=task.top_logprobs,
                    constraint=None if source is None else source.constraint(),
                )
            )
        return Job(Mailbox(), requests, replies, thinking)

    def _encode(
        self, prompt: Sequence[Message] | str | tuple[int, ...], think: bool, no_budget: bool
    ) -> tuple[str, tuple[int, ...], bool, bool]:
        """Return a prompt's text, its tokens, whether it ends inside a thought, or skips one."""
        tokenizer = self._tokenizer
        if isinstance(prompt, str):
            ids = tokenizer.encode_markup(prompt)
            bos = tokenizer.bos_id
            if tokenizer.adds_bos and bos is not None and ids[:1] != [bos]:
                ids = [bos, *ids]
            return prompt, tuple(ids), False, False
        if isinstance(prompt, tuple) and all(type(token) is int for token in prompt):
            return "", prompt, False, False
        if self._template is None:
            self._template = ChatTemplate.load(self._engine.path, tokenizer)
        made = self._template.encode(
            [*prompt],
            skip_thought=not think or no_budget,
        )
        return made.text, made.ids, made.thinking, made.skipped


def _check(task: Task) -> None:
    """Refuse limits that are no numbers of tokens."""
    limits = (("max_tokens", task.max_tokens), ("max_answer_tokens", task.max_answer_tokens))
    for name, value in (*limits, ("n", task.n)):
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError("chat-limit-value", name=name, value=value)
    top = task.top_logprobs
    if top is not None and (type(top) is not int or top < 0):
        raise UsageError("chat-limit-value", name="top_logprobs", value=top)
    check_think_budget(task.think_budget)


def _facts(engine: Engine, name: str | None) -> Facts:
    parameters = 0
    with suppress(PocketR1Error, OSError):
        parameters = inspect(engine.path).parameters
    created = 0
    with suppress(OSError):
        created = int(engine.path.stat().st_mtime)
    return Facts(
        name=name or engine.path.resolve().name,
        created=created,
        architecture=engine.spec.architecture,
        parameters=parameters,
        weight_bytes=engine.weight_bytes,
        bits_per_weight=8 * engine.weight_bytes / parameters if parameters else 0.0,
        max_context=engine.max_context,
        details={"isa": engine.isa, "threads": engine.threads},
        kv_store=None if engine.kv_store is None else str(engine.kv_store.path),
    )


def _stored(path: Path, own: str) -> tuple[int, int]:
    """Return how many pages a store has of a model, and the bytes of its file."""
    try:
        report = inspect_store(path)
    except EngineError:
        return 0, 0
    return sum(m.pages for m in report.models if m.id == own), report.file_bytes


def _erase(store: KVStore, own: str | None) -> None:
    """Delete a model's pages from a store, where there are any; those on their way to it too.

    own: whose; ``None``: those of all models.
    """
    store.settle()
    try:
        # Model by model: the file itself must stay, it is open.
        models = [own] if own is not None else [m.id for m in inspect_store(store.path).models]
        for model in models:
            with suppress(UsageError):  # it holds nothing of this model
                prune(store.path, model=model)
    except EngineError as error:
        if error.code != "kv-store-missing":
            raise
