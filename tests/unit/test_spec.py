"""Pipeline specs: the words of 1.6 and 2.x, and every fault at once (ENGINE U6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.model.errors import InvalidSpec
from vedette.model.inputs import Cron, Cross, Group, Join, Pfs, Trigger, Union, leaves
from vedette.model.pipeline import SecretMount
from vedette.model.spec import parse_documents, parse_spec, spec_fields, unsupported
from vedette.model.spec_fields import SHAPES
from vedette.model.spec_words import duration, nearest, size, snake


def spec(**more: Any) -> dict[str, Any]:
    return {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "r", "glob": "/*"}},
        **more,
    }


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(document)
    return caught.value.message


def atom(repo: str, glob: str, **more: str) -> dict[str, Any]:
    return {"atom": {"repo": repo, "glob": glob, **more}}


ORIGINAL: dict[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "validate": (
        "dwhitena/mgmt-validate",
        "/bin/ash",
        ["python /code/validate.py $images /pfs/out/valid /pfs/out/invalid"],
        atom("images", "/*"),
    ),
    "object-detect": (
        "dwhitena/mgmt-object-detect",
        "/bin/bash",
        [
            "cd /tensorflow/models/object_detection/",
            "python infer.py /pfs/model/frozen_inference_graph.pb /pfs/validate/valid/ /pfs/out/ 0.50",  # noqa: E501
        ],
        {"cross": [atom("validate", "/valid/*"), atom("model", "/")]},
    ),
    "threat-detect": (
        "dwhitena/mgmt-threat-detect",
        "/bin/bash",
        ["python /code/threatdetect.py $object /pfs/rules /pfs/out $SGKEY"],
        {"cross": [atom("object-detect", "/*/*", name="object"), atom("rules", "/")]},
    ),
    "plot": (
        "dwhitena/mgmt-plot:fix2",
        "/bin/bash",
        ["python /code/plot.py /pfs/threat-detect /pfs/out"],
        atom("threat-detect", "/*"),
    ),
}


@pytest.mark.parametrize("name", ORIGINAL)
def test_the_original_specs_are_read_as_they_were_written(name: str) -> None:
    image, shell, stdin, tree = ORIGINAL[name]
    transform: dict[str, Any] = {"image": image, "cmd": [shell], "stdin": stdin}
    if name == "threat-detect":
        transform["env"] = {"SGKEY": ""}
    document = {
        "pipeline": {"name": name},
        "transform": transform,
        "parallelism_spec": {"constant": "1"},
        "input": tree,
    }
    [read] = parse_documents(json.dumps(document, indent=2).encode())
    parsed = parse_spec(read)
    assert parsed.warnings == ()
    assert unsupported(parsed.spec) == []
    assert parsed.spec.document == document
    assert (parsed.spec.transform.image, parsed.spec.transform.cmd) == (image, (shell,))
    assert parsed.spec.transform.stdin == tuple(stdin)
    assert parsed.spec.parallelism == 1
    assert parsed.spec.output_conflict == "concat"
    given_leaves = [child["atom"] for child in tree.get("cross", [tree])]
    assert [(leaf.repo, leaf.name) for leaf in leaves(parsed.spec.input)] == [
        (given["repo"], given.get("name", given["repo"])) for given in given_leaves
    ]


FULL: dict[str, Any] = {
    "pipeline": {"name": "full", "project": {"name": "default"}},
    "description": "everything",
    "transform": {
        "image": "some/image:1",
        "cmd": ["sh", "-c", "true"],
        "stdin": ["a", "b"],
        "env": {"KEY": "value"},
        "secrets": [
            {"name": "mail", "mount_path": "/secrets/mail"},
            {"name": "mail", "env_var": "SGKEY", "key": "sgkey"},
        ],
        "image_pull_secrets": ["registry"],
        "accept_return_code": [1, "2"],
        "err_cmd": ["true"],
        "err_stdin": ["c"],
        "user": "nobody",
        "working_dir": "/code",
        "datum_batching": True,
        "dockerfile": "Dockerfile",
        "build": {"path": "."},
        "debug": True,
        "memory_volume": True,
    },
    "parallelism_spec": {"constant": "4"},
    "resource_requests": {"memory": "512Mi", "cpu": 0.5, "disk": "1G"},
    "resource_limits": {"memory": "1G", "cpu": "500m", "gpu": {"type": "t", "number": 1}},
    "resource_spec": {"memory": "64M"},
    "sidecar_resource_requests": {"memory": "64M"},
    "sidecar_resource_limits": {"memory": "64M"},
    "input": {
        "cross": [
            {
                "pfs": {
                    "name": "a", "repo": "ra", "branch": "live", "glob": "/(*).jpg",
                    "project": "default", "repo_type": "user", "commit": "c",
                    "from_commit": "b", "lazy": True, "empty_files": True, "s3": True,
                    "outer_join": True, "reference": True,
                    "trigger": {
                        "branch": "master", "all": True, "rate": "10s", "size": "1M",
                        "commits": "5", "cron_spec": "@daily", "rate_limit_spec": "@daily",
                    },
                }
            },
            {
                "join": [
                    {"pfs": {"name": "b", "repo": "rb", "glob": "/(*)", "join_on": "$1"}},
                    {"pfs": {"name": "c", "repo": "rc", "glob": "/(*)", "joinOn": "${1}"}},
                ]
            },
            {"group": [{"pfs": {"name": "d", "repo": "rd", "glob": "/(*)", "group_by": "$1"}}]},
            {"union": [{"pfs": {"name": "e", "repo": "re", "glob": "/"}}]},
            {
                "cron": {
                    "name": "tick", "spec": "@every 1m", "repo": "ticks", "overwrite": True,
                    "start": "2026-01-01T00:00:00Z", "commit": "c", "project": "default",
                }
            },
        ]
    },
    "output_branch": "live",
    "egress": {"URL": "s3://b/dir", "object_storage": {}, "sql_database": {}, "secret": "s"},
    "datum_set_spec": {"number": 10, "size_bytes": "1000", "per_worker": 2},
    "chunk_spec": {"number": "10", "size_bytes": 1000},
    "datum_timeout": "1m30s",
    "datum_tries": "5",
    "job_timeout": "2h",
    "reprocess_spec": "every_job",
    "autoscaling": True,
    "standby": True,
    "scale_down_threshold": "600s",
    "service": {
        "internal_port": 80, "external_port": "30080", "ip": "", "type": "NodePort",
        "annotations": {"a": "b"},
    },
    "metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}},
    "scheduling_spec": {"node_selector": {"a": "b"}, "priority_class_name": "high"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "pod_spec": "{}",
    "pod_patch": "[]",
    "max_queue_size": 3,
    "s3_out": True,
    "cache_size": "64M",
    "enable_stats": True,
    "hashtree_spec": {"constant": 1},
    "incremental": True,
    "tf_job": {"tf_job": "{}"},
    "batch": True,
    "update": True,
    "dry_run": True,
    "salt": "abc",
    "spec_commit": {"id": "x"},
    "determined": {},
    "maximum_expected_uptime": "1h",
    "output_conflict": "identical",
    "reprocess": "on_code_change",
    "compat": "1.x",
    "on_datum_failure": "datum",
    "network": True,
    "retain": {"age": "720h", "last": 10},
}  # fmt: skip


def paths_of(value: Any, path: str = "") -> set[str]:
    """The dotted paths of all fields, without the indexes of lists."""
    if isinstance(value, list):
        return set().union(*(paths_of(item, path) for item in value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        found |= {here} | paths_of(item, here)
    return found


def camel(value: Any) -> Any:
    """The same document in protobuf's other spelling; the keys of maps stay."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    keep = ("env", "annotations", "labels", "node_selector")
    found = {}
    for key, item in value.items():
        first, *rest = key.split("_")
        spelled = first + "".join(word.capitalize() for word in rest)
        found[spelled] = item if key in keep else camel(item)
    return found


