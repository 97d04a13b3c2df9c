"""What is written about a product. Themes are in the words alone: no picture shows them.

Nothing here names a colour, a pattern or a shape, which are in the picture alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kind:
    """A category as the shop writes it: its noun, what it is made of, what it is good for, its price range."""

    noun: str
    materials: tuple[str, ...]
    uses: tuple[str, ...]
    price: tuple[int, int]


KINDS: Mapping[str, Kind] = {
    "armchair": Kind(
        "armchair",
        ("a beech frame and dense foam", "springs, webbing and a solid frame"),
        ("a seat that keeps you until the last page", "deep enough to fall asleep in"),
        (240, 690),
    ),
    "backpack": Kind(
        "backpack",
        ("waxed canvas with brass buckles", "tightly woven nylon and leather tabs"),
        ("room for a laptop, a lunch and a coat", "two pockets where you look for them"),
        (55, 160),
    ),
    "bottle": Kind(
        "drinking bottle",
        ("double-walled steel", "a single piece of drawn steel"),
        ("keeps drinks cold for a day", "does not leak, whichever way it lies"),
        (16, 42),
    ),
    "bowl": Kind(
        "serving bowl",
        ("glazed stoneware", "fired earthenware with a clear glaze"),
        ("large enough for salad or fruit", "heavy enough to stay put while you stir"),
        (22, 68),
    ),
    "clock": Kind(
        "wall clock",
        ("a silent sweep movement and a wooden case", "a quartz movement under glass"),
        ("keeps quiet at night", "readable from across the room"),
        (34, 120),
    ),
    "cushion": Kind(
        "cushion",
        ("a cotton cover over a feather pad", "heavy linen with a hidden zip"),
        ("plump again after one shake", "the cover comes off for the wash"),
        (19, 58),
    ),
    "lamp": Kind(
        "table lamp",
        ("a turned base and a fabric shade", "a weighted foot with a woven shade"),
        ("a warm pool of light", "dims from reading to resting"),
        (48, 190),
    ),
    "mug": Kind(
        "mug",
        ("glazed stoneware", "porcelain with a wide handle"),
        ("holds a proper morning coffee", "sits well in cold hands"),
        (11, 32),
    ),
    "planter": Kind(
        "planter",
        ("fired clay with a drip tray", "glazed clay with a drainage hole"),
        ("roots get the air that they need", "comes with an easy plant"),
        (17, 64),
    ),
    "shirt": Kind(
        "T-shirt",
        ("heavy jersey cotton", "long-staple cotton with taped seams"),
        ("keeps its fit after many washes", "cut loose, without being baggy"),
        (19, 55),
    ),
    "teapot": Kind(
        "teapot",
        ("stoneware with a fine built-in strainer", "porcelain with a snug lid"),
        ("pours without a drip", "makes four cups"),
        (28, 88),
    ),
    "tote": Kind(
        "tote bag",
        ("thick canvas with leather handles", "dense twill with a flat bottom"),
        ("carries the weekly shop", "stands up by itself"),
        (21, 76),
    ),
    "umbrella": Kind(
        "umbrella",
        ("a fibreglass frame that bends and returns", "eight ribs and a wooden grip"),
        ("opens with one hand", "steady in a strong wind"),
        (24, 79),
    ),
    "vase": Kind(
        "vase",
        ("stoneware, glazed inside", "thick earthenware"),
        ("good with three stems or thirty", "as fine empty as full"),
        (20, 95),
    ),
}

THEMES: Mapping[str, tuple[str, ...]] = {
    "handmade": (
        "Made by hand, start to finish, by one artisan.",
        "The maker signs every one, and no two come out quite alike.",
        "Small marks of the hand and the tool are left in on purpose.",
        "Made in batches of twenty in a two-room workshop, by craftspeople who learned it from their parents.",
        "Handcrafted slowly: it passes through the same pair of hands from the first step to the last.",
        "Old craft, old tools, and a craftswoman who has done nothing else for thirty years.",
    ),
    "recycled": (
        "Made almost wholly of recycled waste that would have gone to landfill.",
        "Every one keeps about a kilo of plastic out of the sea.",
        "Carbon footprint measured, halved, and printed on the label.",
        "When it is worn out, send it back: we recycle it into the next one.",
        "Zero waste: offcuts are reclaimed and the packaging composts.",
        "Sustainable from the first scrap to the last, and certified for it.",
    ),
    "camping": (
        "Meant for camping trips, wet tents and breakfasts by the fire.",
        "Tested for a season in the mountains by hikers and trail guides.",
        "Take it outdoors: dew, smoke and mud do it no harm.",
        "At home in a hut, a van or at the edge of a lake after a long hike.",
        "Packs easily for the trail and shrugs off the weather.",
        "For campsites, forests and everyone who sleeps better under canvas.",
    ),
    "jazz": (
        "Named after a jazz record that was played in the studio all winter.",
        "Designed with a saxophonist, for evenings of vinyl, brushes on a snare and a slow double bass.",
        "For people who own a turntable and know their Coltrane from their Monk.",
        "Comes with a playlist of late-night jazz chosen by the designer.",
        "Part of our music room series, made with a record shop and its listening bar.",
        "The trumpet solo that inspired it is printed in the booklet, note for note.",
    ),
    "astronomy": (
        "Named after a comet, and made for people who stay up for meteor showers.",
        "Part of our observatory series, drawn up with an astronomer.",
        "For stargazers: a card with the constellations of the month is in the box.",
        "Part of the price goes to a public telescope and its open nights.",
        "For those who can find Saturn without an app and dream of orbits and eclipses.",
        "It goes with a clear night, a star chart and the rings of a far planet.",
    ),
    "children": (
        "Made for family life with toddlers: spills wipe off and nothing splinters.",
        "Parents told us what breaks, and this does not.",
        "Safe for the nursery, with no small parts for little children to swallow.",
        "Tested in a kindergarten for one whole noisy year.",
        "Kids can use it by themselves, and grow up with it.",
        "For babies, big sisters and the playroom on a rainy day.",
    ),
}
"""What a product is about, in sentences that fit any product."""

BRANDS = (
    "Alder & Finch",
    "Brisk",
    "Common Room",
    "Fjell",
    "Harrow Lane",
    "Kestrel",
    "Lowland",
    "Maren",
    "Nook",
    "Oddment",
    "Parish",
    "Quarter Day",
    "Saltbox",
    "Tern",
    "Upland",
    "Wren & Co",
)
NAMES = tuple(
    """
    Agnes Alma Anders Arlo Astrid Bea Birk Bruno Cato Clara Dagny Edda Elio Emil Enid Esme Ezra Faye Flora Gus
    Hedda Hugo Ida Ines Ivo Jonas June Kaia Lars Leif Lotte Ludo Mabel Mika Milo Nell Nils Odile Orla Oscar Otto
    Pia Quinn Rafe Remy Romy Runa Saga Selma Signe Sten Tilda Ulla Vera Viggo Wilma Yara Ylva Zeno Zita
    """.split()
)

_OPENINGS = (
    "{a_noun} of {material}.",
    "{name} is {a_noun} made of {material}.",
    "{name}: {material}.",
    "Our {name}, made of {material}.",
)
_QUALITIES = ("{use}.", "{name} has one job and does it: {use}.", "In short: {use}.", "Day to day: {use}.")
_CLOSINGS = (
    "Ships within two days.",
    "Free returns for thirty days.",
    "Two years of guarantee.",
    "Care instructions are on the label.",
    "Spare parts on request.",
    "",
)


def describe(shape: str, name: str, theme: str, rng: np.random.Generator) -> str:
    """A description of about 60 words: what it is, three sentences on its theme, and small print."""

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    kind = KINDS[shape]
    words = {
        "a_noun": f"{'an' if kind.noun[0] in 'aeiou' else 'a'} {kind.noun}",
        "name": name,
        "material": pick(kind.materials),
        "use": pick(kind.uses),
    }
    first, *more = (THEMES[theme][int(i)] for i in rng.choice(len(THEMES[theme]), 3, replace=False))
    opening, quality = pick(_OPENINGS).format_map(words), pick(_QUALITIES).format_map(words)
    return " ".join(filter(None, [_capital(opening), first, _capital(quality), *more, pick(_CLOSINGS)]))


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
