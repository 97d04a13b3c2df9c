from pathlib import Path

import pytest

from coldstart.folder import write_file


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
