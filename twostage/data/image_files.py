"""Where image files lie: a folder, or a zip."""

import errno
import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from twostage.data.decode import FORMATS, MAX_BYTES, Broken
from twostage.data.split_word import split_word
from twostage.errors import InputError, reading

# suffixes of images that are not read
OTHER_IMAGES = {".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".raw", ".dng"}
# what zipfile raises of an entry
ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    EOFError,
)


MAX_SAMPLED = 8  # files whose content is in a folder's stamp
UNREADABLE = "it cannot be read"  # for lack of a permission, which may come


class Folder:
    """The image files in a folder and the folders in it.

    Links to files and folders are followed, wherever they lead: data stores make them.
    Hidden files and folders do not count; nor do those of a run, whose images are
    samples and charts.

    Args:
        path: The folder.

    Attributes:
        path: The folder, absolute.
        name: Its name.
        files: Maps the files' names (relative, with slashes) in order to what changes
            when they do.
        others: Counts the other files, broken links and folders of runs, in words.

    Raises:
        InputError: there is no image; the folder is one of a run; a link leads back to
            a folder that it lies in.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).resolve()
        self.name = Path(os.path.abspath(path)).name  # of a link, too
        _check_no_run(self.path)
        self._broken_links = self._runs = 0
        with reading():
            found = list(self._walk(self.path, "", ()))
        stamps = {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found}
        counts = {"broken links": self._broken_links, "folders of a run": self._runs}
        more = [f"{count} {name}" for name, count in counts.items() if count]
        self.files, self.others = _image_files(self.path, stamps, more)

    def _walk(
        self, folder: str | Path, prefix: str, above: tuple[Path, ...]
    ) -> Iterator[tuple[str, os.stat_result]]:
        """(name, stat) of each file below a folder, which lies in the folders above."""
        real = Path(folder).resolve()
        if real in above:
            raise InputError(
                f"received {self.path}, in which the link {prefix.rstrip('/')} leads"
                " back to a folder that it lies in: remove it"
            )
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_endless(entry):
                    self._broken_links += 1
                elif entry.is_dir() and _is_of_a_run(Path(entry.path)):
                    self._runs += 1
                elif entry.is_dir():
                    inner = f"{prefix}{entry.name}/"
                    yield from self._walk(entry.path, inner, (*above, real))
                elif entry.is_file():
                    yield prefix + entry.name, entry.stat()
                elif entry.is_symlink():
                    self._broken_links += 1

    def open(self, name: str) -> IO[bytes]:
        """The file of a name, to be closed."""
        return open(self.path / name, "rb")

    def items(self, names: Sequence[str], first: int = 0) -> Iterator[str]:
        """What `read` takes, for each of the names from the row `first` on."""
        return (str(self.path / name) for name in names[first:])

    @staticmethod
    def read(item: str) -> bytes:
        """The bytes of a file, in any process; one more than `MAX_BYTES` of a larger
        one, which `decode` refuses.
        """
        try:
            with open(item, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size <= MAX_BYTES:
                    return file.read()
                return file.read(MAX_BYTES + 1)
        except PermissionError as error:
            raise Broken(f"{UNREADABLE}: {error.strerror}") from error
        except OSError as error:
            raise InputError(
                f"received {item}, which cannot be read ({error.strerror}): make it"
                " readable, or remove it"
            ) from error

    def checksum(self, name: str) -> str:
        """Of a file's content: another folder may have the same names, sizes and times,
        as a store or an archive with fixed times gives them. "" where it is not
        readable.
        """
        try:
            return hashlib.sha256(self.read(str(self.path / name))).hexdigest()
        except InputError:
            return ""

    def text(self, stem: str) -> str | None:
        """The text of the file STEM.txt or STEM.csv in the folder or beside it; None
        where there is none.
        """
        return _text_in((self.path, self.path.parent), stem)


class Zip:
    """The image files in a zip, as `Folder`. A folder that holds all of them is not
    part of their names.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).resolve()
        self.name = self.path.stem
        try:
            with reading():
                self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(
                f"received {path}, which is no whole zip ({error}): fetch it again"
            ) from error
        # some tools write Windows's separators
        visible = {
            name: entry
            for entry in self._zip.infolist()
            if not (name := entry.filename.replace("\\", "/")).endswith("/")
            and not _hidden(name)
        }
        top = _common_folder(visible)
        self._entries = {
            name.removeprefix(top): entry for name, entry in visible.items()
        }
        stamps = {
            name: f"{entry.file_size} {entry.CRC}"
            for name, entry in self._entries.items()
        }
        self.files, self.others = _image_files(self.path, stamps)

    def open(self, name: str) -> IO[bytes]:
        """The file of a name, to be closed; `Broken` where that cannot be."""
        entry = self._entries[name]
        if entry.file_size > MAX_BYTES:
            raise Broken(f"more than {MAX_BYTES:,} bytes")
        if entry.flag_bits & 1:
            raise Broken("it needs a password")
        try:
            return self._zip.open(entry)
        except ZIP_DAMAGE as error:
            raise Broken(str(error)[:80]) from error

    def items(self, names: Sequence[str], first: int = 0) -> Iterator[bytes | Broken]:
        """What `read` takes, for each of the names from the row `first` on."""
        return (self._content(name) for name in names[first:])

    def _content(self, name: str) -> bytes | Broken:
        try:
            with self.open(name) as file:
                return file.read()
        except Broken as error:
            return error
        except ZIP_DAMAGE as error:
            return Broken(str(error)[:80])

    @staticmethod
    def read(item: bytes | Broken) -> bytes:
        """The bytes of a file."""
        if isinstance(item, Broken):
            raise item
        return item

    @staticmethod
    def checksum(name: str) -> str:
        """None beside the zip's own, which `files` has."""
        return ""

    def text(self, stem: str) -> str | None:
        """The text of the file STEM.txt or STEM.csv in the zip or beside it; None where
        there is none.
        """
        for name, entry in self._entries.items():
            if PurePosixPath(name).name in (f"{stem}.txt", f"{stem}.csv"):
                return self._zip.read(entry).decode()
        return _text_in((self.path.parent,), stem)


