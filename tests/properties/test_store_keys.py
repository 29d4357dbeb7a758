"""Properties of keys: order, prefixes and the way back hold for any text, NUL and characters beyond the BMP included."""

from hypothesis import given
from hypothesis import strategies as st

from haneul.storage import keys

TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("\0\x01a\xff\u07ff\uffff\U00010000\U0010ffff"), st.characters(codec="utf-8"))
)
PART = st.one_of(
    TEXT.map(lambda text: ("s", text)), st.integers(-(2**63), keys.INT_MAX).map(lambda number: ("i", number))
)


@st.composite
def two_of_a_shape(draw: st.DrawFn) -> tuple[list[str | int], list[str | int]]:
    shape = draw(st.lists(st.sampled_from("si"), min_size=1, max_size=4))
    part = {"s": TEXT, "i": st.integers(-(2**63), keys.INT_MAX)}
    return [draw(part[kind]) for kind in shape], [draw(part[kind]) for kind in shape]


@given(st.lists(PART, max_size=5))
def test_unpack_undoes_pack(parts: list[tuple[str, str | int]]) -> None:
    kinds = "".join(kind for kind, _ in parts)

    assert keys.unpack(keys.pack(*[value for _, value in parts]), kinds) == tuple(value for _, value in parts)


@given(two_of_a_shape())
def test_keys_sort_as_their_parts(pair: tuple[list[str | int], list[str | int]]) -> None:
    one, two = pair

    def order(parts: list[str | int]) -> list[bytes | int]:
        return [part.encode() if isinstance(part, str) else part for part in parts]

    assert (keys.pack(*one) < keys.pack(*two)) == (order(one) < order(two))  # type: ignore[operator]
    assert (keys.pack(*one) == keys.pack(*two)) == (one == two)


@given(st.lists(TEXT, max_size=2), TEXT, TEXT)
def test_a_text_begins_with_a_prefix_exactly_when_its_key_does(first: list[str], text: str, begin: str) -> None:
    start = keys.prefix(*first, text=begin)

    assert keys.pack(*first, text).startswith(start) == text.startswith(begin)
    assert keys.pack(*first, begin + text).startswith(start)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_after_is_the_end_of_the_range_of_a_prefix(start: bytes, key: bytes) -> None:
    end = keys.after(start)

    assert (start <= key and (end is None or key < end)) == key.startswith(start)