def test_every_word_of_both_ages_has_its_value() -> None:
    read = parse_spec(FULL).spec
    assert (read.name, read.description, read.output_branch) == ("full", "everything", "live")
    assert (read.parallelism, read.datum_tries) == (4, 5)
    assert (read.datum_timeout, read.job_timeout) == (90.0, 7200.0)
    assert read.reprocess_every_job
    assert read.reprocess_on_code_change
    assert (read.output_conflict, read.on_datum_failure) == ("identical", "datum")
    assert (read.compat, read.network) == ("1.x", True)
    transform = read.transform
    assert transform.env == {"KEY": "value"}
    assert transform.accept_return_code == (1, 2)
    assert (transform.err_cmd, transform.err_stdin) == (("true",), ("c",))
    assert (transform.user, transform.working_dir) == ("nobody", "/code")
    assert transform.datum_batching
    assert transform.secrets == (
        SecretMount(name="mail", mount_path="/secrets/mail"),
        SecretMount(name="mail", env_var="SGKEY", key="sgkey"),
    )
    assert isinstance(read.input, Cross)
    first, join, group, union, cron = read.input.children
    assert first == Pfs(
        name="a", repo="ra", branch="live", glob="/(*).jpg", lazy=True, empty_files=True,
        outer_join=True, reference=True,
        trigger=Trigger(
            branch="master", all=True, rate=10.0, size=1_000_000, commits=5, cron_spec="@daily",
            rate_limit_spec="@daily",
        ),
    )  # fmt: skip
    assert isinstance(join, Join)
    assert isinstance(group, Group)
    assert isinstance(union, Union)
    assert [leaf.join_on for leaf in join.children if isinstance(leaf, Pfs)] == ["$1", "${1}"]
    assert isinstance(cron, Cron)
    assert (cron.repo, cron.overwrite) == ("ticks", True)


