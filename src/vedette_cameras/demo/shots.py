"""The demo's own pictures: a few minutes at a small site with five cameras.

The photographs come in the wheel of scikit-image and are in the public domain: astronaut (NASA),
camera (Lav Varshney, CC0), chelsea (Stefan van der Walt, CC0), clock_motion (Stefan van der Walt),
coffee (Rachel Michetti, CC0), horse (Andreas Preuss, CC0), brick, grass and gravel (CC0). What
raises false alarms is made of numbers (`vedette_cameras.demo.scenes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from msgspec import Struct
from PIL import Image

from vedette.model.errors import NotFound
from vedette_cameras.demo import scenes
from vedette_cameras.demo.scenes import Random, jpeg
from vedette_cameras.pictures import Pixels


class Shot(Struct, frozen=True, kw_only=True):
    """One upload: the file name as a camera gives it, and the bytes."""

    name: str
    data: bytes
    what: str


class _Moment(Struct, frozen=True):
    """What one camera sees, so many seconds into the play."""

    at: int
    device: str
    what: str
    make: Callable[[Random], Pixels]


def shots(start: datetime, seed: int) -> Iterator[Shot]:
    """The play from `start` on; another `seed` gives other grain, drops and shadows."""
    random = np.random.default_rng(seed)
    for moment in _play():
        at = start + timedelta(seconds=moment.at)
        name = f"{moment.device}_{int(at.timestamp())}.jpg"
        yield Shot(name=name, data=jpeg(moment.make(random)), what=moment.what)
        if moment.at == _DAMAGED_AFTER:
            whole = jpeg(_empty_yard(random))
            at += timedelta(seconds=1)
            name = f"garden_{int(at.timestamp())}.jpg"
            yield Shot(name=name, data=whole[: len(whole) // 2], what="a picture cut off half-way")
            name = f"snapshot-{seed % 1000}.jpg"
            data = jpeg(_empty_drive(random))
            yield Shot(name=name, data=data, what="a name without device and time")


def length() -> int:
    """How many pictures the play has."""
    return len(_play()) + 2


def span() -> timedelta:
    """How long the play would take at the cameras."""
    return timedelta(seconds=_play()[-1].at + 1)


_DAMAGED_AFTER = 47


def _play() -> tuple[_Moment, ...]:
    return (
        _Moment(0, "driveway", "an empty drive", _empty_drive),
        _Moment(3, "garden", "an empty garden", _empty_yard),
        _Moment(5, "frontdoor", "a visitor", _visitor),
        _Moment(8, "frontdoor", "the visitor again", _visitor),
        _Moment(13, "garden", "the shadow of a tree", _shadow),
        _Moment(16, "kitchen", "a cup of coffee", _photo("coffee.png")),
        _Moment(20, "garden", "the neighbours' cat", _photo("chelsea.png")),
        _Moment(22, "garden", "the cat again", _photo("chelsea.png")),
        _Moment(27, "driveway", "rain", _rain),
        _Moment(31, "paddock", "a horse", _photo("horse.png", 1.0)),
        _Moment(34, "driveway", "headlights", _headlights),
        _Moment(36, "driveway", "headlights again", _headlights),
        _Moment(41, "paddock", "somebody with a camera", _photographer),
        _Moment(44, "kitchen", "the clock", _photo("clock_motion.png")),
        _Moment(47, "frontdoor", "rain at the door", _rain),
        _Moment(52, "driveway", "an empty drive by night", _drive_by_night),
        _Moment(55, "garden", "a dark night, full gain", _grain),
        _Moment(58, "paddock", "the photographer, at dusk", _photographer_at_dusk),
        _Moment(61, "frontdoor", "the lens is covered", _covered),
        _Moment(64, "driveway", "the camera shakes in the wind", _shaken),
        _Moment(68, "kitchen", "coffee again", _photo("coffee.png")),
        _Moment(71, "frontdoor", "a visitor in the rain", _visitor_in_rain),
        _Moment(75, "garden", "an empty garden", _empty_yard),
        _Moment(79, "paddock", "the horse again", _photo("horse.png", 1.0)),
    )


def _open(name: str) -> Image.Image:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise NotFound(
            "the demo's photographs come with scikit-image, which is not installed: "
            "run `make demo`, or play a folder of your own with PICTURES=folder"
        )
    with Image.open(Path(spec.origin).parent / "data" / name) as picture:
        picture.load()
        return picture.convert("RGB")


def _photo(name: str, closeness: float = 0.92) -> Callable[[Random], Pixels]:
    return lambda random: scenes.framed(_open(name), random, closeness)


_visitor = _photo("astronaut.png")
_photographer = _photo("camera.png")


def _visitor_in_rain(random: Random) -> Pixels:
    return scenes.rain(_visitor(random), random, 250)


def _photographer_at_dusk(random: Random) -> Pixels:
    return scenes.noisy(np.asarray(_photographer(random) * 0.6, np.uint8), random, 4.0)


def _empty_yard(random: Random) -> Pixels:
    return scenes.yard(_open("grass.png"), _open("brick.png"), random)


def _empty_drive(random: Random) -> Pixels:
    return scenes.yard(_open("gravel.png"), _open("brick.png"), random)


def _shadow(random: Random) -> Pixels:
    return scenes.shadow(_empty_yard(random), random)


def _rain(random: Random) -> Pixels:
    return scenes.rain(_empty_drive(random), random)


def _headlights(random: Random) -> Pixels:
    return scenes.headlights(_empty_drive(random), random)


def _drive_by_night(random: Random) -> Pixels:
    return scenes.night(_empty_drive(random), random)


def _grain(random: Random) -> Pixels:
    return scenes.noisy(scenes.night(_empty_yard(random), random, 0.1), random, 28.0)


def _covered(random: Random) -> Pixels:
    return scenes.covered(_empty_yard(random), random)


def _shaken(random: Random) -> Pixels:
    return scenes.shaken(_empty_drive(random), random)
