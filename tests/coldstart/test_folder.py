from hashlib import sha256
from pathlib import Path

import pytest

from coldstart.errors import Conflict
from coldstart.folder import copy_file, new_folder, write_file


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for content in (b"old", b"new"):
        write_file(path, content)
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path) -> None:
    """A folder of that name cannot be replaced by a file."""
    path = tmp_path / "result.json"
    path.mkdir()
    with pytest.raises(OSError):
        write_file(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"] and path.is_dir()


def test_a_copy_is_told_by_its_hash(tmp_path: Path) -> None:
    content = b"0123456789" * 300_000
    (tmp_path / "source").write_bytes(content)
    told: list[tuple[int, int]] = []
    digest = copy_file(
        tmp_path / "source", tmp_path / "copy", on_progress=lambda done, total: told.append((done, total))
    )
    assert (tmp_path / "copy").read_bytes() == content and digest == sha256(content).hexdigest()
    assert len(told) > 1 and told[-1] == (len(content), len(content))


def test_a_new_folder_appears_when_it_is_full(tmp_path: Path) -> None:
    with new_folder(tmp_path / "more" / "backup") as folder:
        (folder / "file").write_text("content")
        assert not (tmp_path / "more" / "backup").exists()
    assert [path.name for path in (tmp_path / "more").iterdir()] == ["backup"]
    assert (tmp_path / "more" / "backup" / "file").read_text() == "content"
    with pytest.raises(Conflict, match="backup: it is there already"), new_folder(tmp_path / "more" / "backup"):
        pass


def test_a_folder_that_could_not_be_filled_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "backup") as folder:
        (folder / "file").write_text("content")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
