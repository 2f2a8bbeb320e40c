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
