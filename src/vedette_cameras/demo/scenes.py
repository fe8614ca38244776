"""What surveillance cameras raise false alarms about, made of numbers: weather, light and lenses.

Every function takes a picture (height x width x 3, uint8, RGB) and gives another of the same size;
`random` makes each one differ from the last as real ones do.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vedette_cameras.pictures import Pixels

Random = np.random.Generator
WIDTH, HEIGHT = 960, 540


def jpeg(pixels: Pixels, quality: int = 85) -> bytes:
    """Encode a picture as a camera would."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def framed(picture: Image.Image, random: Random, closeness: float = 0.9) -> Pixels:
    """A part of a photograph, about `closeness` of its sides, slightly elsewhere each time."""
    share = closeness * random.uniform(0.97, 1.03)
    width, height = (int(side * min(share, 1.0)) for side in picture.size)
    left = int(random.uniform(0.3, 0.7) * (picture.width - width))
    top = int(random.uniform(0.0, 0.4) * (picture.height - height))
    part = picture.convert("RGB").crop((left, top, left + width, top + height))
    scale = HEIGHT / height
    part = part.resize((int(width * scale), HEIGHT), Image.Resampling.BICUBIC)
    return noisy(np.asarray(part), random, 2.0)


def yard(ground: Image.Image, wall: Image.Image, random: Random) -> Pixels:
    """An empty scene: a wall, and the ground before it, seen from above."""
    horizon = int(HEIGHT * 0.42)
    scene = np.empty((HEIGHT, WIDTH, 3), np.float32)
    scene[:horizon] = _surface(wall, WIDTH, horizon) * np.array([1.05, 0.86, 0.76], np.float32)
    scene[horizon:] = _surface(ground, WIDTH, HEIGHT - horizon) * np.array(
        [0.80, 0.84, 0.72], np.float32
    )
    # The ground before a wall lies in its shade.
    depth = np.linspace(0.55, 1.0, HEIGHT - horizon, dtype=np.float32)[:, np.newaxis, np.newaxis]
    scene[horizon:] *= depth
    return noisy(_bytes(scene * random.uniform(0.9, 1.1)), random, 3.0)


def _surface(texture: Image.Image, width: int, height: int) -> NDArray[np.float32]:
    grey = texture.convert("L").resize((width // 2, width // 2), Image.Resampling.BICUBIC)
    tile = np.asarray(grey, np.float32)
    rows = np.concatenate([tile, tile[:, ::-1]], axis=1)[:height, :width]
    return np.repeat(rows[:, :, np.newaxis], 3, axis=2)


def noisy(scene: Pixels, random: Random, sigma: float) -> Pixels:
    """The grain of a sensor; at night `sigma` is 20 and more."""
    return _bytes(scene + random.normal(0.0, sigma, scene.shape).astype(np.float32))


def night(scene: Pixels, random: Random, light: float = 0.22) -> Pixels:
    """The same scene in the dark, without colour, as an infrared lamp shows it."""
    grey = scene.mean(axis=2, dtype=np.float32, keepdims=True)
    rows, columns = _grid(scene)
    lamp = np.exp(-(((columns - 0.5) / 0.55) ** 2) - ((rows - 0.6) / 0.6) ** 2)
    dark = np.repeat(grey * (light + lamp[:, :, np.newaxis] * light * 2), 3, axis=2)
    return noisy(_bytes(dark), random, 7.0)


def shadow(scene: Pixels, random: Random) -> Pixels:
    """The long shadow of a tree that moves over the scene."""
    rows, columns = _grid(scene)
    across = columns + rows * random.uniform(0.3, 0.7) - random.uniform(0.5, 0.9)
    dark = 1.0 - 0.6 / (1.0 + np.exp((np.abs(across) - 0.13) * 60.0))
    return _bytes(scene * dark[:, :, np.newaxis])


def rain(scene: Pixels, random: Random, drops: int = 700) -> Pixels:
    """Streaks of rain, lit from the side."""
    height, width = scene.shape[:2]
    streaks = np.zeros((height, width), np.float32)
    for _ in range(drops):
        length = int(random.integers(12, 46))
        top = int(random.integers(0, height - length))
        left = int(random.integers(0, width - length // 4 - 1))
        steps = np.arange(length)
        streaks[top + steps, left + steps // 4] += random.uniform(60.0, 150.0)
    soft = Image.fromarray(_bytes(streaks)).filter(ImageFilter.GaussianBlur(0.9))
    veil = scene * np.float32(0.72) + np.float32(34.0)
    return _bytes(veil + np.asarray(soft, np.float32)[:, :, np.newaxis])


def headlights(scene: Pixels, random: Random) -> Pixels:
    """Two lamps that come round the corner and blind the camera."""
    rows, columns = _grid(scene)
    ratio = scene.shape[1] / scene.shape[0]
    light = np.zeros(scene.shape[:2], np.float32)
    left, top = random.uniform(0.25, 0.5), random.uniform(0.45, 0.6)
    for lamp in (left, left + random.uniform(0.16, 0.24)):
        distance = ((columns - lamp) * ratio) ** 2 + (rows - top) ** 2
        light += 255.0 * np.exp(-distance / 0.0016) + 120.0 * np.exp(-distance / 0.03)
    beam = 55.0 * np.exp(-(((rows - top) / 0.05) ** 2))
    glow = (light + beam)[:, :, np.newaxis] * np.array([1.0, 0.97, 0.86], np.float32)
    return noisy(_bytes(night(scene, random, 0.10) + glow), random, 5.0)


def covered(scene: Pixels, random: Random) -> Pixels:
    """A hand or a cloth over the lens: almost nothing is left."""
    rows, columns = _grid(scene)
    edge = 26.0 * np.clip(columns + rows - 1.55, 0.0, 1.0)[:, :, np.newaxis]
    return noisy(_bytes(np.array([16.0, 9.0, 8.0], np.float32) + edge), random, 3.0)


def shaken(scene: Pixels, random: Random, reach: int = 34) -> Pixels:
    """A camera that wind or a blow shakes: the exposure smears along one direction."""
    drift = random.uniform(-0.6, 0.6)
    total = np.zeros(scene.shape, np.float32)
    for step in range(reach):
        total += np.roll(scene, (round(step * drift), step), axis=(0, 1))
    return _bytes(total / reach)


def _grid(scene: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The relative position of every pixel: down and across, 0 to 1."""
    rows = np.linspace(0.0, 1.0, scene.shape[0], dtype=np.float32)[:, np.newaxis]
    columns = np.linspace(0.0, 1.0, scene.shape[1], dtype=np.float32)[np.newaxis, :]
    return rows, columns


def _bytes(values: NDArray[np.generic]) -> Pixels:
    return np.asarray(np.clip(values, 0.0, 255.0), np.uint8)
