"""A stored prefix saves work and changes no bit of an answer."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_support import GREEDY, Told, answers, ask, change, prompt

import pocketr1
from pocketr1 import Speculation
from pocketr1.engine import KVStoreOptions
from pocketr1.engine.kvstore import LEAST_PAGES, inspect_store, store, verify
from pocketr1.errors import UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "kv.sqlite3"


@pytest.mark.parametrize("kv_format", ["f16", "f32", "int8"])
def test_a_restored_answer_is_the_same_bits(path: Path, kv_format: str) -> None:
    ids = [prompt(1, 400)]
    (plain,) = answers(ids, kv_format=kv_format)
    (cold,) = answers(ids, path, kv_format=kv_format)
    (warm,) = answers(ids, path, kv_format=kv_format)
    assert (cold.restored, warm.restored) == (0, 384)
    assert cold.same_as(plain) and warm.same_as(plain)


@pytest.mark.parametrize("how", [{"threads": 1}, {"isa": "scalar"}])
def test_pages_serve_other_threads_and_instruction_sets(path: Path, how: dict[str, Any]) -> None:
    ids = [prompt(1)]
    answers(ids, path)
    (plain,), (warm,) = answers(ids, **how), answers(ids, path, **how)
    assert warm.restored == 256
    assert warm.same_as(plain)


def test_another_process_restores_what_this_one_stored(path: Path) -> None:
    (here,) = answers([prompt(1)], path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from store_support import always_pays, answers, prompt\n"
        "from pathlib import Path\n"
        "always_pays()\n"
        "(there,) = answers([prompt(1)], Path(sys.argv[2]))\n"
        "print(there.restored, *there.tokens)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [int(each) for each in out.split()] == [256, *here.tokens]


def test_the_longest_prefix_is_restored_and_the_rest_computed(path: Path) -> None:
    answers([prompt(1, 300, same=200)], path)
    other = [prompt(2, 500, same=200)]
    (plain,), (found,) = answers(other), answers(other, path)
    assert found.restored == 192  # 3 pages of 64 in the 200 tokens they share
    assert found.same_as(plain)


@pytest.mark.parametrize("kv_format", ["f16", "int8"])
def test_of_a_prompt_stored_to_its_end_the_last_token_is_computed(
    path: Path, kv_format: str
) -> None:
    ids = [prompt(1, 256)]
    answers(ids, path, kv_format=kv_format)
    plain, found = (answers(ids, store, kv_format=kv_format)[0] for store in (None, path))
    assert found.restored == 255  # its logits have to come from somewhere
    assert found.same_as(plain)


def test_what_a_sequence_holds_is_not_read(path: Path) -> None:
    ids = prompt(1, 400)
    answers([ids], path)
    (plain,) = answers([ids])
    with pocketr1.load("tiny", kv_store=path) as engine, engine.sequence() as sequence:
        sequence.append(ids[:150])
        generation = engine.generate(
            ids, GREEDY, max_tokens=6, stop_token_ids=(), sequence=sequence
        )
        assert tuple(token.id for token in generation) == plain.tokens
        assert (generation.reused_tokens, generation.restored_tokens) == (150, 384 - 150)
        again = engine.generate(ids, GREEDY, max_tokens=1, sequence=sequence)
        list(again)
        assert (again.reused_tokens, again.restored_tokens) == (399, 0)


def test_only_the_prompt_is_stored_and_short_ones_are_not(path: Path) -> None:
    short = prompt(1, 64 * LEAST_PAGES - 1)
    with pocketr1.load("tiny", kv_store=path) as engine:
        list(engine.generate(short, GREEDY, max_tokens=100, stop_token_ids=()))
        assert engine.kv_store is not None
        engine.kv_store.flush()
        assert engine.kv_store.stats.pages == 0
        list(engine.generate(prompt(1, 260), GREEDY, max_tokens=100, stop_token_ids=()))
        engine.kv_store.flush()
        stats = engine.kv_store.stats
        assert stats.pages == 4
        assert stats.kv_bytes == 4 * engine._session.page_bytes
        if sys.platform == "linux":
            assert stats.file_bytes > stats.kv_bytes


def test_pages_are_stored_while_the_answer_is_made(path: Path) -> None:
    with pocketr1.load("tiny", kv_store=path) as engine:
        generation = engine.generate(prompt(1), GREEDY, max_tokens=200, stop_token_ids=())
        for _ in range(150):
            next(generation)
            assert engine.kv_store is not None
            engine.kv_store.flush()
        assert generation.finish_reason is None
        assert engine.kv_store.stats.pages == 4


def test_an_abandoned_answer_stores_what_was_computed(path: Path) -> None:
    with pocketr1.load("tiny", kv_store=path) as engine:
        with engine.generate(prompt(1), GREEDY, stop_token_ids=()) as generation:
            next(generation)
        engine.generate(prompt(2), GREEDY).close()  # nothing was computed
    assert answers([prompt(1)], path)[0].restored == 256


def test_speculation_reads_and_stores_alike(path: Path) -> None:
    ids = np.tile(prompt(1, 50), 8)
    (plain,) = answers([ids])
    for restored in (0, 384):
        with pocketr1.load("tiny", kv_store=path) as engine:
            generation = engine.generate(
                ids, GREEDY, max_tokens=6, stop_token_ids=(), speculation=Speculation()
            )
            assert tuple(token.id for token in generation) == plain.tokens
            assert generation.restored_tokens == restored


def test_a_conversation_goes_on_in_the_next_process(path: Path) -> None:
    question = "Tell me about the numbers from one to nine. " * 30

    def talk(store: Path | None, said: list[str], ask: str) -> tuple[pocketr1.Reply, int]:
        with (
            pocketr1.load("tiny", kv_store=store) as engine,
            pocketr1.Chat(engine, sampling=GREEDY) as chat,
        ):
            for number, text in enumerate(said):
                chat.conversation.add_message(("user", "assistant")[number % 2], text)
            reply = chat.send(ask, max_tokens=60)
            return reply, engine.kv_store.stats.restored_tokens if engine.kv_store else 0

    plain, _ = talk(None, [], question)
    first, none = talk(path, [], question)
    assert (first.text, none) == (plain.text, 0)
    said = [question, "<think>\nOne and one are two.\n</think>\n\nIt is two."]
    plain, _ = talk(None, said, "And ten?")
    second, restored = talk(path, said, "And ten?")
    assert second.text == plain.text
    # All but the question's last, incomplete page; answer and new question are computed.
    assert restored == first.prompt_tokens // 64 * 64


@pytest.mark.parametrize("change", ["adapter", "kv_format", "model", "tokenizer", "package"])
def test_pages_of_something_else_are_not_taken(
    path: Path, tiny_checkpoint: Path, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, model)
    ids = prompt(1)
    answers([ids], path, str(model))
    assert answers([ids], path, str(model))[0].restored == 256
    options: dict[str, Any] = {}
    if change == "kv_format":
        options["kv_format"] = "f32"
    elif change == "tokenizer":
        with (model / "tokenizer.json").open("a") as file:
            file.write("\n")
    elif change == "model":
        weights = next(model.glob("*.safetensors"))
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 1  # same size, same header
        weights.write_bytes(data)
    elif change == "package":
        monkeypatch.setattr("pocketr1.engine.kvstore.fingerprint.__version__", "0.0.other")
    with pocketr1.load(str(model), kv_store=path, **options) as engine:
        if change == "adapter":
            hidden = engine.spec.hidden_size
            a = np.ones((1, hidden), np.float32)
            engine.set_adapter("layers.0.k.weight", a, np.ones((hidden // 2, 1), np.float32))
        assert ask(engine, ids).restored == 0


def test_adapters_have_pages_of_their_own(path: Path, tiny_checkpoint: Path) -> None:
    ids, model = prompt(1), str(tiny_checkpoint)

    def adapted(engine: pocketr1.Engine, value: float) -> None:
        rows = engine.spec.layers[0].kv_heads * engine.spec.head_dim
        a = np.full((1, engine.spec.hidden_size), value, np.float32)
        engine.set_adapter("layers.0.k.weight", a, np.ones((rows, 1), np.float32))

    with pocketr1.load(model) as engine:
        bare = ask(engine, ids)
        adapted(engine, 0.5)
        plain = ask(engine, ids)
    assert not plain.same_as(bare)
    with pocketr1.load(model, kv_store=path) as engine:
        adapted(engine, 0.5)
        assert ask(engine, ids).restored == 0
        engine.kv_store.flush()  # type: ignore[union-attr]
        again = ask(engine, ids)
        assert again.restored == 256 and again.same_as(plain)
        adapted(engine, 0.25)
        assert ask(engine, ids).restored == 0
        engine.clear_adapter("layers.0.k.weight")
        found = ask(engine, ids)
        assert found.restored == 0 and found.same_as(bare)


def test_a_sequence_from_before_an_adapter_is_neither_stored_nor_continued(
    path: Path, tiny_checkpoint: Path
) -> None:
    ids = prompt(1)
    with pocketr1.load(str(tiny_checkpoint), kv_store=path) as engine, engine.sequence() as old:
        old.append(ids[:100])
        rows = engine.spec.layers[0].kv_heads * engine.spec.head_dim
        a = np.ones((1, engine.spec.hidden_size), np.float32)
        engine.set_adapter("layers.0.k.weight", a, np.ones((rows, 1), np.float32))
        with old.fork() as forked:
            for each in (forked, old):
                list(engine.generate(ids, GREEDY, max_tokens=4, stop_token_ids=(), sequence=each))
        engine.kv_store.flush()  # type: ignore[union-attr]
        assert engine.kv_store.stats.pages == 0  # type: ignore[union-attr]


@pytest.mark.usefixtures("speeds")
def test_where_prefill_is_faster_the_store_is_left_alone_for_an_hour(path: Path) -> None:
    answers([prompt(1)], path)
    change(path, "UPDATE model SET prefill = 1e9, restore = 2.0, measured = ?", time.time())
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert ask(engine, prompt(1)).restored == 0
        ask(engine, prompt(2))
        engine.kv_store.flush()  # type: ignore[union-attr]
        assert engine.kv_store.stats.pages == 0  # type: ignore[union-attr]
    change(path, "UPDATE model SET measured = ?", time.time() - 3700)
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert ask(engine, prompt(1)).restored == 256
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert ask(engine, prompt(1)).restored == 0  # half as bad as before, still much slower


@pytest.mark.usefixtures("speeds")
def test_speeds_are_known_to_the_next_process(path: Path) -> None:
    answers([prompt(1)], path)
    answers([prompt(1)], path)
    (model,) = inspect_store(path).models
    assert model.prefill and model.restore
    change(path, "UPDATE model SET prefill = 3.0, restore = 4.0")
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert engine.kv_store is not None and engine.kv_store.pays
    change(path, "UPDATE model SET prefill = 4.0, restore = 3.0")
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert engine.kv_store is not None and not engine.kv_store.pays


def test_no_file_is_made_before_there_is_something_to_store(path: Path) -> None:
    answers([prompt(1, 100)], path)
    assert not path.parent.exists()


def test_the_least_recently_used_goes_first_and_never_before_its_successors(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_TOUCH_AFTER", 0)
    options = KVStoreOptions(path, limit_bytes=2_000_000)  # 12 pages of 131 kB, and tables
    for seed in (1, 2):
        answers([prompt(seed)], options)
    answers([prompt(1)], options)  # used again
    for seed in (3, 4):
        answers([prompt(seed)], options)
        assert verify(path).problems == ()
    report = inspect_store(path)
    assert report.used_bytes <= report.limit_bytes == 2_000_000
    restored = [answers([prompt(seed)], options)[0].restored for seed in (4, 1)]
    assert restored[0] == 256
    assert restored[1] > 0
    with pocketr1.load("tiny", kv_store=options) as engine:
        assert engine.kv_store is not None
        ids = prompt(2)
        found = engine.kv_store.find(engine.kv_store.keys(ids), ids)
        assert len(found) < 4  # the one that was not used again


def test_what_a_conversation_continues_is_not_evicted_for_it(path: Path) -> None:
    """Its own beginning is what was used least recently, and other prompts go all the same."""
    options = KVStoreOptions(path, limit_bytes=2_000_000)  # 11 pages of 131 kB, and tables
    for ids in (prompt(1), prompt(2, 460)):
        answers([ids], options)
    longer = np.concatenate([prompt(1)[:256], prompt(9, 256)])
    (found,) = answers([longer], options)
    assert found.restored == 256
    with pocketr1.load("tiny", kv_store=options) as engine:
        assert engine.kv_store is not None
        assert len(engine.kv_store.find(engine.kv_store.keys(longer), longer)) >= 7
        ids = prompt(2, 460)
        assert len(engine.kv_store.find(engine.kv_store.keys(ids), ids)) < 7
    assert verify(path).problems == ()


def test_a_prompt_that_is_there_already_is_not_written_again(path: Path) -> None:
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert engine.kv_store is not None
        list(engine.generate_many([prompt(1)] * 3, GREEDY, max_tokens=4))
        ask(engine, prompt(1))
        kept = engine.kv_store
        assert kept.flush()
        assert kept.stats.pages == 4
    assert kept.flush()  # all is there, nobody has to be waited for


def test_opening_the_store_again_leaves_the_locks_of_this_process(path: Path) -> None:
    """Else another process believes to be the last one at the store, and deletes a log in use."""
    answers([prompt(1)], path)
    with pocketr1.load("tiny", kv_store=path) as engine:
        assert ask(engine, prompt(1)).restored == 256
        answers([prompt(2)], path)
        code = (
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1])\n"
            "connection.execute('UPDATE meta SET value = value')\n"
            "connection.commit()\n"
            "connection.close()"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        assert path.with_name(path.name + "-wal").exists()


def test_a_prompt_larger_than_the_store_keeps_its_beginning(path: Path) -> None:
    options = KVStoreOptions(path, limit_bytes=1_200_000)
    ids = [prompt(1, 1000)]
    answers(ids, options)
    (plain,), (found,) = answers(ids), answers(ids, options)
    assert 0 < found.restored < 960
    assert found.same_as(plain)
    assert verify(path).problems == ()


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    with pocketr1.load("tiny", kv_store=path) as engine:
        ask(engine, prompt(1))
        engine.kv_store.flush()  # type: ignore[union-attr]
        for each in path.parent.iterdir():
            assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_new_owner_thread_uses_the_same_store(path: Path) -> None:
    answers([prompt(1)], path)
    found = []
    with pocketr1.load("tiny", kv_store=path) as engine:

        def other() -> None:
            engine.take_ownership()
            found.append(ask(engine, prompt(1)))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        engine.take_ownership()
    assert found[0].restored == 256


def test_cancelling_a_restore_leaves_the_sequence_whole(path: Path) -> None:
    ids = prompt(1)
    (plain,) = answers([ids], path)
    with pocketr1.load("tiny", kv_store=path) as engine, engine.sequence() as sequence:
        kept = engine.kv_store
        assert kept is not None
        read = kept.read

        def cancelling(page: Any) -> Any:
            engine.cancel()
            return read(page)

        kept.read = cancelling  # type: ignore[method-assign]
        generation = engine.generate(ids, GREEDY, sequence=sequence)
        assert list(generation) == []
        assert generation.finish_reason == "cancelled"
        assert len(sequence) == engine._session.length(sequence._handle) == 64
        kept.read = read  # type: ignore[method-assign]
        assert ask(engine, ids).same_as(plain)


def test_an_engine_that_is_dropped_stores_at_exit(path: Path) -> None:
    code = (
        "import sys, pocketr1; sys.path.insert(0, sys.argv[1])\n"
        "from store_support import GREEDY, prompt\n"
        "engine = pocketr1.load('tiny', kv_store=sys.argv[2])\n"
        "list(engine.generate(prompt(1), GREEDY, max_tokens=2, stop_token_ids=()))\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(path)]
    subprocess.run(command, check=True)
    assert answers([prompt(1)], path)[0].restored == 256


def test_a_slide_stores_the_prompt_and_nothing_else(path: Path) -> None:
    ids = prompt(1, 370)

    def slid(store: Path | None) -> tuple[tuple[int, ...], int, int]:
        with pocketr1.load("tiny", max_context=384, kv_store=store) as engine:
            generation = engine.generate(
                ids, GREEDY, max_tokens=60, stop_token_ids=(), full_context="slide"
            )
            tokens = tuple(token.id for token in generation)
            assert generation.slides > 0
            return tokens, generation.restored_tokens, generation.slides

    plain = slid(None)
    assert slid(path)[0] == plain[0]
    assert slid(path) == (plain[0], 320, plain[2])
    assert verify(path).problems == ()
    (expected,), (found,) = answers([ids]), answers([ids], path)
    assert found.restored == 320
    assert found.same_as(expected)


def test_pages_the_sequence_no_longer_holds_are_not_stored(path: Path) -> None:
    ids = prompt(1)
    with pocketr1.load("tiny", kv_store=path) as engine, engine.sequence() as sequence:
        generation = engine.generate(ids, GREEDY, stop_token_ids=(), sequence=sequence)
        next(generation)
        turn = generation._turn
        assert turn is not None
        sequence._truncate(70)
        sequence._append(prompt(2))
        turn.finish()
        engine.kv_store.flush()  # type: ignore[union-attr]
        assert engine.kv_store.stats.pages == 1  # type: ignore[union-attr]
    assert answers([ids], path)[0].same_as(answers([ids])[0])


def test_a_limit_that_holds_nothing_is_refused(path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        pocketr1.load("tiny", kv_store=KVStoreOptions(path, limit_bytes=5))
    assert caught.value.code == "kv-store-limit-value"


def test_nothing_is_told_where_nothing_is_wrong(path: Path) -> None:
    told = Told()
    for _ in range(2):
        answers([prompt(1)], KVStoreOptions(path, on_notice=told))
    assert told.codes == []
