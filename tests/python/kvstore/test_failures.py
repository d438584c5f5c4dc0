"""A store that cannot be used costs time, never an answer; and it says so once."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store_support import Answer, Told, answers, ask, change, prompt

import pocketr1
from pocketr1 import messages
from pocketr1.engine import KVStoreOptions, KVStoreWarning
from pocketr1.engine.kvstore import database, inspect_store, prune, verify
from pocketr1.engine.kvstore.database import StoredPage
from pocketr1.engine.tokens import TokenArray
from pocketr1.errors import EngineError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def plain() -> list[Answer]:
    """The answers to prompts 1, 2 and 3 without any store."""
    return answers([prompt(seed) for seed in (1, 2, 3)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds prompts 1 and 2."""
    path = tmp_path_factory.mktemp("made") / "kv.sqlite3"
    answers([prompt(1), prompt(2)], path)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(made, tmp_path / "kv.sqlite3"))


def right(path: Path, plain: list[Answer], told: Told) -> list[int]:
    """Ask everything twice; return what was restored the first time."""
    with pocketr1.load("tiny", kv_store=KVStoreOptions(path, on_notice=told)) as engine:
        found = [ask(engine, prompt(seed)) for seed in (1, 2, 3)]
        again = [ask(engine, prompt(seed)) for seed in (1, 2, 3)]
    for answer, expected in zip([*found, *again], [*plain, *plain], strict=True):
        assert answer.same_as(expected)
    assert len(set(told.codes)) == len(told.codes), "a notice is given once"
    for notice in told.notices:
        for language in messages.LANGUAGES:
            messages.set_language(language)
            try:
                assert notice.what and notice.mend
            finally:
                messages.set_language(None)
    return [answer.restored for answer in found]


def test_flipped_bytes_of_a_page_are_seen_and_the_page_deleted(
    path: Path, plain: list[Answer]
) -> None:
    row = "(SELECT id FROM page WHERE place = 1 ORDER BY id LIMIT 1)"
    with closing(sqlite3.connect(path)) as connection:
        (data,) = connection.execute(f"SELECT bytes FROM content WHERE id = {row}").fetchone()
    flipped = bytearray(data)
    flipped[5000] ^= 4
    change(path, f"UPDATE content SET bytes = ? WHERE id = {row}", bytes(flipped))
    (problem,) = verify(path).problems
    assert "checksum" in problem
    told = Told()
    assert right(path, plain, told) == [64, 256, 0]
    assert told.codes == ["kv-store-page"]
    assert verify(path).problems == ()
    assert right(path, plain, Told()) == [256, 256, 256]  # computed, and stored again


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE page SET tokens = zeroblob(256) WHERE place = 0", ()),
        ("UPDATE content SET bytes = zeroblob(5)", ()),
        ("DELETE FROM content", ()),
        ("UPDATE page SET checksum = ?", (b"",)),
    ],
)
def test_what_does_not_match_is_computed(
    path: Path, plain: list[Answer], statement: str, values: tuple[object, ...]
) -> None:
    change(path, statement, *values)
    assert verify(path).problems
    told = Told()
    assert right(path, plain, told) == [0, 0, 0]
    assert told.codes == ["kv-store-page"]
    assert right(path, plain, Told()) == [256, 256, 256]


def test_pages_of_another_prompt_under_a_key_are_not_taken(path: Path, plain: list[Answer]) -> None:
    """As if two prefixes had one hash: their tokens are compared."""
    first, second = "(SELECT min(id) FROM page)", "(SELECT max(id) FROM page WHERE place = 0)"
    change(
        path,
        f"UPDATE page SET tokens = (SELECT tokens FROM page WHERE id = {second}),"
        f" checksum = (SELECT checksum FROM page WHERE id = {second}) WHERE id = {first}",
    )
    change(
        path,
        f"UPDATE content SET bytes = (SELECT bytes FROM content WHERE id = {second})"
        f" WHERE id = {first}",
    )
    told = Told()
    assert right(path, plain, told) == [0, 256, 0]
    assert told.codes == ["kv-store-page"]


@pytest.mark.parametrize("place", range(12))
def test_flipped_bytes_anywhere_in_the_file_never_make_a_wrong_answer(
    path: Path, plain: list[Answer], place: int
) -> None:
    data = bytearray(path.read_bytes())
    page = database.SQLITE_PAGE
    begin = place * len(data) // 12 // page * page
    data[begin : begin + 300] = bytes(b ^ 0x5A for b in data[begin : begin + 300])
    data[begin + page - 300 : begin + page] = bytes(300)
    path.write_bytes(data)
    told = Told()
    right(path, plain, told)
    allowed = {"kv-store-page", "kv-store-damaged", "kv-store-foreign", "kv-store-newer"}
    assert set(told.codes) <= allowed


