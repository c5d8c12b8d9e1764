"""The palette: every colour by name, in light and in dark, told apart also by the colour-blind.

Pictures name variables of CSS and no colours, so that they follow the page from light to dark.
Kinds are told apart by colours after Okabe and Ito; quantities by ramps that are even in OKLab:
one from orange over nothing to blue, for what may be of either sign, and two for shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

STEPS = 21  # of a ramp, odd so that one is the middle
KINDS = 8  # colours that tell kinds apart
RAMPS = ("both", "cool", "warm")

_Colour = tuple[float, float, float]

_PLAIN: Mapping[str, tuple[str, str]] = {  # in light, in dark
    "paper": ("#f6f6f3", "#101418"),
    "card": ("#ffffff", "#181d23"),
    "ink": ("#1a2027", "#e9ecef"),
    "soft": ("#545e69", "#a6b0bb"),
    "line": ("#dcdfe3", "#323a43"),
    "grid": ("#e9ebee", "#272e36"),
    "accent": ("#1c5d9f", "#86bdf5"),
    "wash": ("#eaf1f8", "#1d2a38"),
    "kind0": ("#1f6fb2", "#6fb4f0"),
    "kind1": ("#c9570b", "#f5a05c"),
    "kind2": ("#12805f", "#52c8a4"),
    "kind3": ("#994493", "#d795d2"),
    "kind4": ("#8d6a00", "#dfc04f"),
    "kind5": ("#2b8aa8", "#8fd6ee"),
    "kind6": ("#82503f", "#cfa294"),
    "kind7": ("#69737e", "#aab4be"),
}
_RAMPS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "both": (("#a8480a", "#f0b98c", "#f1f1ee", "#94bde3", "#0d4c8c"),
             ("#ffb066", "#9a5f2d", "#262d35", "#35679a", "#8ccbff")),
    "cool": (("#eef3f8", "#8fbbe0", "#0c467f"), ("#222a33", "#38709f", "#a4d8ff")),
    "warm": (("#f8f2ea", "#eeb27c", "#8f3a06"), ("#262829", "#a2602b", "#ffc58c")),
}  # fmt: skip


def step_of(value: float, low: float, high: float) -> int:
    """The step of a ramp that a value is on; beyond the ends it is the last."""
    share = 0.0 if high <= low else (value - low) / (high - low)
    return round(min(1.0, max(0.0, share)) * (STEPS - 1))


def variables(*, is_dark: bool) -> str:
    """All colours as variables of CSS."""
    found = {name: pair[is_dark] for name, pair in _PLAIN.items()}
    for ramp in RAMPS:
        for step, colour in enumerate(ramp_of(ramp, is_dark=is_dark)):
            found[f"{ramp}{step}"] = colour
            found[f"on-{ramp}{step}"] = readable_on(colour)
    return "".join(f"--{name}:{colour};" for name, colour in found.items())


def classes() -> str:
    """What gives fills and strokes their colours."""
    kinds = "".join(
        f".f{i}{{fill:var(--kind{i})}}.k{i}{{stroke:var(--kind{i})}}" for i in range(KINDS)
    )
    return kinds + "".join(
        f".{ramp}{i}{{fill:var(--{ramp}{i})}}.on-{ramp}{i}{{fill:var(--on-{ramp}{i})}}"
        f".line-{ramp}{i}{{stroke:var(--{ramp}{i})}}"
        for ramp in RAMPS
        for i in range(STEPS)
    )


def ramp_of(name: str, *, is_dark: bool) -> list[str]:
    """The colours of a ramp, in order."""
    return list(_between(_RAMPS[name][is_dark]))


def plain(name: str, *, is_dark: bool) -> str:
    """A colour by its name."""
    return _PLAIN[name][is_dark]


def readable_on(colour: str) -> str:
    """The ink that reads best on a colour: dark or light."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def contrast(first: str, second: str) -> float:
    """The contrast of two colours as WCAG counts it, 1 to 21."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _between(stops: Sequence[str]) -> Iterator[str]:
    labs = [_lab(each) for each in stops]
    for step in range(STEPS):
        at = step / (STEPS - 1) * (len(labs) - 1)
        before = min(int(at), len(labs) - 2)
        share = at - before
        pairs = zip(labs[before], labs[before + 1], strict=True)
        yield _hex([a + share * (b - a) for a, b in pairs])


def _linear(colour: str) -> list[float]:
    found = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in found]  # noqa: PLR2004


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(colour: str) -> _Colour:
    """A colour in OKLab."""
    r, g, b = _linear(colour)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def _hex(lab: Sequence[float]) -> str:
    light, a, b = lab
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(each)):02x}" for each in linear)


def _encoded(value: float) -> float:
    value = min(1.0, max(0.0, value))
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055  # noqa: PLR2004
