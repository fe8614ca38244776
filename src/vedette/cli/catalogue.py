"""Every command: where it is, and what it does in a line. Nothing else is loaded to list them."""

from __future__ import annotations

from collections.abc import Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve:serve", "Run a server in the foreground"),
    "worker": ("worker:worker", "Run datums for a server that is elsewhere"),
    "list-worker": ("worker:list_worker", "List the hosts that have workers"),
    "migrate-store": ("migrate:migrate_store", "Move an installation to a database or a bucket"),
    "migrate": ("schema:migrate", "Bring a database to this program's schema"),
    "version": ("server:version", "Show the versions of this program and of the server"),
    "wait": ("server:wait", "Wait until nothing is left to do, or until a commit is done with"),
    "status": ("server:status", "Show the server and the services of its applications"),
    "create-repo": ("repos:create_repo", "Create a repo"),
    "list-repo": ("repos:list_repo", "List all repos"),
    "inspect-repo": ("repos:inspect_repo", "Show one repo"),
    "update-repo": ("keeping:update_repo", "Say how long a repo keeps the bytes of its files"),
    "delete-repo": ("repos:delete_repo", "Delete a repo with its history"),
    "create-branch": ("repos:create_branch", "Create a branch, or move it to another commit"),
    "list-branch": ("repos:list_branch", "List the branches of a repo"),
    "delete-branch": ("repos:delete_branch", "Delete a branch; its commits stay"),
    "start-commit": ("commits:start_commit", "Open a commit on a branch"),
    "finish-commit": ("commits:finish_commit", "Finish an open commit"),
    "list-commit": ("commits:list_commit", "List commits of a repo, or all of a global id"),
    "inspect-commit": ("commits:inspect_commit", "Show one commit"),
    "squash-commit": ("keeping:squash_commit", "Take a commit out of the history"),
    "delete-commit": ("keeping:delete_commit", "Take a commit away that no other follows"),
    "flush-commit": ("commits:flush_commit", "Wait for all jobs that a commit causes"),
    "subscribe-commit": ("commits:subscribe_commit", "Print commits as they are finished"),
    "put-file": ("put:put_file", "Write files into a repo"),
    "get-file": ("files:get_file", "Read a file, or with -r all below a directory"),
    "list-file": ("files:list_file", "List a directory"),
    "glob-file": ("files:glob_file", "List files and directories that match a pattern"),
    "inspect-file": ("files:inspect_file", "Show one file or directory"),
    "diff-file": ("differences:diff_file", "List files that differ between two commits"),
    "copy-file": ("files:copy_file", "Copy files between repos; no bytes are moved"),
    "delete-file": ("files:delete_file", "Remove a file, or a directory with all below it"),
    "create-pipeline": ("pipelines:create_pipeline", "Create pipelines from their specs"),
    "update-pipeline": ("pipelines:update_pipeline", "Give pipelines new specs"),
    "validate-pipeline": ("pipelines:validate_pipeline", "Check specs without a server"),
    "list-pipeline": ("pipelines:list_pipeline", "List all pipelines"),
    "inspect-pipeline": ("pipelines:inspect_pipeline", "Show one pipeline"),
    "delete-pipeline": ("pipelines:delete_pipeline", "Delete a pipeline and its repo"),
    "extract-pipeline": ("extract:extract_pipeline", "Print the spec of a pipeline"),
    "extract": ("extract:extract", "Print all repos and pipelines, for recreate"),
    "recreate": ("extract:recreate", "Make the repos and pipelines of an extract"),
    "why": ("why:why", "Say why a job, a datum or a file is there"),
    "stop-pipeline": ("life:stop_pipeline", "Start nothing more of a pipeline"),
    "start-pipeline": ("life:start_pipeline", "Let a stopped pipeline go on"),
    "run-pipeline": ("life:run_pipeline", "Have one job over the newest inputs"),
    "rerun-pipeline": ("life:rerun_pipeline", "Run again what failed, or everything"),
    "delete-all": ("life:delete_all", "Delete every pipeline and every repo"),
    "run-cron": ("life:run_cron", "Tick the cron inputs of a pipeline now"),
    "list-job": ("jobs:list_job", "List jobs, newest first"),
    "inspect-job": ("jobs:inspect_job", "Show one job"),
    "wait-job": ("life:wait_job", "Wait until a job has ended"),
    "delete-job": ("life:delete_job", "Forget a job that has ended; its commit stays"),
    "stop-job": ("jobs:stop_job", "End a job; nothing of it is committed"),
    "list-datum": ("jobs:list_datum", "List the datums of a job"),
    "inspect-datum": ("jobs:inspect_datum", "Show one datum"),
    "restart-datum": ("jobs:restart_datum", "Run a datum again"),
    "get-logs": ("jobs:get_logs", "Show what user code wrote"),
    "garbage-collect": ("keeping:garbage_collect", "Let go of bytes that nobody names"),
    "backup": ("backup:backup", "Copy a data folder, also while its server runs"),
    "restore": ("backup:restore", "Make a data folder from a backup"),
    "du": ("keeping:du", "Show what repos take up, and what sharing saves"),
    "fsck": ("keeping:fsck", "Check that all that is needed is there, and nothing deleted"),
    "create-token": ("secrets:create_token", "Create a token; it is shown this once"),
    "list-token": ("secrets:list_token", "List tokens, without their secret parts"),
    "revoke-token": ("secrets:revoke_token", "Revoke a token"),
    "create-secret": ("secrets:create_secret", "Set the values of a secret"),
    "list-secret": ("secrets:list_secret", "List names and keys of secrets"),
    "delete-secret": ("secrets:delete_secret", "Delete a secret"),
}

# Words of other releases for the same thing.
ALIASES = {
    "logs": "get-logs",
    "wait-commit": "flush-commit",
    "set-branch": "create-branch",
    "create-commit": "start-commit",
}


def named(words: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """The command that words begin with, and those that it is given: `put file` is `put-file`."""
    if not words:
        return None
    both = "-".join(words[:2])
    if len(words) > 2 and words[0] in COMMANDS and (both in COMMANDS or both in ALIASES):
        return ALIASES.get(both, both), words[2:]  # `wait job ID`, though `wait` is one too
    if words[0] in COMMANDS or words[0] in ALIASES:
        return ALIASES.get(words[0], words[0]), words[1:]
    for name in ("-".join(words[:2]), "-".join(words[1::-1])):
        if len(words) > 1 and (name in COMMANDS or name in ALIASES):
            return ALIASES.get(name, name), words[2:]
    return None
