"""The thread that owns an engine and computes everybody's replies."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from pocketr1.engine import Engine
from pocketr1.engine.generation import Request
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions, Ticket
from pocketr1.errors import EngineError, PocketR1Error
from pocketr1.server.backend import Event, Load
from pocketr1.server.errors import RequestError
from pocketr1.server.mailbox import Mailbox, Post
from pocketr1.server.replies import ReplyEvents

__all__ = ["Job", "Worker"]

Result = TypeVar("Result")

# Between two looks, seconds, while a K/V store has pages to take and nobody asks.
_TENDING_SECONDS = 0.01
# How long a program's end waits for the thread's.
_ENDING_SECONDS = 5.0


@dataclass(eq=False)
class Job:
    """The replies of one task, on their way: what to compute, and who reads it."""

    mailbox: Mailbox
    requests: list[Request]
    replies: list[ReplyEvents]
    thinking: bool
    begun: bool = False
    ended: bool = False
    tickets: list[Ticket] | None = None


class Worker:
    """Owns the engine: opens it, takes jobs between the scheduler's turns, sleeps without any.

    open_engine: returns the engine, in the worker's thread; it is closed there too where ``closes``
    says so. The constructor returns when it is open, or raises what opening raised.
    """

    def __init__(
        self, open_engine: Callable[[], Engine], options: SchedulerOptions, *, closes: bool
    ) -> None:
        self._open_engine = open_engine
        self._options = options
        self._closes = closes
        self._changed = threading.Condition()
        self._inbox: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._dead: PocketR1Error | None = None
        self._scheduler: Scheduler | None = None
        self._jobs: dict[Ticket, tuple[Job, ReplyEvents]] = {}
        self._post = Post()
        self._load = Load()
        self._totals = dict.fromkeys(("prompt", "cached", "generated", "replies"), 0)
        opened: Future[Engine] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="pocketr1-engine", daemon=True
        )
        self._thread.start()
        self.engine = opened.result()
        # A program that ends without closing must not leave a step running into its own end.
        atexit.register(self._finish)

    @property
    def load(self) -> Load:
        """How busy it was after its last turn, and whether it lives; without ``rss_bytes``."""
        return replace(self._load, alive=self._dead is None and self._thread.is_alive())

    def submit(self, job: Job) -> None:
        """Let a job join; what is wrong with it comes to its mailbox. From its loop's thread."""
        if not self._say(lambda: self._submit(job)):
            job.mailbox.put((), self._failure())

    def cancel(self, job: Job) -> None:
        """End a job whose reader has gone; its pages are free before the next step."""
        self._say(lambda: self._cancel(job))

    def call(self, work: Callable[[Scheduler], Result]) -> Future[Result]:
        """Let ``work`` be done between two turns."""
        future: Future[Result] = Future()

        def answer() -> None:
            assert self._scheduler is not None
            if not future.set_running_or_notify_cancel():
                return  # whoever asked has gone
            try:
                future.set_result(work(self._scheduler))
            except Exception as error:
                future.set_exception(error)

        if not self._say(answer):
            future.set_exception(self._failure())
        return future

    def stop(self) -> None:
        """End every reply as cancelled, at once, and then the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.engine.cancel()

    def join(self) -> None:
        """Wait for the thread's end."""
        self._thread.join()
        atexit.unregister(self._finish)

    def _finish(self) -> None:
        self.stop()
        self._thread.join(_ENDING_SECONDS)

    def _say(self, order: Callable[[], None]) -> bool:
        """Leave an order for between two turns; False where nobody is there to take it."""
        with self._changed:
            if self._dead is not None:
                return False
            self._inbox.append(order)
            self._changed.notify_all()
        return True

    def _failure(self) -> PocketR1Error:
        """Return why nobody is there; raised many times, it is to forget where that was."""
        return (self._dead or EngineError("engine-closed")).with_traceback(None)

    # The thread.

    def _run(self, opened: Future[Engine]) -> None:
        engine = None
        try:
            engine = self._open_engine()
            engine.take_ownership()
            self._scheduler = Scheduler(engine, self._options)
            self._scheduler.interrupted = lambda: bool(self._inbox) or self._stopping
            self._note_load()
        except BaseException as error:
            self._dead = EngineError("server-worker", reason=type(error).__name__)
            if engine is not None and self._closes:
                engine.close()
            opened.set_exception(error)
            return
        opened.set_result(engine)
        try:
            self._work(self._scheduler)
            failure: PocketR1Error = RequestError("server-closing", status=503)
        except BaseException as error:
            failure = EngineError("server-worker", reason=f"{type(error).__name__}: {error}"[:300])
            failure.__cause__ = error
        self._end(failure)

    def _work(self, scheduler: Scheduler) -> None:
        """Take orders and compute, until it is to stop."""
        left = False
        while True:
            with self._changed:
                if scheduler.idle and not self._inbox and not self._stopping:
                    self._changed.wait(_TENDING_SECONDS if left else None)
                orders, stopping = len(self._inbox), self._stopping
            for _ in range(orders):  # one by one: where one fails, the others are still there
                self._inbox.popleft()()
            if orders:  # a turn may pause for heat
                self._report()
            if stopping:
                self._tell(scheduler.cancel_all())
            elif scheduler.idle:
                left = scheduler.tend()
            else:
                self._tell(scheduler.turn())
                left = True
            self._report()
            if stopping:
                return

    def _report(self) -> None:
        """Let everybody know what has come of it."""
        self._note_load()
        for mailbox in self._post.send():
            self._forget(mailbox)

    def _end(self, failure: PocketR1Error) -> None:
        """Tell everybody, and free what is held."""
        with self._changed:
            self._dead = failure
            orders, self._inbox = self._inbox, deque()
        scheduler = self._scheduler
        assert scheduler is not None
        try:
            for job in {job for job, _ in self._jobs.values()}:
                self._post.add(job.mailbox, error=failure)
            self._jobs.clear()
            self._post.send()
            for order in orders:  # of jobs that had not joined
                with suppress(Exception):
                    order()
            self._post.send()
            scheduler.close()
        finally:
            if self._closes:
                scheduler.engine.close()

    def _submit(self, job: Job) -> None:
        if self._dead is not None:
            self._post.add(job.mailbox, error=self._failure())
            return
        if job.ended:
            return
        assert self._scheduler is not None
        try:
            job.tickets = self._scheduler.submit(*job.requests)
            for ticket, reply in zip(job.tickets, job.replies, strict=True):
                reply.begin(ticket)
                self._jobs[ticket] = (job, reply)
        except Exception as error:
            self._cancel(job)
            self._post.add(job.mailbox, error=error)

    def _cancel(self, job: Job) -> None:
        job.ended = True
        for ticket in job.tickets or ():
            self._jobs.pop(ticket, None)
            if not ticket.done and self._scheduler is not None:
                self._scheduler.cancel(ticket)

    def _forget(self, mailbox: Mailbox) -> None:
        for job in {job for job, _ in self._jobs.values()}:
            if job.mailbox is mailbox:
                self._cancel(job)

    def _tell(self, tickets: list[Ticket]) -> None:
        """Turn what has come into events, for whoever waits for them."""
        for ticket in tickets:
            if ticket not in self._jobs:
                continue  # its task has failed meanwhile
            job, reply = self._jobs[ticket]
            error = ticket.error
            if error is None:
                try:
                    self._post.add(job.mailbox, self._events(job, reply, ticket))
                except Exception as raised:
                    error = raised
            if error is not None:
                self._cancel(job)
                self._post.add(job.mailbox, error=error)

    def _events(self, job: Job, reply: ReplyEvents, ticket: Ticket) -> list[Event]:
        events: list[Event] = []
        if not job.begun and ticket.first is not None:
            job.begun = True
            begun = reply.begun(ticket, job.thinking)
            self._totals["prompt"] += begun.prompt_tokens
            self._totals["cached"] += begun.cached_tokens
            events.append(begun)
        before = reply.tokens
        events += reply.take(ticket)
        self._totals["generated"] += reply.tokens - before
        if reply.ended:
            assert self._scheduler is not None
            self._scheduler.cancel(ticket)
            del self._jobs[ticket]
            self._totals["replies"] += 1
        return events

    def _note_load(self) -> None:
        scheduler = self._scheduler
        assert scheduler is not None
        engine = scheduler.engine
        used = scheduler.pages_running
        self._load = Load(
            running=scheduler.running,
            waiting=scheduler.waiting,
            kv_pages_used=used,
            kv_pages_kept=scheduler.pages.used - used,
            kv_pages_limit=scheduler.page_limit,
            kv_bytes=engine.kv_bytes,
            memory_budget=None if engine.plan is None else engine.plan.budget,
            prompt_tokens_total=self._totals["prompt"],
            cached_tokens_total=self._totals["cached"],
            generated_tokens_total=self._totals["generated"],
            replies_total=self._totals["replies"],
            refused_total=scheduler.refused,
            preempted_total=scheduler.preempted,
            steps_total=scheduler.steps,
            step_seconds_total=scheduler.step_seconds,
        )
