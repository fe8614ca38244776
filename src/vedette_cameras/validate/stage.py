"""`vedette_cameras.validate.stage:validate`: the Python stage of the pipeline `validate`."""

from __future__ import annotations

from vedette.stage import Datum, File, warm
from vedette_cameras.pictures import (
    DEFAULT_LIMITS,
    Limits,
    PictureError,
    Pixels,
    decode,
    decoded_size,
)
from vedette_cameras.validate.check import Fault, FlagRecord, ReasonRecord, check_name, to_json
from vedette_cameras.validate.flags import flags


def validate(datum: Datum, *args: str) -> None:
    """Sort the pictures of the datum into `/valid` and `/invalid`, by reference.

    Why a picture is invalid is in `/reasons/<name>.json`, what is odd about a valid one in
    `/flags/<name>.json`. `args` may hold `max_pixels=N`, `max_bytes=N` and `min_side=N`.
    """
    limits = limits_of(args)
    for match in datum.inputs.values():
        for file in match.files:
            sort(datum, file, limits)


def sort(datum: Datum, file: File, limits: Limits) -> None:
    """Write what is known about one file."""
    name = file.path.rpartition("/")[2]
    fault = check_name(name)
    if fault is not None:
        refuse(datum, file, fault)
        return
    try:
        pixels = pixels_of(file, limits)
    except PictureError as error:
        refuse(datum, file, Fault(error.reason, error.detail))
        return
    datum.link(f"/valid/{name}", file)
    found = flags(pixels)
    if found:
        record = FlagRecord(image=file.path, object=file.object, flags=found)
        datum.write(f"/flags/{name}.json", to_json(record))


def refuse(datum: Datum, file: File, fault: Fault) -> None:
    """Put the file into `/invalid` and say why."""
    name = file.path.rpartition("/")[2]
    record = ReasonRecord(
        image=file.path, object=file.object, reason=fault.reason, detail=fault.detail
    )
    datum.link(f"/invalid/{name}", file)
    datum.write(f"/reasons/{name}.json", to_json(record))
    datum.log(f"{file.path} is invalid: {fault.reason}: {fault.detail}")


def pixels_of(file: File, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """The decoded picture, kept warm under its object id for the stages that follow."""
    data = file.read()
    return warm.get(
        "rgb", file.object, lambda: decode(data, limits), size=decoded_size(data, limits)
    )


def limits_of(args: tuple[str, ...]) -> Limits:
    """Limits from `key=value` arguments."""
    given: dict[str, int] = {}
    for argument in args:
        key, _, value = argument.partition("=")
        if key not in Limits.__struct_fields__ or not value.isdigit():
            known = ", ".join(f"{field}=N" for field in Limits.__struct_fields__)
            raise ValueError(f"argument {argument!r} of validate: use {known}")
        given[key] = int(value)
    return Limits(**given)
