import gzip
import os
from pathlib import Path

import pytest

from engine.adapters.history import text_lines as limits
from engine.adapters.history.text_lines import LINE_BYTES_MAX, text_lines
from engine.domain.error import ConfigError


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        list(text_lines(path))
    text = str(caught.value)
    assert str(path) in text
    assert text.count("\n") == 0
    return text


def holding(folder: Path, content: bytes) -> Path:
    path = folder / "EUR_USD.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"one\ntwo", b"one\r\ntwo\r\n", b"one\r\ntwo\r"])
def test_lines_come_without_their_ends(tmp_path: Path, content: bytes) -> None:
    assert list(text_lines(holding(tmp_path, content))) == ["one", "two"]
    assert list(text_lines(holding(tmp_path, gzip.compress(content)))) == ["one", "two"]


def test_gzip_is_known_by_its_content_and_may_have_several_members(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_bytes(gzip.compress(b"one\nt") + gzip.compress(b"wo\n"))
    assert list(text_lines(path)) == ["one", "two"]


def test_lines_survive_the_borders_of_blocks(tmp_path: Path) -> None:
    lines = [f"{number} é" * (number % 50) for number in range(60_000)]
    content = "\n".join(lines).encode()
    assert len(content) > 3 << 20
    assert list(text_lines(holding(tmp_path, content))) == lines


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.csv")


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a regular file" in refusal(path)


def test_file_within_a_file_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(holding(tmp_path, b"") / "below")


def test_impossible_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="not the name of a file"):
        list(text_lines(Path("EUR\0USD.csv")))


@pytest.mark.parametrize("content", [b"\xff\xfeo\0n\0e\0\n\0", b"one\ntwo\xc3", bytes(range(128, 256))])
def test_bytes_that_are_not_text_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "not UTF-8 text" in refusal(holding(tmp_path, content))


@pytest.mark.parametrize("left", [2, 9, 15, -9, -1])
def test_truncated_gzip_is_refused_wherever_it_ends(tmp_path: Path, left: int) -> None:
    whole = gzip.compress(os.urandom(3_000).hex().encode())
    assert "cut off" in refusal(holding(tmp_path, whole[:left]))


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b"one\n" * 1_000, mtime=0))
    for at in range(3, len(whole) - 1):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            list(text_lines(holding(tmp_path, bytes(damaged))))
        except ConfigError as error:
            assert "gzip data" in str(error) or "UTF-8" in str(error)
    assert "damaged" in refusal(holding(tmp_path, bytes(whole[:-8]) + bytes(8)))
    assert "damaged" in refusal(holding(tmp_path, bytes(whole) + b"more"))


def test_endless_line_is_refused(tmp_path: Path) -> None:
    assert "more than 65,536 bytes" in refusal(holding(tmp_path, b"1" * (LINE_BYTES_MAX + 1)))
    assert "more than 65,536 bytes" in refusal(holding(tmp_path, gzip.compress(bytes(50_000_000))))


def test_unzipped_size_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BYTES_MAX", 4_000_000)
    path = holding(tmp_path, gzip.compress(b"one\n" * 1_000_000))
    assert sum(1 for _ in text_lines(path)) == 1_000_000
    assert "larger than 4,000,000 bytes" in refusal(holding(tmp_path, gzip.compress(b"one\n" * 1_000_001)))
    assert "larger than 4,000,000 bytes" in refusal(holding(tmp_path, b"one\n" * 1_000_001))


def test_number_of_lines_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINES_MAX", 10)
    assert len(list(text_lines(holding(tmp_path, b"one\n" * 10)))) == 10
    assert "more than 10 lines" in refusal(holding(tmp_path, b"one\n" * 11))
