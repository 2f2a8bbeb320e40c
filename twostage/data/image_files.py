"""Where picture files lie: a folder, or a zip."""

import hashlib
import os
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from twostage.data.decode import FORMATS, MOST_BYTES, Broken
from twostage.errors import InputError, reading


class Folder:
    """The picture files in a folder and the folders in it.

    Hidden files and folders, links to folders, and links to files outside do not count.

    Args:
        path: The folder.

    Attributes: `files` maps the pictures' names (relative, with slashes) in order to
    what changes when they do; `others` counts the other files, in words.

    Raises:
        InputError: there is no picture.
    """

    def __init__(self, path):
        self.path, self.name = Path(path).resolve(), Path(path).resolve().name
        with reading():
            found = list(self._walk(self.path, ""))
        self.files, self.others = _pictures(
            self.path,
            {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found},
        )

    def _walk(self, folder, prefix):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path, f"{prefix}{entry.name}/")
                elif entry.is_file() and (
                    not entry.is_symlink()
                    or self.path in Path(entry.path).resolve().parents
                ):
                    yield prefix + entry.name, entry.stat()

    def items(self, names, first=0):
        """What `read` takes, for each of the names from the row `first` on."""
        return (str(self.path / name) for name in names[first:])

    @staticmethod
    def read(item):
        """The bytes of a file, in any process."""
        try:
            with open(item, "rb", buffering=0) as file:
                return (
                    file.read()
                    if os.fstat(file.fileno()).st_size <= MOST_BYTES
                    else file.read(MOST_BYTES + 1)
                )  # `decode` will say so
        except PermissionError as error:
            raise Broken(f"it cannot be read: {error.strerror}") from error
        except OSError as error:
            raise InputError(
                f"received {item}, which cannot be read ({error.strerror}): make it"
                " readable, or remove it"
            ) from error

    def text(self, stem):
        """The text of the file STEM.txt or STEM.csv in the folder or beside it; None
        where there is none.
        """
        return _text_in((self.path, self.path.parent), stem)


class Zip:
    """The picture files in a zip, as `Folder`. A folder that holds all of them is not
    part of their names.
    """

    def __init__(self, path):
        self.path = Path(path).resolve()
        self.name = self.path.stem
        try:
            with reading():
                self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(
                f"received {path}, which is no whole zip ({error}): fetch it again"
            ) from error
        whole = {
            entry.filename: entry
            for entry in self._zip.infolist()
            if not entry.is_dir() and not _hidden(entry.filename)
        }
        tops = {name.partition("/")[:2] for name in whole if _is_picture(name)}
        top = (
            "".join(tops.pop()) if len(tops) == 1 else ""
        )  # (a name, "") where a picture lies in no folder
        top = top if top.endswith("/") else ""
        self._entries = {name.removeprefix(top): entry for name, entry in whole.items()}
        self.files, self.others = _pictures(
            self.path,
            {
                name: f"{entry.file_size} {entry.CRC}"
                for name, entry in self._entries.items()
            },
        )

    def items(self, names, first=0):
        return (self._content(name) for name in names[first:])

    def _content(self, name):
        entry = self._entries[name]
        if entry.flag_bits & 1:
            return Broken("it needs a password")
        try:
            with self._zip.open(entry) as file:
                return file.read(
                    MOST_BYTES + 1
                )  # and no more of what unpacks without end
        except (
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            EOFError,
        ) as error:
            return Broken(str(error)[:80])

    @staticmethod
    def read(item):
        if isinstance(item, Broken):
            raise item
        return item

    def text(self, stem):
        inside = next(
            (
                name
                for name in self._entries
                if PurePosixPath(name).name in (f"{stem}.txt", f"{stem}.csv")
            ),
            None,
        )
        return (
            self._zip.read(self._entries[inside]).decode()
            if inside
            else _text_in((self.path.parent,), stem)
        )


def stamp(files, names):
    """A checksum of names and of what changes when their files do."""
    return hashlib.sha256(
        os.fsencode("\n".join(f"{name} {files[name]}" for name in names))
    ).hexdigest()


def _pictures(where, files):
    """(pictures, others): the files with a picture's suffix, in order, and in words
    what else there is.
    """
    chosen = {name: files[name] for name in sorted(files) if _is_picture(name)}
    counts = Counter(
        PurePosixPath(name).suffix.lower() or "without a suffix"
        for name in files.keys() - chosen.keys()
    )
    others = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(5))
    if not chosen:
        inside = f", only {others}" if others else ""
        raise InputError(
            f"received {where}, which holds no picture ({', '.join(FORMATS)}){inside}:"
            " check the path"
        )
    return chosen, others


def _is_picture(name):
    return PurePosixPath(name).suffix.lower() in FORMATS


def _hidden(name):
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _text_in(places, stem):
    return next(
        (
            path.read_text()
            for place in places
            for kind in ("txt", "csv")
            if (path := place / f"{stem}.{kind}").is_file()
        ),
        None,
    )
