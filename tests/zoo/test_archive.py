from __future__ import annotations

import dataclasses
import io
import stat
import tarfile
import zipfile

import pytest

from distill_zoo import WeightFile, ZooError, _archive
from distill_zoo._archive import extract
from distill_zoo._download import obtain

GOOD = b"PK\x03\x04 weights"


def zipped(entries, compress=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return buffer.getvalue()


def zip_entry(name, mode=0):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def tarred(entries, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data, *kind in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if kind:
                info.type, info.linkname = kind
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


KINDS = {
    "zip": lambda entries: zipped(entries),
    "compressed zip": lambda entries: zipped(entries, zipfile.ZIP_DEFLATED),
    "tar": lambda entries: tarred(entries),
    "tar.gz": lambda entries: tarred(entries, "w:gz"),
    "tar.bz2": lambda entries: tarred(entries, "w:bz2"),
    "tar.xz": lambda entries: tarred(entries, "w:xz"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_one_matching_file_is_extracted(kind, tmp_path):
    archive, target = tmp_path / "a", tmp_path / "out.pt"
    archive.write_bytes(KINDS[kind]([("x/kd/a.pt", GOOD), ("x/sskd/a.pt", b"no"), ("x/log.txt", b"log")]))
    extract("toy/line", archive, "*/kd/*.pt", target)
    assert target.read_bytes() == GOOD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out.pt"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        ("*.bin", "no file matches '*.bin'\n  hint: available files: x/a.pt, x/b.pt"),
        ("*.pt", "2 files match '*.pt'\n  hint: matching files: x/a.pt, x/b.pt"),
    ],
)
def test_a_pattern_must_match_exactly_one_file(kind, member, sentence, tmp_path):
    archive = tmp_path / "a"
    archive.write_bytes(KINDS[kind]([("x/a.pt", GOOD), ("x/b.pt", GOOD)]))
    with pytest.raises(ZooError) as caught:
        extract("toy/line", archive, member, tmp_path / "out.pt")
    assert str(caught.value) == f"toy/line: {archive}: {sentence}"
    assert not (tmp_path / "out.pt").exists()


SLIPS = ["../evil.pt", "x/../../evil.pt", "/evil.pt", "..\\evil.pt", "C:/evil.pt", "C:\\evil.pt"]
LINK = stat.S_IFLNK | 0o777
HOSTILE = {
    **{f"zip slip {name}": (zipped([("a.pt", GOOD), (name, b"x")]), "an entry outside the archive") for name in SLIPS},
    **{f"tar slip {name}": (tarred([("a.pt", GOOD), (name, b"x")]), "an entry outside the archive") for name in SLIPS},
    "link in a zip": (zipped([(zip_entry("a.pt", LINK), b"/etc/passwd")]), "neither a regular file nor a folder"),
    "device in a zip": (zipped([(zip_entry("a.pt", stat.S_IFCHR), b"")]), "neither a regular file nor a folder"),
    "symbolic link": (tarred([("a.pt", b"", tarfile.SYMTYPE, "/etc/passwd")]), "neither a regular file nor a folder"),
    "hard link": (tarred([("a.pt", b"", tarfile.LNKTYPE, "/etc/passwd")]), "neither a regular file nor a folder"),
    "pipe": (tarred([("a.pt", b"", tarfile.FIFOTYPE, "")]), "neither a regular file nor a folder"),
    "device": (tarred([("a.pt", b"", tarfile.CHRTYPE, "")]), "neither a regular file nor a folder"),
    "zip bomb": (zipped([("a.pt", bytes(60_000_000))], zipfile.ZIP_DEFLATED), "would unpack to more than"),
    "tar bomb": (tarred([("a.pt", bytes(60_000_000))], "w:gz"), "would unpack to more than"),
    "header bomb": (tarred([("a" * 60_000_000, b"")], "w:gz"), "would unpack to more than"),
    "many files": (zipped([(f"{index}.pt", b"") for index in range(10_001)]), "has more than 10000 entries"),
    "page of HTML": (b"<html></html>", "is not a readable archive"),
    "empty file": (b"", "is not a readable archive"),
    "truncated zip": (zipped([("a.pt", GOOD)])[:-10], "is not a readable archive"),
    "truncated tar": (tarred([("a.pt", bytes(9000))], "w:gz")[:-20], "is not a readable archive"),
    "gzip of noise": (b"\x1f\x8b\x08\x00" + bytes(range(256)), "is not a readable archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_malicious_archive_is_refused_and_writes_nothing(name, tmp_path):
    data, sentence = HOSTILE[name]
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(data)
    with pytest.raises(ZooError, match=sentence):
        extract("toy/line", folder / "a", "a*.pt", folder / "out.pt")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_an_archive_with_false_sizes_is_stopped_while_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(_archive, "SMALL", 100_000)
    monkeypatch.setattr(_archive, "MOST_RATIO", 1)
    data = bytearray(zipped([("a.pt", bytes(10_000_000))], zipfile.ZIP_DEFLATED))
    for at in (data.rfind(b"PK\x01\x02") + 24, data.find(b"PK\x03\x04") + 22):
        data[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ZooError, match=r"would unpack to|is not a readable archive"):
        extract("toy/line", tmp_path / "a", "*.pt", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_two_cards_share_an_archive(site, make_card, tmp_path):
    url = site.serve("/all.zip", zipped([("x/kd/a.pt", GOOD), ("x/at/a.pt", GOOD + b"2")]))
    base = make_card(url)
    kd, at = (
        dataclasses.replace(base, name=f"toy/line.{tag}", weights=WeightFile(url=url, member=f"*/{tag}/*.pt"))
        for tag in ("kd", "at")
    )
    assert obtain(kd, tmp_path, context=site.context).read_bytes() == GOOD
    assert obtain(at, tmp_path, context=site.context).read_bytes() == GOOD + b"2"
    assert site.requests == ["/all.zip"]
