"""How much of a prompt goes beside answers that stream."""

from __future__ import annotations

from pocketr1.engine.chunk import MOST_ROWS, ChunkSize


def steps(chunk: ChunkSize, streams: int, plain: float, row: float, count: int) -> list[float]:
    """Take so many steps of a machine with these costs, prompts always waiting; their seconds."""
    taken = []
    for _ in range(count):
        rows = chunk.rows(streams)
        taken.append(plain + rows * row)
        chunk.took(streams, rows, taken[-1])
    return taken


def test_pieces_keep_a_step_within_twice_a_plain_one() -> None:
    chunk = ChunkSize()
    for _ in range(5):
        chunk.took(2, 0, 0.1)
        chunk.took(2, chunk.rows(2), 0.1 + 0.001 * chunk.rows(2))
    assert chunk.rows(2) == 96  # 0.1 s + 100 rows of 1 ms is twice 0.1 s; pieces are multiples of 8


def test_where_rows_cost_nothing_a_piece_is_as_large_as_may_be() -> None:
    chunk = ChunkSize()
    chunk.took(1, 0, 5.0)
    given = []
    for _ in range(6):
        given.append(chunk.rows(1))
        chunk.took(1, given[-1], 5.0)
    assert given == [32, 64, 128, 256, 512, MOST_ROWS]


def test_a_prompt_moves_however_slow_a_row_is() -> None:
    chunk = ChunkSize()
    chunk.took(1, 0, 0.001)
    chunk.took(1, 32, 9.0)
    assert chunk.rows(1) == 8
    assert chunk.rows(0) == MOST_ROWS


def test_one_disturbance_decides_nothing() -> None:
    chunk = ChunkSize()
    for seconds in (0.1, 0.1, 7.0):
        chunk.took(4, 0, seconds)
    for seconds in (0.18, 0.18, 30.0):
        chunk.took(4, 40, seconds)
    assert chunk.rows(4) == 48


def test_the_first_step_beside_a_stream_measures_it_without_a_piece() -> None:
    chunk = ChunkSize()
    assert chunk.rows(1) == 0
    chunk.took(1, 0, 0.1)
    assert chunk.rows(1) == 32


def test_after_long_contexts_come_short_ones_and_prompts_never_cease() -> None:
    chunk = ChunkSize()
    for _ in range(9):
        chunk.took(4, 0, 1.0)
    steps(chunk, 4, 1.0, 0.01, 30)
    taken = steps(chunk, 4, 0.1, 0.01, 40)
    assert max(taken) <= 0.1 + 256 * 0.01
    assert max(taken[20:]) <= 0.3


def test_a_plain_figure_far_above_what_a_step_with_a_piece_takes_is_taken_anew() -> None:
    chunk = ChunkSize()
    for _ in range(9):
        chunk.took(4, 0, 10.0)
    assert max(steps(chunk, 4, 0.1, 0.01, 30)) <= 0.1 + 32 * 0.01


def test_a_step_without_a_piece_comes_every_so_often() -> None:
    chunk = ChunkSize()
    chunk.took(2, 0, 0.1)
    assert steps(chunk, 2, 0.1, 0.001, 36).count(0.1) == 4
