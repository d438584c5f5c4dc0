"""Requests join and leave between steps, and each answer is what it would be alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scheduler_support import CONTEXT, GREEDY, options, request, run, same, text, toy_engine
from toy_core import ToySession

import pocketr1
from pocketr1.engine import Engine
from pocketr1.engine.capacity import page_limit
from pocketr1.engine.generation import Request
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions, Ticket


@pytest.fixture
def session() -> ToySession:
    return ToySession(CONTEXT)


@pytest.fixture
def engine(session: ToySession) -> Engine:
    return toy_engine(session)


# --- steps ------------------------------------------------------------------------------------


def test_a_turn_is_one_step_of_the_core(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options())
    scheduler.submit(request(engine, text(60)), request(engine, text(90, 1)))
    turns = run(scheduler)
    assert len(session.step_sizes) == turns


def test_a_prompt_joins_in_pieces_beside_answers_that_stream(
    engine: Engine, session: ToySession
) -> None:
    scheduler = Scheduler(engine, options(chunk=16))
    (first,) = scheduler.submit(request(engine, text(5), 40))
    scheduler.turn()
    scheduler.submit(request(engine, text(100, 1)))
    del session.step_sizes[:]
    told = [scheduler.turn() for _ in range(6)]
    assert session.step_sizes == [17] * 6
    assert all(first in tickets for tickets in told)


def test_a_prompt_alone_is_not_cut_small(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options(chunk=16))
    scheduler.submit(request(engine, text(300)))
    scheduler.turn()
    assert session.step_sizes == [300]


def test_an_answer_that_joins_late_and_one_that_left_change_nobody(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    tickets = scheduler.submit(*(request(engine, text(70, n), 20, n) for n in range(3)))
    for _ in range(9):
        scheduler.turn()
    scheduler.cancel(tickets[1])
    tickets += scheduler.submit(request(engine, text(80, 7), 20, 9))
    run(scheduler)
    assert tickets[1].generation.finish_reason == "closed"
    assert same(engine, [tickets[0], *tickets[2:]])


def test_a_short_prompt_passes_a_long_one(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(chunk=8))
    scheduler.submit(request(engine, text(4), 200))
    scheduler.turn()
    long, short = scheduler.submit(request(engine, text(200, 1)), request(engine, text(12, 2)))
    while short.first is None:
        scheduler.turn()
    assert long.first is None
    assert long.todo is not None and len(long.todo) < 200


def test_short_prompts_that_keep_coming_do_not_starve_a_long_one(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(chunk=8, running=8))
    scheduler.submit(request(engine, text(4), 390))
    scheduler.turn()
    (long,) = scheduler.submit(request(engine, text(200, 1), 2))
    turns = 0
    while long.first is None:
        if scheduler.running + scheduler.waiting < 6:
            scheduler.submit(request(engine, text(20, 100 + turns), 1))
        scheduler.turn()
        turns += 1
    assert turns <= 2 * (200 // 8) + 1


def test_whoever_computes_what_a_shorter_prompt_waits_for_is_as_urgent_as_that(
    engine: Engine,
) -> None:
    scheduler = Scheduler(engine, options(chunk=8))
    scheduler.submit(request(engine, text(4), 200))
    scheduler.turn()
    shared = text(200, 2)
    first, source, short = scheduler.submit(
        request(engine, text(150, 1)),
        request(engine, shared),
        request(engine, shared[:20] + text(5, 3)),
    )
    while short.first is None:
        scheduler.turn()
    assert short.generation.reused_tokens == 20
    assert first.first is source.first is None


def test_answers_begin_in_the_order_in_which_they_came(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(running=2))
    tickets = scheduler.submit(*(request(engine, text(20, n), 5) for n in range(6)))
    run(scheduler)
    begun = [ticket.begun or 0.0 for ticket in tickets]
    assert begun == sorted(begun)
    assert all(ticket.queue_seconds >= 0 for ticket in tickets)


# --- shared beginnings ------------------------------------------------------------------------


def test_several_answers_to_one_prompt_compute_it_once(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options())
    tickets = scheduler.submit(*(request(engine, text(150), 6, n) for n in range(4)))
    run(scheduler)
    # The prompt, its last token for the three others, and five steps more of each.
    assert session.rows_computed == 150 + 3 + 4 * 5
    assert same(engine, tickets)


def test_a_prompt_waits_for_the_beginning_another_is_computing(
    engine: Engine, session: ToySession
) -> None:
    scheduler = Scheduler(engine, options())
    shared = text(120)
    tickets = scheduler.submit(
        request(engine, shared + text(30, 1), 4), request(engine, shared + text(40, 2), 4)
    )
    run(scheduler)
    assert session.rows_computed == 150 + 40 + 2 * 3
    assert tickets[1].generation.reused_tokens == 120
    assert same(engine, tickets)


def test_whoever_waits_for_one_that_is_cancelled_computes_it_itself(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(chunk=8))
    scheduler.submit(request(engine, text(3), 60))
    scheduler.turn()
    first, second = scheduler.submit(*(request(engine, text(150, 1), 6, n) for n in range(2)))
    for _ in range(3):
        scheduler.turn()
    assert second.begun is None
    scheduler.cancel(first)
    run(scheduler)
    assert same(engine, [second])


def test_a_finished_prompt_is_reused_by_one_that_begins_like_it(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    scheduler.submit(request(engine, text(130)))
    run(scheduler)
    (ticket,) = scheduler.submit(request(engine, text(130)[:100] + text(9, 4)))
    run(scheduler)
    assert ticket.generation.reused_tokens == 100
    assert same(engine, [ticket])


def test_nothing_is_kept_where_nothing_may_be(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options(kept_pages=0))
    scheduler.submit(request(engine, text(130)))
    run(scheduler)
    assert scheduler.pages.used == 0
    assert not session.sequences


def test_what_adapters_changed_since_is_not_reused(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    scheduler.submit(request(engine, text(130)))
    run(scheduler)
    engine.set_adapter("layers.0.q.weight", np.zeros((1, 8)), np.zeros((8, 1)))
    (ticket,) = scheduler.submit(request(engine, text(130)))
    run(scheduler)
    assert ticket.generation.reused_tokens == 0


# --- memory -----------------------------------------------------------------------------------


def test_an_answer_that_outgrows_the_pages_takes_those_of_the_newest(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(kv_pages=7, kept_pages=0))
    tickets = scheduler.submit(
        request(engine, text(60), 300, 0), request(engine, text(50, 1), 200, 1)
    )
    while not scheduler.idle:
        scheduler.turn()
        assert scheduler.pages.used <= 7
    assert tickets[0].preempted == 0
    assert tickets[1].preempted >= 1
    assert scheduler.preempted == tickets[1].preempted
    assert same(engine, tickets)


def test_kept_prompts_go_before_anybody_is_preempted(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(kv_pages=8, kept_pages=7))
    scheduler.submit(request(engine, text(150)), request(engine, text(150, 1)))
    run(scheduler)
    assert scheduler.pages.used >= 6
    (ticket,) = scheduler.submit(request(engine, text(60, 2), 330))
    run(scheduler)
    assert ticket.preempted == 0
    assert same(engine, [ticket])


def test_the_least_recently_used_prompt_goes_first_and_answers_before_prompts(
    engine: Engine,
) -> None:
    scheduler = Scheduler(engine, options(kv_pages=12, kept_pages=12))
    for seed in range(2):
        scheduler.submit(request(engine, text(64, seed), 64))
        run(scheduler)
    first = next(iter(scheduler.prefixes))
    assert (len(first.tokens), scheduler.pages.used) == (127, 4)
    scheduler.prefixes.evict()
    assert (len(first.tokens), scheduler.pages.used) == (64, 3)
    scheduler.prefixes.evict()
    assert [len(kept.tokens) for kept in scheduler.prefixes] == [64, 64]
    scheduler.prefixes.evict()
    assert first not in list(scheduler.prefixes)


def test_what_does_not_fit_waits_for_its_turn(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(kv_pages=8, kept_pages=0))
    first, second = scheduler.submit(
        request(engine, text(300), 5), request(engine, text(300, 1), 5)
    )
    scheduler.turn()
    assert (scheduler.running, scheduler.waiting) == (1, 1)
    run(scheduler)
    assert (first.preempted, second.preempted) == (0, 0)
    assert same(engine, [first, second])


def test_a_full_queue_says_when_to_come_again(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(running=1, waiting=2))
    scheduler.submit(*(request(engine, text(9, n)) for n in range(3)))
    with pytest.raises(pocketr1.errors.BusyError) as caught:
        scheduler.submit(request(engine, text(9)))
    assert caught.value.code == "server-busy"
    assert caught.value.retry_after >= 1
    assert scheduler.refused == 1
    run(scheduler)
    scheduler.submit(request(engine, text(9)))


def test_when_to_come_again_grows_with_the_places_missing_and_with_what_replies_take(
    engine: Engine,
) -> None:
    scheduler = Scheduler(engine, options(running=2, waiting=6))
    running = scheduler.submit(*(request(engine, text(9, n)) for n in range(8)))[:2]
    scheduler.turn()

    def told(count: int) -> int:
        with pytest.raises(pocketr1.errors.BusyError) as caught:
            scheduler.submit(*(request(engine, text(9), 8, n) for n in range(count)))
        return caught.value.retry_after

    before = told(1)
    assert told(4) >= 3 * before
    for ticket in running:
        assert ticket.begun is not None
        ticket.begun -= 60.0  # they have been at it for a minute
    assert told(1) >= 30


def test_a_task_joins_whole_or_not_at_all(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(running=1, waiting=2))
    scheduler.submit(request(engine, text(9)))
    with pytest.raises(pocketr1.errors.BusyError):
        scheduler.submit(*(request(engine, text(9), 8, n) for n in range(3)))
    assert scheduler.waiting == 1
    with pytest.raises(pocketr1.UsageError) as caught:
        scheduler.submit(*(request(engine, text(9), 8, n) for n in range(4)))
    assert caught.value.code == "scheduler-too-many"


def test_fewer_pages_than_one_context_takes_are_refused(engine: Engine) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        Scheduler(engine, SchedulerOptions(kv_pages=6))
    assert caught.value.code == "scheduler-pages"
    Scheduler(engine, SchedulerOptions(kv_pages=7))


def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    one = request(engine, text(20))
    too_long = Request(np.zeros(401, np.int32), one.sampling, 1, (), 0)
    with pytest.raises(pocketr1.ContextFullError):
        scheduler.submit(one, too_long)
    assert scheduler.idle


@pytest.mark.parametrize(
    "bad", [{"running": 0}, {"waiting": -1}, {"kv_pages": True}, {"chunk": 1.5}]
)
def test_options_out_of_range_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(pocketr1.UsageError):
        SchedulerOptions(**bad)


def test_a_memory_plan_says_how_many_pages_there_are(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, memory_budget="400MB", max_context=1000) as engine:
        assert engine.plan is not None
        assert page_limit(engine, None, 8) == engine.plan.kv // engine._session.page_bytes == 16
        assert Scheduler(engine).most_running == 8


def test_memory_the_system_refuses_is_made_and_kills_nobody(
    engine: Engine, session: ToySession
) -> None:
    scheduler = Scheduler(engine, options())
    tickets = scheduler.submit(*(request(engine, text(70, n), 9, n) for n in range(3)))
    scheduler.turn()
    fails = [True, True]

    def fail() -> None:
        if fails:
            fails.pop()
            raise pocketr1.EngineError("memory", where="K/V cache", reason="none left")

    session.before_step = fail
    run(scheduler)
    session.before_step = None
    assert [ticket.error for ticket in tickets] == [None] * 3
    assert same(engine, tickets)


def test_a_governor_takes_kept_prompts_back(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        engine.govern(governor := pocketr1.Governor())
        scheduler = Scheduler(engine)
        scheduler.submit(request(engine, list(range(200))))
        run(scheduler)
        assert scheduler.pages.used > 3
        engine.trim(15)
        assert scheduler.pages.used == 0
        assert engine.kv_bytes == 0
        assert [event.kind for event in governor.events] == ["gave-back"]
        assert "prompts kept" in governor.events[0].text


# --- ends -------------------------------------------------------------------------------------


def test_cancelling_the_engine_ends_every_answer(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options(running=2))
    tickets = scheduler.submit(*(request(engine, text(20, n)) for n in range(4)))
    scheduler.turn()
    session.before_step = engine.cancel
    ended = scheduler.turn()
    session.before_step = None
    assert set(ended) == set(tickets)
    assert {ticket.generation.finish_reason for ticket in tickets} == {"cancelled"}
    more = scheduler.submit(request(engine, text(20)))
    run(scheduler)
    assert same(engine, more)


def test_an_error_of_a_step_is_that_of_all_in_it_and_of_nobody_else(
    engine: Engine, session: ToySession
) -> None:
    scheduler = Scheduler(engine, options(running=2))
    tickets = scheduler.submit(*(request(engine, text(20, n)) for n in range(3)))
    scheduler.turn()

    def fail() -> None:
        session.before_step = None
        raise OSError("the disk is gone")

    session.before_step = fail
    assert set(scheduler.turn()) == set(tickets[:2])
    assert [str(ticket.error) for ticket in tickets[:2]] == ["the disk is gone"] * 2
    run(scheduler)
    assert tickets[2].error is None
    assert same(engine, tickets[2:])


def test_who_failed_before_all_were_cancelled_is_told_too(
    engine: Engine, session: ToySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(engine, options())
    bad, good = scheduler.submit(*(request(engine, text(20, n)) for n in range(2)))
    begin = scheduler._begin

    def fail(ticket: Ticket) -> bool | None:
        if ticket is bad:
            raise OSError("the disk is gone")
        return begin(ticket)

    monkeypatch.setattr(scheduler, "_begin", fail)
    session.before_step = engine.cancel
    assert set(scheduler.turn()) == {bad, good}
    assert isinstance(bad.error, OSError)
    assert good.generation.finish_reason == "cancelled"


def test_a_constraint_that_fails_ends_its_answer_alone(engine: Engine) -> None:
    class Broken:
        must_end = False

        def mask(self, logits: object) -> None:
            raise pocketr1.EngineError("constraint-nothing")

        def accept(self, token: int) -> None: ...

    scheduler = Scheduler(engine, options())
    bad, good = scheduler.submit(*(request(engine, text(20, n)) for n in range(2)))
    bad.generation.constraint = Broken()
    run(scheduler)
    assert isinstance(bad.error, pocketr1.EngineError)
    assert same(engine, [good])


def test_closing_frees_all_and_may_be_done_twice(engine: Engine, session: ToySession) -> None:
    scheduler = Scheduler(engine, options())
    scheduler.submit(*(request(engine, text(100, n)) for n in range(3)))
    for _ in range(4):
        scheduler.turn()
    scheduler.close()
    scheduler.close()
    assert scheduler.pages.used == 0
    assert not session.sequences


# --- constraints and scores -------------------------------------------------------------------


class Only:
    """Allows some tokens, so many of them."""

    def __init__(self, allowed: list[int], count: int) -> None:
        self.allowed = allowed
        self.left = count
        self.accepted: list[int] = []

    def mask(self, logits: np.ndarray) -> None:
        kept = logits[self.allowed].copy()
        logits[:] = -np.inf
        logits[self.allowed] = kept

    def accept(self, token: int) -> None:
        self.accepted.append(token)
        self.left -= 1

    @property
    def must_end(self) -> bool:
        return self.left == 0


def test_a_constraint_chooses_among_the_allowed_and_ends_the_answer(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    one = engine._request(text(20), GREEDY, 50, (), 0, "stop")
    (ticket,) = scheduler.submit(one)
    ticket.generation.constraint = only = Only([6, 8], 5)
    run(scheduler)
    made = ticket.generation.token_ids
    assert made == only.accepted
    assert len(made) == 5
    assert set(made) <= {6, 8}
    assert ticket.generation.finish_reason == "stop"
    logits = engine.logits(text(20))[-1]
    assert made[0] == (6 if logits[6] >= logits[8] else 8)


def test_given_tokens_are_not_asked_of_the_constraint(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    (ticket,) = scheduler.submit(engine._request(text(20), GREEDY, 8, (), 0, "stop"))
    ticket.generation.constraint = only = Only([6], 3)
    ticket.generation.force([9, 10])
    run(scheduler)
    assert ticket.generation.token_ids == [9, 10, 6, 6, 6]
    assert only.accepted == [6, 6, 6]


def test_where_nothing_is_allowed_the_answer_fails(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    (ticket,) = scheduler.submit(request(engine, text(20)))
    ticket.generation.constraint = Only([], 3)
    run(scheduler)
    assert isinstance(ticket.error, pocketr1.EngineError)
    assert ticket.error.code == "constraint-nothing"


def test_a_constraint_goes_on_where_its_answer_was_preempted(engine: Engine) -> None:
    scheduler = Scheduler(engine, options(kv_pages=7, kept_pages=0))
    scheduler.submit(request(engine, text(60), 300))
    (ticket,) = scheduler.submit(request(engine, text(50, 1), 250))
    ticket.generation.constraint = only = Only([6, 7, 8], 200)
    run(scheduler)
    assert ticket.preempted
    assert ticket.generation.token_ids == only.accepted


def test_scores_are_the_models_own_distribution(engine: Engine) -> None:
    scheduler = Scheduler(engine, options())
    (ticket,) = scheduler.submit(request(engine, text(20)))
    ticket.generation.top_logprobs = 3
    run(scheduler)
    generation = ticket.generation
    rows = engine.logits([*text(20), *generation.token_ids])[19:-1].astype(np.float64)
    expected = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    for row, token, score in zip(expected, generation.token_ids, generation.scores, strict=True):
        assert score.logprob == pytest.approx(row[token], abs=1e-5)
        best = np.argsort(-row, kind="stable")[:3]
        assert [place for place, _ in score.top] == best.tolist()
        assert [value for _, value in score.top] == pytest.approx(row[best], abs=1e-5)
