"""Makes the demo's pictures: real JPEG, PNG and WebP files of a sky, each different, from a seed."""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

KINDS = ("JPEG", "PNG", "WEBP")
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
TIMES = (
    ("dawn", (250, 190, 160), (90, 120, 200)),
    ("noon", (190, 225, 250), (40, 110, 210)),
    ("dusk", (255, 150, 90), (60, 40, 110)),
    ("night", (30, 40, 80), (5, 8, 25)),
)


def make_images(folder: Path, count: int, *, seed: int = 7) -> list[Path]:
    """Write `count` pictures into the folder and return their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        chance = random.Random(seed * 1000 + number)
        name, low, high = TIMES[number % len(TIMES)]
        kind = KINDS[number % len(KINDS)]
        path = folder / f"{name}-{number:02}.{ENDINGS[kind]}"
        picture = sky(chance, (chance.randrange(900, 1600), chance.randrange(600, 1000)), low, high)
        picture.save(path, kind, quality=88)
        made.append(path)
    return made


def sky(chance: random.Random, size: tuple[int, int], low: tuple[int, ...], high: tuple[int, ...]) -> Image.Image:
    """A gradient with a sun or moon, clouds or stars, and a ridge of hills."""
    width, height = size
    column = Image.new("RGB", (1, height))
    for y in range(height):
        part = y / height
        column.putpixel((0, y), tuple(round(b + (a - b) * part) for a, b in zip(low, high, strict=True)))
    picture = column.resize(size)
    draw = ImageDraw.Draw(picture, "RGBA")
    x, y, radius = chance.randrange(width), chance.randrange(height // 2), chance.randrange(30, 90)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 245, 215, 230))
    if sum(high) < 120:
        for _ in range(250):
            x, y = chance.randrange(width), chance.randrange(height * 2 // 3)
            draw.ellipse((x, y, x + 2, y + 2), fill=(255, 255, 255, chance.randrange(60, 255)))
    else:
        clouds = Image.new("RGBA", size)
        brush = ImageDraw.Draw(clouds)
        for _ in range(30):
            x, y, wide = chance.randrange(width), chance.randrange(height // 2), chance.randrange(80, 260)
            brush.ellipse((x, y, x + wide, y + wide // 4), fill=(255, 255, 255, 90))
        picture.paste(clouds.filter(ImageFilter.GaussianBlur(12)), (0, 0), clouds.filter(ImageFilter.GaussianBlur(12)))
    draw = ImageDraw.Draw(picture, "RGBA")
    for layer in range(3):
        shade, base, swing = 60 - layer * 18, height * (0.72 + layer * 0.08), chance.uniform(20, 60)
        phase = chance.uniform(0, 6)
        ridge = [(x, base + swing * math.sin(x / (90 + 40 * layer) + phase)) for x in range(0, width + 20, 20)]
        draw.polygon([(0, height), *ridge, (width, height)], fill=(shade // 2, shade, shade // 2 + 10, 255))
    return picture
