"""What is remembered of points is never older than what the engine says."""

from collections.abc import Mapping, Sequence

from coldstart.index.remembering import Remembered


class Engine:
    """Says of each point what was written last, and counts how often it is asked."""

    def __init__(self) -> None:
        self.says: dict[int, str] = {1: "one", 2: "two", 3: "three"}
        self.asked: list[int] = []
        self.remembered = Remembered(self.read, size_of=len, max_bytes=10)

    def read(self, ids: Sequence[int]) -> Mapping[int, str]:
        self.asked.extend(ids)
        return {each: self.says[each] for each in ids if each in self.says}


def test_it_asks_once() -> None:
    engine = Engine()
    assert engine.remembered.of([2, 1, 9]) == ["two", "one", None]
    assert engine.remembered.of([1, 2]) == ["one", "two"]
    assert engine.asked == [2, 1, 9]


def test_what_is_written_is_asked_for_again() -> None:
    engine = Engine()
    engine.remembered.of([1, 2])
    engine.says[1] = "uno"
    engine.remembered.forget([1])
    assert engine.remembered.of([1, 2]) == ["uno", "two"]
    assert engine.asked == [1, 2, 1]


def test_what_was_read_before_a_write_is_not_kept_after_it() -> None:
    engine = Engine()
    ask = engine.read

    def interrupted(ids: Sequence[int]) -> Mapping[int, str]:
        before = ask(ids)
        engine.says[1] = "uno"
        remembered.forget([1])
        return before

    remembered = Remembered(interrupted, size_of=len, max_bytes=10)
    assert remembered.of([1]) == ["one"]
    assert remembered.of([1]) == ["uno"]


def test_it_keeps_what_was_read_last() -> None:
    engine = Engine()
    engine.remembered.of([1, 2])
    engine.remembered.of([3])  # eleven characters with the others
    engine.asked.clear()
    assert engine.remembered.of([3, 2]) == ["three", "two"] and not engine.asked
    assert engine.remembered.of([1]) == ["one"] and engine.asked == [1]
