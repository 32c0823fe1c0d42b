"""I am the door to a file: lines of text from a plain or gzipped file, within stated limits.
I may import error and the standard library's file readers.
I must not know what the lines mean, nor let any error out but ConfigError.
My tests are in tests/unit/adapters/history/test_text_lines.py.
"""

import gzip
import stat
import zlib
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain
from pathlib import Path

from engine.domain.error import ConfigError

BYTES_MAX = 1_000_000_000
LINES_MAX = 5_000_000
LINE_BYTES_MAX = 65_536
_BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def text_lines(path: Path) -> Iterator[str]:
    """Read the lines of a UTF-8 file (plain or gzipped by its content), without their line ends.

    Memory stays flat. Raises ConfigError with one sentence when the file cannot be read to its end, is not text, or
    is beyond BYTES_MAX unzipped bytes, LINES_MAX lines or LINE_BYTES_MAX bytes in one line.
    """
    return chain.from_iterable(_blocks(path))


def _blocks(path: Path) -> Iterator[list[str]]:
    with _opened(path) as raw:
        count = 0
        rest = b""
        for block in _unzipped(path, raw):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                raise ConfigError(f"{path} is not a CSV file: it has a line of more than {LINE_BYTES_MAX:,} bytes.")
            if newline:
                lines = _decoded(path, whole).split("\n")
                count += len(lines)
                if count > LINES_MAX:
                    raise ConfigError(f"{path} has more than {LINES_MAX:,} lines, which is the limit; split it.")
                yield lines
        if rest:
            yield [_decoded(path, rest)]


def _opened(path: Path) -> BufferedReader:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"{path} is a folder, not a file of bars.")
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path} is not a regular file.")
        if found.st_size > BYTES_MAX:
            raise ConfigError(_too_large(path))
        return path.open("rb")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{str(path)!r} is not the name of a file: {error}.") from error


def _unzipped(path: Path, raw: BufferedReader) -> Iterator[bytes]:
    size = 0
    try:
        zipped = raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
        content = gzip.GzipFile(fileobj=raw) if zipped else raw
        while block := content.read(_BLOCK_BYTES):
            size += len(block)
            if size > BYTES_MAX:
                raise ConfigError(_too_large(path))
            yield block
    except EOFError:
        raise ConfigError(f"{path} is cut off: its gzip data ends too early.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ConfigError(f"{path} is damaged: its gzip data cannot be unpacked ({error}).") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error


def _too_large(path: Path) -> str:
    return f"{path} is larger than {BYTES_MAX:,} bytes (unzipped), which is the limit; split it."


def _decoded(path: Path, line_bytes: bytes) -> str:
    try:
        return line_bytes.decode("utf-8").replace("\r\n", "\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: it holds the byte 0x{error.object[error.start]:02x}.") from error
