"""What is asked of a bucket before anything is trusted to it, and what is said of one at fault."""

from __future__ import annotations

import shutil
import threading

import pytest
from tests.object_servers import MotoTls, ObjectServer, at, one_line, running

from vedette.model.errors import Conflict, Invalid, Unavailable
from vedette.objects import check
from vedette.objects.bucket import Bucket, Taken


def test_an_honest_store_is_accepted_and_is_clean_afterwards(weed: ObjectServer) -> None:
    bucket = Bucket(weed.place(), weed.environ)
    check.check(bucket)
    assert list(bucket.items("check")) == []


def test_a_store_that_ignores_conditions_is_refused(rclone: ObjectServer) -> None:
    bucket = Bucket(rclone.place(), rclone.environ, patience=2.0)
    with pytest.raises(Invalid) as caught:
        check.check(bucket)
    assert "it ignores If-None-Match" in one_line(caught.value)
    assert list(bucket.items("check")) == []


def test_what_is_wrong_with_a_bucket_is_one_line_each(weed: ObjectServer) -> None:
    faults = {
        "there is no bucket nobody-made": Bucket("s3://nobody-made/x", weed.environ),
        "refused (SignatureDoesNotMatch)": Bucket(
            weed.place(), {**weed.environ, "AWS_SECRET_ACCESS_KEY": "wrong"}
        ),
        "refused (InvalidAccessKeyId)": Bucket(
            weed.place(), {**weed.environ, "AWS_ACCESS_KEY_ID": "wrong"}
        ),
        "no answer": at("http://127.0.0.1:9", weed, weed.place(), patience=0.2),
    }
    for said, bucket in faults.items():
        with pytest.raises(Unavailable) as caught:
            check.check(bucket)
        assert said in one_line(caught.value)


@pytest.mark.parametrize(
    "address",
    ["s3:/bucket", "s3://", "s3://B", "http://bucket/x", "s3://ok-1/../x", "s3://ok-1/a?b"],
)
def test_an_address_that_makes_no_sense_is_refused(address: str, weed: ObjectServer) -> None:
    with pytest.raises(Invalid, match="use s3://BUCKET/PREFIX"):
        Bucket(address, weed.environ)


def test_an_endpoint_needs_a_key_and_a_scheme() -> None:
    with pytest.raises(Invalid, match="set AWS_ACCESS_KEY_ID"):
        Bucket("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(Invalid, match="use http://HOST:PORT"):
        Bucket("s3://bucket/x", {"AWS_ENDPOINT_URL": "127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k"})


def test_a_place_belongs_to_one_installation(weed: ObjectServer) -> None:
    bucket = Bucket(weed.place(), weed.environ)
    with pytest.raises(Conflict, match="does not hold the objects of this data"):
        check.claim(bucket, "a" * 32, new=False)
    check.claim(bucket, "a" * 32, new=True)
    check.claim(bucket, "a" * 32, new=False)
    with pytest.raises(Conflict, match="another installation"):
        check.claim(bucket, "b" * 32, new=True)


def test_of_many_who_create_one_key_at_once_one_succeeds(weed: ObjectServer) -> None:
    bucket = Bucket(weed.place(), weed.environ)
    won: list[int] = []

    def create(n: int) -> None:
        try:
            bucket.create("race", b"%d" % n)
            won.append(n)
        except Taken:
            pass

    threads = [threading.Thread(target=create, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and bucket.read("race", 0, 10) == b"%d" % won[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_store_with_a_private_authority_is_trusted_when_told_to() -> None:
    with running(MotoTls) as server:
        assert isinstance(server, MotoTls)
        place, told = server.place(), {"AWS_CA_BUNDLE": str(server.certificate)}
        bucket = Bucket(place, {**server.environ, **told})
        bucket.create("key", b"over TLS")
        assert bucket.read("key", 0, 100) == b"over TLS"
        with pytest.raises(Unavailable, match="no answer"):
            Bucket(place, server.environ, patience=0.0).read("key", 0, 100)
        with pytest.raises(Invalid, match="AWS_CA_BUNDLE /nowhere: No such file"):
            Bucket(place, {**server.environ, "AWS_CA_BUNDLE": "/nowhere"})
