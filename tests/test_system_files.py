"""Files that appear whole or not at all."""

import pytest

from twostage.errors import InputError
from twostage.system import files


def test_a_folder_that_was_removed_meanwhile_is_reported(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    files.write(folder / "a.txt", "one")
    files.write(folder / "a.txt", "two")
    assert (folder / "a.txt").read_text() == "two"
    (folder / "a.txt").unlink()
    folder.rmdir()
    with pytest.raises(InputError, match=f"the folder {folder} was removed"):
        files.write(folder / "a.txt", "three")
    assert not folder.exists()


def test_other_errors_name_the_file(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"):
        files.write(tmp_path / "a.txt", "one")


def write_one(folder):
    folder.mkdir()
    (folder / "model").write_text("new")


def test_only_what_is_ones_own_is_replaced(tmp_path):
    place = tmp_path / "export"
    for _ in range(2):
        files.replace_folder(place, write_one, ["model"])
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    (place / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"holds thesis\.txt, expected a new or empty"):
        files.replace_folder(place, write_one, ["model"])
    assert (place / "thesis.txt").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="file, expected a folder to write"):
        files.replace_folder(tmp_path / "file", write_one, ["model"])
    assert (tmp_path / "file").read_text() == "precious"


def test_backups_beside_it_stay(tmp_path, monkeypatch):
    for name in ("old-export", "part-export", "export.old"):
        (tmp_path / name).mkdir()
    files.replace_folder(tmp_path / "export", write_one, ["model"])
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="which holds"):
        files.replace_folder(".", write_one, ["model"])
