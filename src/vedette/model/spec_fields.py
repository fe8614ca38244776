"""Every field that a pipeline spec may have, in one table (ENGINE "Spec fields").

The table says what a field means, what its values look like, and whether it does anything here.
Reading, warnings, refusals and the reference in the documentation all follow from it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "text", "flag", "count", "number", "duration", "size", "cpus",
    "texts", "counts", "map", "object", "objects", "any",
]  # fmt: skip


class Field(Struct, frozen=True):
    """One field. `shape` names the table of what is inside an object.

    `ignored` says why it has no effect (a warning); `later` what comes with a later release (a
    refusal); `choices` are the only values of a text, in lower case.
    """

    kind: Kind
    meaning: str
    shape: str = ""
    ignored: str = ""
    later: str = ""
    choices: tuple[str, ...] = ()


Shape = dict[str, Field]

_PLACING = "workers are placed by the server; this has no effect"
_ALWAYS = "workers come with work and go without it, always; this has no effect"
_NOT_ENFORCED = "kept, but not enforced yet"
_REQUESTED = "what is requested is kept; only resource_limits (memory, cpu) are enforced here"
_NO_PROJECTS = "there are no projects here; this has no effect"

SHAPES: dict[str, Shape] = {
    "": {
        "pipeline": Field("object", "What the pipeline is called", "pipeline"),
        "description": Field("text", "A sentence for people"),
        "transform": Field("object", "What runs for every datum", "transform"),
        "parallelism_spec": Field("object", "How many workers", "parallelism_spec"),
        "resource_requests": Field("object", "What a worker needs", "requests"),
        "resource_limits": Field("object", "What a worker may use at most", "limits"),
        "resource_spec": Field("object", "1.x: what a worker needs", "requests"),
        "sidecar_resource_requests": Field("any", "For a container beside", ignored=_PLACING),
        "sidecar_resource_limits": Field("any", "For a container beside", ignored=_PLACING),
        "input": Field("object", "Which files make datums", "input"),
        "output_branch": Field("text", "Branch of the output repo that jobs commit to"),
        "egress": Field(
            "object", "Where outputs are copied to after a job", "egress"
        ),
        "datum_set_spec": Field(
            "object", "How much of a job a worker claims at once, at most", "datum_set_spec"
        ),
        "chunk_spec": Field(
            "object", "1.x: how much of a job a worker claims at once, at most", "datum_set_spec"
        ),
        "datum_timeout": Field("duration", "How long one try of a datum may take"),
        "datum_tries": Field("count", "How often a datum is tried before it has failed"),
        "job_timeout": Field("duration", "How long a job may take before it is KILLED"),
        "reprocess_spec": Field(
            "text", "every_job: skip nothing", choices=("until_success", "every_job")
        ),
        "autoscaling": Field("flag", "2.x: no workers without work", ignored=_ALWAYS),
        "standby": Field("flag", "1.x: no workers without work", ignored=_ALWAYS),
        "scale_down_threshold": Field("duration", "1.x: when workers go", ignored=_ALWAYS),
        "service": Field(
            "object", "A long-lived command that answers requests", "service"
        ),
        "spout": Field(
            "object", "A long-lived command that emits files", "spout"
        ),
        "metadata": Field(
            "object", "Labels and annotations", "metadata",
            ignored="kept with the spec; nothing reads labels or annotations here",
        ),
        "scheduling_spec": Field("object", "Which nodes", "scheduling_spec", ignored=_PLACING),
        "tolerations": Field("any", "Which tainted nodes", ignored=_PLACING),
        "pod_spec": Field("any", "Changes to a pod", ignored=_PLACING),
        "pod_patch": Field("any", "Changes to a pod", ignored=_PLACING),
        "max_queue_size": Field(
            "count", "1.x: datums fetched ahead", ignored="a worker holds 100 ms of work, always"
        ),
        "s3_out": Field("flag", "Output through an S3 gateway", later="s3_out comes"),
        "tf_job": Field("any", "A Kubeflow training job in place of cmd", later="tf_job comes"),
        "cache_size": Field(
            "size", "1.x: a worker's cache", ignored="the server sizes its caches itself"
        ),
        "enable_stats": Field(
            "flag", "1.x: statistics per datum", ignored="they are always kept"
        ),
        "hashtree_spec": Field(
            "object", "1.x: how output trees are cut", "hashtree_spec",
            ignored="there are no hash trees here",
        ),
        "incremental": Field(
            "flag", "1.x: keep /pfs/out from the last job", later="incremental pipelines come"
        ),
        "batch": Field("flag", "1.x: one job at a time", ignored="it is always so"),
        "update": Field("flag", "Part of a request", ignored="use update-pipeline"),
        "dry_run": Field("flag", "Part of a request", ignored="use create-pipeline --dry-run"),
        "salt": Field("text", "Part of a stored spec", ignored="a new one is made"),
        "spec_commit": Field("any", "Part of a stored spec", ignored="a new one is made"),
        "determined": Field("any", "A Determined workspace", ignored="there is none here"),
        "maximum_expected_uptime": Field(
            "duration", "2.x: when to raise an alarm", ignored=_NOT_ENFORCED
        ),
        "output_conflict": Field(
            "text", "What if two datums write one path",
            choices=("error", "concat", "first", "last", "identical"),
        ),
        "reprocess": Field("any", "on_code_change: image, cmd, stdin and env join the cache key"),
        "compat": Field("text", "1.x: the older behaviour", choices=("1.x", "2.x")),
        "on_datum_failure": Field(
            "text", "datum: a failed datum fails itself only", choices=("job", "datum")
        ),
        "network": Field("flag", "User code may use the network"),
        "retain": Field("object", "How long the bytes of outputs are kept", "retain"),
    },
    "pipeline": {
        "name": Field("text", "The pipeline's and its output repo's name"),
        "project": Field("any", "2.x: the project", ignored=_NO_PROJECTS),
    },
    "transform": {
        "image": Field("text", "The image that the command runs in"),
        "cmd": Field("texts", "The command and its arguments, run without a shell"),
        "stdin": Field("texts", "Lines for the command's standard input"),
        "env": Field("map", "Environment variables"),
        "secrets": Field("objects", "Secrets that the command may see", "secret"),
        "image_pull_secrets": Field(
            "texts", "Secrets for pulling the image", ignored="no image is pulled here"
        ),
        "accept_return_code": Field("counts", "Exit codes that mean success, beside 0"),
        "err_cmd": Field("texts", "What runs after the last try; exit 0 means recovered"),
        "err_stdin": Field("texts", "Lines for err_cmd's standard input"),
        "user": Field("text", "Who runs the command: a name or a number of this host"),
        "working_dir": Field("text", "The directory that the command starts in"),
        "datum_batching": Field(
            "flag", "One process serves many datums: it calls `pachctl next datum` for each"
        ),
        "dockerfile": Field("text", "Where the image is made", ignored="images are not built here"),
        "build": Field("any", "1.x: how the image is made", later="transform.build comes"),
        "debug": Field("flag", "More log lines", ignored="use get-logs"),
        "memory_volume": Field("flag", "Inputs in memory", ignored="the worker decides"),
    },
    "secret": {
        "name": Field("text", "The secret's name"),
        "mount_path": Field("text", "A directory that shows its keys as files"),
        "env_var": Field("text", "An environment variable that holds the value of `key`"),
        "key": Field("text", "Which of the secret's keys"),
    },
    "parallelism_spec": {
        "constant": Field("count", "This many workers"),
        "coefficient": Field(
            "number", "1.x: workers per node", ignored="the server decides how many workers"
        ),
        "strategy": Field("text", "Before 1.2", ignored="constant or nothing is enough"),
    },
    "requests": {
        "memory": Field("size", "Bytes of memory", ignored=_REQUESTED),
        "cpu": Field("cpus", "Processors", ignored=_REQUESTED),
        "disk": Field("size", "Bytes of disk", ignored=_REQUESTED),
        "gpu": Field("any", "Graphics processors", ignored=_REQUESTED),
    },
    "limits": {
        "memory": Field("size", "Bytes of memory; a datum that takes more fails"),
        "cpu": Field("cpus", "Processors; a command is slowed down to that"),
        "disk": Field("size", "Bytes of disk", ignored=_NOT_ENFORCED),
        "gpu": Field("any", "Graphics processors", ignored=_NOT_ENFORCED),
    },
    "input": {
        "pfs": Field("object", "Files of one branch", "pfs"),
        "atom": Field("object", "1.x: files of one branch", "pfs"),
        "cross": Field("objects", "Every combination of these inputs", "input"),
        "union": Field("objects", "These inputs one after the other", "input"),
        "join": Field("objects", "Files that share a key", "input"),
        "group": Field("objects", "All files of a key", "input"),
        "cron": Field("object", "Ticks of a clock", "cron"),
        "git": Field("any", "1.x: a git repository", later="git inputs come"),
    },
    "pfs": {
        "name": Field("text", "Its folder in /pfs; the repo's name if left out"),
        "repo": Field("text", "The repo that is read"),
        "project": Field("text", "2.x: the project", ignored=_NO_PROJECTS),
        "repo_type": Field("text", "2.x: user", choices=("user",)),
        "branch": Field("text", "The branch that is read; master if left out"),
        "commit": Field("text", "Part of a stored spec", ignored="jobs choose their commits"),
        "from_commit": Field("text", "Before 1.4", ignored="use create-pipeline --from"),
        "glob": Field("text", "Which files and directories are datums"),
        "lazy": Field("flag", "Files are named pipes, fetched when first opened"),
        "empty_files": Field("flag", "Names without content"),
        "join_on": Field("text", "The key in a join, made of the glob's captures"),
        "outer_join": Field("flag", "Keep this side without a partner"),
        "group_by": Field("text", "The key in a group, made of the glob's captures"),
        "trigger": Field("object", "When the input's branch moves", "trigger"),
        "reference": Field("flag", "A change here makes no datum run again"),
        "s3": Field("flag", "Read through an S3 gateway", later="s3 inputs come"),
    },
    "trigger": {
        "branch": Field("text", "The branch that is followed; master if left out"),
        "all": Field("flag", "Every condition instead of any"),
        "rate": Field("duration", "At most once in this time"),
        "size": Field("size", "After this many new bytes"),
        "commits": Field("count", "After this many commits"),
        "cron_spec": Field("text", "At these times, as for a cron input"),
        "rate_limit_spec": Field("text", "2.x: after a move not before its next time"),
    },
    "cron": {
        "name": Field("text", "Its folder in /pfs"),
        "spec": Field("text", "Five fields, @daily, or @every 1m; before it CRON_TZ=ZONE"),
        "repo": Field("text", "The repo of the ticks; <pipeline>_<name> if left out"),
        "project": Field("text", "2.x: the project", ignored=_NO_PROJECTS),
        "commit": Field("text", "Part of a stored spec", ignored="jobs choose their commits"),
        "start": Field("text", "The first tick comes after this time (RFC 3339)"),
        "overwrite": Field("flag", "Keep one file instead of one per tick"),
    },
    "egress": {
        "URL": Field("text", "file:///FOLDER below one of egress_roots, or s3://BUCKET/PREFIX"),
        "object_storage": Field("any", "2.x: the same, as its `url`"),
        "sql_database": Field("any", "2.x: a database", later="egress to databases comes"),
        "secret": Field("text", "A secret with AWS_ACCESS_KEY_ID and the like for the bucket"),
    },
    "datum_set_spec": {
        "number": Field("count", "Datums that a worker holds at most"),
        "size_bytes": Field("size", "Bytes of input that a worker holds at most"),
        "per_worker": Field("count", "A job's datums are cut into this many claims a worker"),
    },
    "service": {
        "internal_port": Field("count", "Where the command listens"),
        "external_port": Field("count", "Where it is reached; internal_port if left out"),
        "ip": Field("text", "At which address of this host; loopback if left out"),
        "type": Field("text", "Kubernetes' kind of service", ignored=_PLACING),
        "annotations": Field("map", "Kubernetes' annotations", ignored=_PLACING),
    },
    "spout": {
        "overwrite": Field("flag", "1.x: replace files instead of appending"),
        "service": Field(
            "object", "What it listens to", "service", later="spouts that listen come"
        ),
        "marker": Field("text", "1.x: a file that it finds in /pfs when it starts again"),
    },
    "metadata": {
        "annotations": Field("map", "Kubernetes' annotations"),
        "labels": Field("map", "Kubernetes' labels"),
    },
    "scheduling_spec": {
        "node_selector": Field("map", "Labels of a node"),
        "priority_class_name": Field("text", "Kubernetes' priority"),
    },
    "hashtree_spec": {"constant": Field("count", "1.x: pieces")},
    "retain": {
        "age": Field("duration", "Keep what was written later than so long ago"),
        "last": Field("count", "Keep what the newest so many commits wrote"),
    },
}  # fmt: skip


def spec_fields() -> dict[str, str]:
    """Every field by its dotted path, with one line on what it means and whether it has effect."""
    found: dict[str, str] = {}
    _describe("", "", found, ())
    return found


def _describe(shape: str, path: str, found: dict[str, str], inside: tuple[str, ...]) -> None:
    for name, field in SHAPES[shape].items():
        here = f"{path}.{name}" if path else name
        note = ""
        if field.later:
            note = f" ({field.later} with a later release)"
        elif field.ignored:
            note = f" ({field.ignored})"
        found[here] = field.meaning + note
        if field.shape and field.shape not in inside:
            _describe(field.shape, here, found, (*inside, field.shape))
