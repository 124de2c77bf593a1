"""Files chosen by data: traversal, uploads under their own name (CWE-22, CWE-73, CWE-434)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import HOLE, PATH, Facts, Hole, Value, hole, words

OPENS = words(
    "open io.open codecs.open os.remove os.unlink os.rmdir shutil.rmtree os.rename shutil.copy shutil.move "
    "shutil.copyfile "
    "os.listdir os.open os.makedirs os.mkdir send_file flask.send_file FileResponse fastapi.responses.FileResponse "
    "starlette.responses.FileResponse django.http.FileResponse aiofiles.open pathlib.Path Path os.stat "
    "zipfile.ZipFile tarfile.open pandas.read_csv pd.read_csv Image.open PIL.Image.open static_file bottle.static_file "
    "os.symlink numpy.load file os.path.join"
)
UPLOAD_NAME = re.compile(r"uploaded file|\.filename|\.name\b")


def traversal(facts: Facts) -> Iterator[Hole]:
    """A path with data in it is opened, sent or removed."""
    for call in facts.calls:
        if call.name not in OPENS:
            continue
        for value in call.args[:2]:
            danger = value.dangerous(PATH)
            if danger == "outside":
                strength = 0.6 if call.name in {"os.path.join", "pathlib.Path", "Path"} else 0.85
                yield hole("path", call.node, strength, f"{value.origin} chooses a file (CWE-22)")
                break
            if danger == "param" and _inside_folder(value) and call.name != "os.path.join":
                yield hole("path", call.node, 0.45, f"{value.origin} becomes part of a path (CWE-22)")
                break


def upload(facts: Facts) -> Iterator[Hole]:
    """An upload saved under the name its sender gave it."""
    for call in facts.methods("save", "write_bytes", "save_as"):
        if call.args and call.args[0].outside & PATH and call.receiver.outside:
            yield hole(
                "upload-name",
                call.node,
                0.9,
                f"{call.args[0].origin} becomes the path of a saved file (CWE-22, CWE-434)",
            )


def _inside_folder(value: Value) -> bool:
    text = value.text
    return text is not None and HOLE in text and text != HOLE and ("/" in text or "." in text)


RULES = (traversal, upload)
