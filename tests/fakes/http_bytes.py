"""Just enough HTTP/1.1 to read one message from a connection and to write one, piece by piece."""

from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec


class Closed(OSError):
    """The other side ended the connection where a message should go on."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line and the headers of a message."""

    first: str
    headers: tuple[tuple[str, str], ...]

    def value(self, name: str) -> str:
        """Return a header's value; empty when it is missing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.first.split()[1])

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.value("Transfer-Encoding").lower() == "chunked"

    def without(self, *names: str) -> "Head":
        """Return the head without these headers."""
        lowered = {name.lower() for name in names}
        kept = tuple((key, value) for key, value in self.headers if key.lower() not in lowered)
        return Head(first=self.first, headers=kept)

    def framed(self, length: int) -> "Head":
        """Return the head for a body of this length."""
        plain = self.without("Transfer-Encoding", "Content-Length")
        return Head(first=self.first, headers=(*plain.headers, ("Content-Length", str(length))))

    def chunked(self) -> "Head":
        """Return the head for a body in chunks."""
        plain = self.without("Transfer-Encoding", "Content-Length")
        return Head(first=self.first, headers=(*plain.headers, ("Transfer-Encoding", "chunked")))

    def encode(self) -> bytes:
        """Return the bytes of the head."""
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


def read_head(source: BinaryIO) -> Head:
    """Read up to the empty line; raises Closed."""
    lines: list[str] = []
    while True:
        line = source.readline()
        if not line.endswith(b"\n"):
            raise Closed
        text = line.decode("latin-1").rstrip("\r\n")
        if not text:
            break
        lines.append(text)
    pairs = (line.partition(":") for line in lines[1:])
    return Head(first=lines[0], headers=tuple((key, value.strip()) for key, _, value in pairs))


def pieces(source: BinaryIO, head: Head, *, is_answer: bool) -> Iterator[bytes]:
    """Yield the body as it arrives, without its framing; raises Closed when it breaks off."""
    if is_answer and (head.status < 200 or head.status in (204, 304)):
        return
    if head.is_chunked:
        yield from _chunks(source)
    elif head.value("Content-Length"):
        yield from _counted(source, int(head.value("Content-Length")))
    elif is_answer:
        yield from iter(lambda: _read1(source, 65_536), b"")


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while size := int(_line(source).split(b";")[0], 16):
        yield from _counted(source, size)
        _line(source)
    while _line(source).strip():
        pass


def _counted(source: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        data = _read1(source, size)
        if not data:
            raise Closed
        size -= len(data)
        yield data


def _line(source: BinaryIO) -> bytes:
    line = source.readline()
    if not line:
        raise Closed
    return line


def _read1(source: BinaryIO, size: int) -> bytes:
    return cast(bytes, source.read1(size))  # type: ignore[attr-defined]


def chunk(data: bytes) -> bytes:
    """Return data as one chunk; empty data is the chunk that ends a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
