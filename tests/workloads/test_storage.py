"""Input data from a folder by default, from an object store when a bucket is named."""

import sys
import types

import pytest


@pytest.fixture
def storage(workload_module):
    return workload_module("common", "storage")


def test_folder_of_the_request_comes_before_the_environments(storage, tmp_path, monkeypatch):
    for name in ("mine", "environment"):
        (tmp_path / name / "w").mkdir(parents=True)
        (tmp_path / name / "w" / "x").write_bytes(name.encode())
    monkeypatch.setenv("REWIND_BENCH_DATA", str(tmp_path / "environment"))
    assert storage.read({}, "w", "x") == b"environment"
    assert storage.read({"data": str(tmp_path / "mine")}, "w", "x") == b"mine"


def test_file_storage_never_imports_an_object_stores_client(storage, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)  # an import of it would raise
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "x").write_bytes(b"content")
    assert storage.read({"data": str(tmp_path)}, "w", "x") == b"content"
    with pytest.raises(ImportError):
        storage.read({"bucket": "b"}, "w", "x")


def test_bucket_is_asked_for_prefix_and_name(storage, monkeypatch):
    asked = {}

    class Client:
        def get_object(self, **request):
            asked.update(request)
            return {"Body": types.SimpleNamespace(read=lambda: b"from the store")}

    def client(service, **settings):
        asked.update(settings, service=service)
        return Client()

    monkeypatch.setitem(sys.modules, "boto3", types.SimpleNamespace(client=client))
    args = {"bucket": "b", "prefix": "p/", "endpoint": "http://127.0.0.1:9000"}
    assert storage.read(args, "imgproc", "x.jpg") == b"from the store"
    assert asked["Bucket"] == "b"
    assert asked["Key"] == "p/imgproc/x.jpg"
    assert asked["endpoint_url"] == "http://127.0.0.1:9000"
