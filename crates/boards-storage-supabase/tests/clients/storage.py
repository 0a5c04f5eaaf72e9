"""What the official Python client does against the double. Arguments: url, key, bucket."""

import sys
import urllib.request

from storage3 import create_client
from storage3.exceptions import StorageApiError

url, key, bucket = sys.argv[1:4]
headers = {"apikey": key, "authorization": f"Bearer {key}"}
client = create_client(f"{url}/storage/v1/", headers, is_async=False)


def refused(call, status):
    try:
        call()
    except StorageApiError as error:
        assert str(error.status) == status, (error.status, error.message)
        return
    raise AssertionError("an error was expected")


def fetch(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


client.create_bucket(bucket)
refused(lambda: client.create_bucket(bucket), "409")
assert client.get_bucket(bucket).name == bucket
store = client.from_(bucket)

said = {"content-type": "text/plain", "cache-control": "60"}
store.upload("dir/a b.txt", b"one", said)
refused(lambda: store.upload("dir/a b.txt", b"two", said), "409")
store.upload("dir/a b.txt", b"two", {**said, "x-upsert": "true"})
store.update("dir/a b.txt", b"three", said)
assert store.download("dir/a b.txt") == b"three"
refused(lambda: store.download("dir/nothing.txt"), "404")

assert store.info("dir/a b.txt")["size"] == 5
assert store.exists("dir/a b.txt") is True
assert [entry["name"] for entry in store.list("dir")] == ["a b.txt"]

store.copy("dir/a b.txt", "dir/copied.txt")
store.move("dir/copied.txt", "dir/moved.txt")

signed = store.create_signed_url("dir/a b.txt", 60)
assert fetch(signed["signedURL"]) == b"three"
batch = store.create_signed_urls(["dir/moved.txt", "dir/nothing.txt"], 60)
assert fetch(batch[0]["signedURL"]) == b"three"
assert batch[1]["error"]

upload = store.create_signed_upload_url("up/x.txt")
store.upload_to_signed_url(upload["path"], upload["token"], b"signed", {"content-type": "text/plain"})
assert store.download("up/x.txt") == b"signed"

removed = store.remove(["dir/moved.txt", "dir/nothing.txt"])
assert [row["name"] for row in removed] == ["dir/moved.txt"]
