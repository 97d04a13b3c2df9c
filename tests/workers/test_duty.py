"""Of several processes on a machine one does what is enough once, whichever has ended."""

from contextlib import ExitStack
from pathlib import Path

from coldstart.settings import Settings
from workers.duty import Duty, open_duty


def shared(folder: Path) -> Settings:
    return Settings(data_dir=folder / "state", qdrant_url="http://nowhere")


def test_the_first_has_it_and_after_its_end_another(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = open_duty(stack, shared(tmp_path))
        second = Duty(shared(tmp_path))
        assert (first.mine(), second.mine(), first.mine()) == (True, False, True)
    assert second.mine()
    assert not Duty(shared(tmp_path)).mine()
    second.release()


def test_another_folder_has_a_duty_of_its_own(tmp_path: Path) -> None:
    one, other = Duty(shared(tmp_path / "a")), Duty(shared(tmp_path / "b"))
    assert one.mine() and other.mine()
    one.release()
    other.release()


def test_who_owns_the_embedded_index_has_it_and_leaves_no_file(tmp_path: Path) -> None:
    duty = Duty(Settings(data_dir=tmp_path))
    assert duty.mine()
    duty.release()
    assert list(tmp_path.iterdir()) == []