def _is_endless(entry: os.DirEntry) -> bool:
    """Whether an entry of a folder is a link that leads to itself."""
    try:
        entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return True
        raise
    return False


def stamp(files: "Folder | Zip", names: Sequence[str]) -> str:
    """A checksum of names, of what changes when their files do, and of the content of a
    few.
    """
    lines = [f"{name} {files.files[name]}" for name in names]
    chosen = names[:: -(-len(names) // MAX_SAMPLED) or 1]
    content = filter(None, map(files.checksum, chosen))
    return hashlib.sha256(os.fsencode("\n".join([*lines, *content]))).hexdigest()


def _is_of_a_run(folder: Path) -> bool:
    """Whether a folder is one that a training or an evaluation wrote."""
    written = folder.name in ("stage1", "stage2", "evaluation")
    return written and (folder.parent / "stage1" / "config.json").is_file()


def _check_no_run(path: Path) -> None:
    for folder in (path, *path.parents):
        if _is_of_a_run(folder):
            raise InputError(
                f"{path}, in the run {folder.parent}",
                "a folder of your own images",
                f"to use the run, give `run={str(folder.parent)!r}`",
            )


def _image_files(
    where: Path, files: Mapping[str, str], more: Sequence[str] = ()
) -> tuple[dict[str, str], str]:
    """(images, others): the files with an image's suffix, in order, and in words what
    else there is, with `more` at the end.
    """
    chosen = {name: files[name] for name in sorted(files) if _is_image(name)}
    counts = Counter(
        PurePosixPath(name).suffix.lower() or "without a suffix"
        for name in files.keys() - chosen.keys()
    )
    suffixes = [f"{count} {suffix}" for suffix, count in counts.most_common(5)]
    others = ", ".join([*suffixes, *more])
    if not chosen:
        inside = f", only {others}" if others else ""
        fix = "check the path"
        if not OTHER_IMAGES.isdisjoint(counts):
            fix = f"convert them, or {fix}"
        raise InputError(
            f"{where}, which holds no image{inside}",
            f"files of {', '.join(FORMATS)}",
            fix,
        )
    return chosen, others


def _common_folder(names: Mapping[str, object]) -> str:
    """`NAME/` of the folder that holds all images of a zip and is no split's; "" where
    there is none.
    """
    # the separator is "" where an image lies in no folder
    tops = {name.partition("/")[:2] for name in names if _is_image(name)}
    if len(tops) != 1:
        return ""
    folder, separator = tops.pop()
    return f"{folder}/" if separator and not split_word(folder) else ""


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in FORMATS


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _text_in(folders: Sequence[Path], stem: str) -> str | None:
    for folder in folders:
        for suffix in ("txt", "csv"):
            path = folder / f"{stem}.{suffix}"
            if path.is_file():
                return path.read_text(encoding="utf-8")
    return None