def test_python_without_blob_reads_restores_the_same(
    path: Path, plain: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_HAS_BLOBS", False)
    assert right(path, plain, Told()) == [256, 256, 0]
    change(path, "DELETE FROM content WHERE id = 1")
    told = Told()
    assert right(path, plain, told) == [0, 256, 256]
    assert told.codes == ["kv-store-page"]


def test_a_page_another_process_deletes_meanwhile_is_no_damage(
    path: Path, plain: list[Answer]
) -> None:
    told = Told()
    with pocketr1.load("tiny", kv_store=KVStoreOptions(path, on_notice=told)) as engine:
        store = engine.kv_store
        assert store is not None
        find = store.find

        def deleting(keys: list[bytes], ids: TokenArray) -> list[StoredPage]:
            found = find(keys, ids)
            prune(path, older_than=0)
            return found

        store.find = deleting  # type: ignore[method-assign]
        answer = ask(engine, prompt(1))
    assert answer.restored == 0
    assert answer.same_as(plain[0])
    assert told.codes == []


def test_a_damaged_store_is_left_and_can_be_deleted(path: Path, plain: list[Answer]) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1000)  # the root of the schema
    told = Told()
    assert right(path, plain, told) == [0, 0, 0]
    assert told.codes == ["kv-store-damaged"]
    assert verify(path).problems
    assert prune(path, everything=True).after == 0
    assert not path.exists()
    assert right(path, plain, Told()) == [0, 0, 0]
    assert right(path, plain, Told()) == [256, 256, 256]


@pytest.mark.parametrize("data", [b"my diary, not a database\n" * 50, b"SQLite format 3\0"])
def test_a_file_of_somebody_else_is_left_alone(
    tmp_path: Path, plain: list[Answer], data: bytes
) -> None:
    path = tmp_path / "diary"
    path.write_bytes(data)
    told = Told()
    right(path, plain, told)
    assert told.codes[0] in ("kv-store-foreign", "kv-store-damaged")
    with pytest.raises(EngineError):
        prune(path, everything=True)
    assert path.read_bytes() == data


def test_another_program_s_database_is_left_alone(tmp_path: Path, plain: list[Answer]) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE page(id)")
        connection.commit()
    before, told = path.read_bytes(), Told()
    right(path, plain, told)
    assert told.codes == ["kv-store-foreign"]
    with pytest.raises(EngineError, match="not a K/V store"):
        prune(path, everything=True)
    assert path.read_bytes() == before


def test_a_newer_store_is_left_alone(path: Path, plain: list[Answer]) -> None:
    change_version(path, database.VERSION + 1)
    before, told = path.read_bytes(), Told()
    assert right(path, plain, told) == [0, 0, 0]
    assert told.codes == ["kv-store-newer"]
    assert path.read_bytes() == before
    with pytest.raises(EngineError, match="newer"):
        inspect_store(path)


def test_an_older_store_is_made_anew(
    path: Path, plain: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "VERSION", database.VERSION + 1)
    told = Told()
    assert right(path, plain, told) == [0, 0, 0]
    assert told.codes == []
    assert right(path, plain, Told()) == [256, 256, 256]
    assert verify(path).problems == ()


def change_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_and_the_store_gives_room_back(
    small_disk: Path, plain: list[Answer]
) -> None:
    path, told = small_disk / "kv.sqlite3", Told()
    options = KVStoreOptions(path, on_notice=told)
    ids = [prompt(seed) for seed in range(1, 12)]
    expected = answers(ids)
    assert all(a.same_as(b) for a, b in zip(answers(ids, options), expected, strict=True))
    assert told.codes == ["kv-store-full"]
    assert verify(path).problems == ()
    assert all(a.same_as(b) for a, b in zip(answers(ids, options), expected, strict=True))
    assert verify(path).problems == ()


def test_pruning_works_on_a_disk_without_a_byte_left(small_disk: Path) -> None:
    path = small_disk / "kv.sqlite3"
    answers([prompt(1), prompt(2)], path)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            pass
    assert shutil.disk_usage(small_disk).free == 0
    freed = prune(path, older_than=0)
    assert freed.pages == 8
    assert freed.after < freed.before
    assert verify(path).problems == ()
    assert (small_disk / "kv.sqlite3.reserve").exists()