def test_camel_case_says_the_same_as_snake_case() -> None:
    snake_read, camel_read = parse_spec(FULL), parse_spec(camel(FULL))
    assert camel_read.spec.transform == snake_read.spec.transform
    assert camel_read.spec.input == snake_read.spec.input
    assert len(camel_read.warnings) == len(snake_read.warnings)
    assert len(unsupported(camel_read.spec)) == len(unsupported(snake_read.spec))


def test_the_full_spec_above_uses_every_word_but_old_inputs_and_what_a_spout_has() -> None:
    used = {path.split(".")[-1] for path in paths_of(FULL)}
    assert snake_names() - used == {
        "atom", "git", "coefficient", "strategy", "spout", "marker",
    }  # fmt: skip


def test_the_reference_has_a_line_for_every_field() -> None:
    known = spec_fields()
    assert {path.split(".")[-1] for path in known} == snake_names()
    assert known["input.pfs.trigger.rate"] == "At most once in this time"
    assert known["s3_out"].endswith("(s3_out comes with a later release)")
    assert all(line and "\n" not in line for line in known.values())


def snake_names() -> set[str]:
    return {name for shape in SHAPES.values() for name in shape}


def test_what_comes_later_is_refused_by_name() -> None:
    later = unsupported(parse_spec(FULL).spec)
    words = {line.split(": ")[0].split(".")[-1] for line in later}
    assert words == {
        "sql_database", "s3_out", "s3",
        "build", "incremental", "tf_job",
    }  # fmt: skip
    assert "s3_out: s3_out comes with a later release" in later


def test_what_has_no_meaning_is_accepted_with_a_warning_that_says_so() -> None:
    warnings = parse_spec(FULL).warnings
    said = {warning.split(": ")[0] for warning in warnings}
    assert {"autoscaling", "standby", "tolerations", "pod_spec", "max_queue_size"} <= said
    assert {"resource_limits.gpu", "resource_requests.memory"} <= said
    assert not {"resource_limits.memory", "resource_limits.cpu", "transform.user"} & said
    assert all(len(warning.split(": ", 1)[1]) > 5 for warning in warnings)


