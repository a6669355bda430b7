import io
import re
import tarfile
from email.message import Message
from urllib.response import addinfourl

import pytest
from local_server import refusing, serving

from labelnoise.datasets._download import UnreachableError, download, unpack

BODY = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_every_byte_arrives_and_is_counted(tmp_path):
    counted = []
    with serving({"/file": BODY}) as (address, _):
        download(
            f"{address}/file", tmp_path / "file", max_bytes=len(BODY), progress=lambda *count: counted.append(count)
        )
    assert (tmp_path / "file").read_bytes() == BODY
    assert counted[-1] == (len(BODY), len(BODY))
    assert counted == sorted(counted)


def test_a_server_that_does_not_say_how_much_there_is(tmp_path):
    counted = []
    with serving({"/file": (200, {"Content-Length": None}, BODY)}) as (address, _):
        download(f"{address}/file", tmp_path / "file", max_bytes=10**6, progress=lambda *count: counted.append(count))
    assert (tmp_path / "file").read_bytes() == BODY
    assert counted[-1] == (len(BODY), None)


def fails(address, tmp_path):
    with pytest.raises(UnreachableError) as raised:
        download(f"{address}/file", tmp_path / "file", max_bytes=len(BODY), progress=lambda *_: None)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b"no"), "cannot be fetched: the server says 404 Not Found"),
        ((503, {}, b"no"), "the server says 503 Service Unavailable"),
        ((200, {"Content-Length": str(len(BODY) + 1)}, BODY), "broke off after 256,000 of 256,001 bytes"),
        (BODY + b"x", "sends more than the 256,000 bytes there may be"),
        ((302, {"Location": "/file"}, b""), "the server says 302 .*infinite loop"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "the server says 302"),
    ],
)
def test_what_a_server_can_do_wrong(tmp_path, answer, message):
    with serving({"/file": answer}) as (address, _):
        assert re.search(message, fails(address, tmp_path))


def test_a_safe_address_that_leads_to_an_unsafe_one_is_refused(tmp_path, monkeypatch):
    answer = addinfourl(io.BytesIO(BODY), Message(), "http://elsewhere/file")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: answer)
    assert "leads to http://elsewhere/file, which is not as safe" in fails("https://here", tmp_path)


def test_nobody_there(tmp_path):
    assert "cannot be fetched: [Errno 111] Connection refused" in fails(refusing(), tmp_path)


def test_nobody_knows_the_name(tmp_path):
    assert "cannot be fetched: " in fails("http://nowhere.invalid", tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    with serving({"/file": BODY}) as (address, asked):
        with pytest.raises(ValueError, match="cannot be written: No such file") as raised:
            download(f"{address}/file", tmp_path / "no" / "file", max_bytes=10**6, progress=lambda *_: None)
        assert not isinstance(raised.value, UnreachableError)
        assert not asked


def archive(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_only_the_members_asked_for_are_unpacked(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(archive({"in/one": b"1", "in/two": b"2", "../evil": b"x", "/evil": b"x"}))
    unpack(tmp_path / "a.tar.gz", ("in/one",), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["in", "one"]
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archive({"in/two": b"2"}), "a.tar.gz lacks in/one"),
        (archive({"in/one": None}), "lacks in/one"),
        (archive({"in/one": BODY})[:-200], "cannot be unpacked"),
        (b"no archive", "cannot be unpacked"),
        (b"", "cannot be unpacked"),
    ],
    ids=["other", "link", "truncated", "text", "empty"],
)
def test_a_broken_archive_is_refused(tmp_path, data, message):
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        unpack(tmp_path / "a.tar.gz", ("in/one",), tmp_path / "out")