def test_a_store_on_a_full_disk_is_read(small_disk: Path, plain: list[Answer]) -> None:
    path = small_disk / "kv.sqlite3"
    answers([prompt(1), prompt(2)], path)
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    told = Told()
    restored = right(path, plain, told)
    assert restored == [256, 256, 0]
    assert set(told.codes) <= {"kv-store-full"}


def test_a_store_that_may_not_grow_says_so(
    path: Path, plain: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without root: SQLite is told that the file may take no more pages."""
    opened = database.Database._prepare

    def limited(self: database.Database, writable: bool) -> None:
        opened(self, writable)
        pages = self.number("PRAGMA page_count")
        self.execute(f"PRAGMA max_page_count = {pages + 3}")

    monkeypatch.setattr(database.Database, "_prepare", limited)
    told = Told()
    assert right(path, plain, told) == [256, 256, 0]
    assert told.codes == ["kv-store-full"]
    monkeypatch.undo()
    assert verify(path).problems == ()


def test_a_read_only_directory_is_told_and_what_is_there_is_read(
    made: Path, tmp_path: Path, plain: list[Answer]
) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(made, source / "kv.sqlite3")
    bind = ["mount", "--bind", str(source), str(place)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("a read-only mount needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        told = Told()
        assert right(place / "kv.sqlite3", plain, told) == [256, 256, 0]
        assert told.codes == ["kv-store-read-only"]
        told = Told()
        assert right(place / "new.sqlite3", plain, told) == [0, 0, 0]
        assert told.codes == ["kv-store-unusable"]
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert [each.name for each in source.iterdir()] == ["kv.sqlite3"]


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path, plain: list[Answer]) -> None:
    (tmp_path / "file").write_text("no directory")
    for place in (tmp_path / "file" / "kv.sqlite3", tmp_path):
        told = Told()
        assert right(place, plain, told) == [0, 0, 0]
        assert told.codes == ["kv-store-unusable"]


def test_by_default_a_notice_is_a_python_warning(tmp_path: Path) -> None:
    with pytest.warns(KVStoreWarning, match="cannot be opened"):
        answers([prompt(1)], tmp_path)


def test_a_store_somebody_else_keeps_locked_does_not_hold_an_answer_up(
    path: Path, plain: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    told = Told()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert right(path, plain, told) == [256, 256, 0]
        other.execute("ROLLBACK")
    assert told.codes == ["kv-store-busy"]
    assert right(path, plain, Told())[:2] == [256, 256]


def test_processes_share_a_store_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "kv.sqlite3"
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from store_support import Told, always_pays, answers, prompt\n"
        "from pathlib import Path\n"
        "from pocketr1.engine import KVStoreOptions\n"
        "told = Told(); always_pays()\n"
        "options = KVStoreOptions(Path(sys.argv[2]), limit_bytes=3_000_000, on_notice=told)\n"
        "order = [prompt(n % 5, same=100) for n in range(int(sys.argv[3]), int(sys.argv[3]) + 5)]\n"
        "found = [answers(order, options, threads=1) for _ in range(3)]\n"
        "print(json.dumps([told.codes, [[a.tokens for a in each] for each in found]]))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(HERE), str(path), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    expected = [list(a.tokens) for a in answers([prompt(n, same=100) for n in range(5)])]
    for number, output in enumerate(outputs):
        codes, rounds = json.loads(output)
        assert codes == []
        for each in rounds:
            assert each == [expected[(number + n) % 5] for n in range(5)]
    assert verify(path).problems == ()
    assert inspect_store(path).used_bytes <= 3_000_000


def test_a_store_on_a_disk_that_fails_while_writing_is_told(
    path: Path, plain: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(database.Database, "insert", failing)
    told = Told()
    assert right(path, plain, told) == [256, 256, 0]
    assert told.codes == ["kv-store-unusable"]


def test_a_forked_child_neither_waits_nor_writes(path: Path) -> None:
    with pocketr1.load("tiny", kv_store=path) as engine:
        ask(engine, prompt(3))
        child = os.fork()
        if child == 0:
            engine.kv_store._finalizer()  # type: ignore[union-attr, misc]
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        ask(engine, prompt(4))
    assert answers([prompt(4)], path)[0].restored == 256
    assert verify(path).problems == ()