def test_a_field_that_asks_for_nothing_is_no_warning() -> None:
    parsed = parse_spec(spec(standby=False, max_queue_size=0, pod_spec=None, s3_out=False))
    assert parsed.warnings == ()
    assert unsupported(parsed.spec) == []


def test_m2_old_words_mean_concat_unless_the_spec_says_otherwise() -> None:
    old = {"input": atom("r", "/*")}
    assert parse_spec(spec()).spec.output_conflict == "error"
    assert parse_spec(spec(compat="1.x")).spec.output_conflict == "concat"
    assert parse_spec(spec(**old)).spec.output_conflict == "concat"
    assert parse_spec(spec(**old, compat="2.x")).spec.output_conflict == "error"
    assert parse_spec(spec(**old, output_conflict="last")).spec.output_conflict == "last"


def test_d3_names_in_a_cross_are_unique_and_d2_union_children_may_share_one() -> None:
    one = {"pfs": {"repo": "r", "glob": "/*"}}
    other = {"pfs": {"repo": "s", "glob": "/*", "name": "r"}}
    assert "two inputs are named 'r'" in refusal(spec(input={"cross": [one, other]}))
    assert parse_spec(spec(input={"union": [one, other]})).warnings == ()
    nested = {"cross": [{"union": [one, other]}, {"pfs": {"repo": "t", "glob": "/"}}]}
    assert len(list(leaves(parse_spec(spec(input=nested)).spec.input))) == 3
    clash = {"cross": [{"union": [one, other]}, {"union": [one]}]}
    assert "two inputs are named 'r'" in refusal(spec(input=clash))


def test_t6_a_triggered_input_gets_a_branch_of_its_own() -> None:
    pfs = {"repo": "r", "glob": "/*", "trigger": {"rate": "10s"}}
    [leaf] = leaves(parse_spec(spec(input={"pfs": pfs})).spec.input)
    assert isinstance(leaf, Pfs)
    assert leaf.branch == "p-trigger-1"
    assert leaf.trigger == Trigger(branch="master", rate=10.0)
    assert "follow itself" in refusal(spec(input={"pfs": {**pfs, "branch": "master"}}))
    assert "no condition" in refusal(spec(input={"pfs": {**pfs, "trigger": {}}}))


def test_several_documents_come_one_after_the_other_or_in_a_list() -> None:
    assert parse_documents(b'{"a": 1} {"b": 2}\n{"c": 3}') == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert parse_documents(b'\xef\xbb\xbf[{"a": 1}, {"b": 2}]\n') == [{"a": 1}, {"b": 2}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(snake_names())), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(SHAPES[""])), JSON, max_size=6))
def test_any_document_is_either_read_or_refused(document: dict[str, Any]) -> None:
    try:
        parsed = parse_spec({**spec(), **document})
    except InvalidSpec as error:
        assert error.message
    else:
        assert parsed.spec.name


def test_the_small_words() -> None:
    assert [duration(text) for text in ("30s", "1m30s", "1.5h", "250ms")] == [30, 90, 5400, 0.25]
    assert [duration(text) for text in ("", "30", "s", "1x", "1m 30s", "-1s")] == [None] * 6
    assert [size(text) for text in ("512", "1k", "1M", "1MB", "512Mi", "1.5GiB")] == [
        512, 1000, 10**6, 10**6, 512 * 2**20, 3 * 2**29,
    ]  # fmt: skip
    assert [size(text) for text in ("", "M", "1i", "1X", "-1", "9" * 400)] == [None] * 6
    assert [snake(word) for word in ("parallelismSpec", "s3Out", "URL", "x")] == [
        "parallelism_spec", "s3_out", "URL", "x",
    ]  # fmt: skip
    assert nearest("datumTimout", ["datum_timeout", "datum_tries"]) == "datum_timeout"
    assert nearest("zzz", ["datum_timeout"]) is None
