"""A folder of pictures as one upload, and back: a ZIP that is never unpacked to disk."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from pipelines.records import Upload
from pipelines.step import UserError

SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".json")
MOST_FILES = 400
MOST_BYTES = 256 * 2**20


def pack(folder: Path) -> Upload:
    """The pictures (and JSON) of a folder as an upload; the same files give the same bytes. A ZIP is taken as it is.

    UserError when there is nothing, or more than the limits.
    """
    folder = Path(folder)
    if folder.is_file():
        if folder.stat().st_size > MOST_BYTES:
            raise UserError(f"'{folder.name}' is larger than {MOST_BYTES >> 20} MB; leave out what is no view.")
        upload = Upload(folder.read_bytes(), folder.name)
        unpack(upload)
        return upload
    if not folder.is_dir():
        raise UserError(f"There is no folder or ZIP '{folder}'; check the path.")
    paths = [p for p in sorted(folder.iterdir()) if p.is_file() and is_picture(p.name)]
    if not paths:
        raise UserError(f"The folder '{folder}' holds no PNG, WebP or JPEG; give the folder that the views lie in.")
    if len(paths) > MOST_FILES or sum(p.stat().st_size for p in paths) > MOST_BYTES:
        raise UserError(f"The folder '{folder}' has more than {MOST_FILES} files or {MOST_BYTES >> 20} MB; "
                        "give one that holds the views alone.")  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            # A fixed date: equal files give equal bytes.
            archive.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes())
    return Upload(buffer.getvalue(), folder.name)


def unpack(upload: Upload) -> dict[str, bytes]:
    """{file name: bytes} of an archive, folders inside it ignored; UserError for what is no ZIP, or too large."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(upload.data))
    except zipfile.BadZipFile:
        raise UserError(f"'{upload.name}' is no folder or ZIP of views; give the folder that they lie in.") from None
    files: dict[str, bytes] = {}
    with archive:
        members = [m for m in archive.infolist() if is_picture(m.filename)]
        if len(members) > MOST_FILES or sum(m.file_size for m in members) > MOST_BYTES:
            raise UserError(f"'{upload.name}' unpacks to more than {MOST_FILES} files or {MOST_BYTES >> 20} MB; "
                            "leave out what is no view.")  # fmt: skip
        for member in members:
            with archive.open(member) as file:
                # What the header says may be a lie; never read more.
                data = file.read(member.file_size + 1)
            if len(data) != member.file_size:
                raise UserError(f"'{upload.name}' is damaged at '{member.filename}'; pack it again.")
            name = PurePosixPath(member.filename).name
            if name in files:
                raise UserError(f"'{upload.name}' holds '{name}' in two folders; pack the views of one person alone.")
            files[name] = data
    return files


def is_picture(path: str) -> bool:
    """Whether a member of an archive may be a view or a cameras.json; macOS adds shadows of them ('._front.png')."""
    place = PurePosixPath(path)
    return place.suffix.lower() in SUFFIXES and not place.name.startswith(".")
