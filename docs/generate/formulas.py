"""Formulas of docstrings, plain text with Unicode, as MathML in lines that wrap on a narrow screen.

A name of one letter is a variable, a longer one is a word or a function. `x_y`, `x^(y + z)` and the scripts of Unicode
(`xᵢ`, `x²`) are scripts, and `a / ( b )` with spaces around the slash is a fraction. Everything else stays as written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀᵖ'", "0123456789−Tp′", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙ", "0123456789+−ijkn", strict=True))
CLOSING = {"(": ")", "[": "]", "{": "}"}
LETTER = r"[A-Za-zΑ-Ωα-ωℓ][\u0302\u0303]?"
WORD = r"[A-Za-z]{2,}(?:['-][A-Za-z]+|'(?=\s))*|[A-Za-z]'s\b|`[^`]+`"
TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<word>{WORD})|(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)|(?P<letter>{LETTER})"
    rf"|(?P<script>[_^](?:\{{[^}}]*\}}|[−-]?(?:[A-Za-z0-9Α-Ωα-ω])+|(?=\()))|(?P<raised>[{''.join(SUPERSCRIPTS)}]+)"
    rf"|(?P<lowered>[{''.join(SUBSCRIPTS)}]+)|(?P<sign>.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Piece:
    """A part of a line.

    Attributes:
        markup: Its MathML.
        word: Its HTML, if it is a word.
        is_operand: Whether it can be above or below the line of a fraction.
        inside: The MathML between its brackets, which a fraction does not need.
    """

    markup: str
    word: str = ""
    is_operand: bool = False
    inside: str = ""


SPACE = Piece(" ")
Token = tuple[str, str]
"""The kind of a token, a group of `TOKEN`, and its text."""


def formula(block: str) -> str:
    """Return an indented block of formulas as HTML, one element a line."""
    rows = [line for line in block.split("\n") if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in rows)
    return '<div class="formula">\n' + "\n".join(_row(line[indent:]) for line in rows) + "\n</div>"


def _row(line: str) -> str:
    depth = (len(line) - len(line.lstrip())) // 2
    columns = [f"<span>{_line(column)}</span>" for column in re.split(r" {3,}", line.strip())]
    return f'<div style="--depth:{min(depth, 4)}">{" ".join(columns)}</div>'


def _line(text: str) -> str:
    """Return a line: words as text, the rest as formulas between which the browser may break the line."""
    parts: list[str] = []
    run: list[str] = []
    pieces = _fractions(list(_pieces(_tokens(_decomposed(text)))))
    for piece, following in zip(pieces, [*pieces[1:], SPACE], strict=True):
        is_alone = not run and following == SPACE
        if piece != SPACE and not (piece.word and is_alone):
            run.append(piece.markup)
            continue
        parts += [f"<math>{''.join(run)}</math>" if run else "", piece.word or " "]
        run = []
    return "".join([*parts, f"<math>{''.join(run)}</math>" if run else ""])


def _decomposed(text: str) -> str:
    """Return a text whose letters with accents are a letter and a combining accent: `ẑ`, but not `≠`."""
    return "".join(unicodedata.normalize("NFD", letter) if letter.isalpha() else letter for letter in text)


def _tokens(text: str) -> list[Token]:
    return [(match.lastgroup or "", match[0]) for match in TOKEN.finditer(text)]


def _pieces(tokens: list[Token]) -> Iterator[Piece]:
    """Yield the pieces of a line; a bracket that a script, a root or a fraction needs is one piece."""
    position = 0
    while position < len(tokens):
        piece, position = _piece(tokens, position)
        scripts: dict[str, str] = {}
        while position < len(tokens) and (found := _script(tokens, position)):
            kind, markup, position = found
            scripts[kind] = scripts.get(kind, "") + markup
        yield _with_scripts(piece, scripts) if scripts else piece


def _piece(tokens: list[Token], position: int) -> tuple[Piece, int]:
    """Return the piece at a position, without its scripts, and the position behind it."""
    kind, text = tokens[position]
    if kind == "space":
        return SPACE, position + 1
    if text == "√" and _text(tokens, position + 1) == "(":
        inside, after = _bracket(tokens, position + 1)
        return Piece(f"<msqrt>{inside}</msqrt>", is_operand=True), after
    if text in CLOSING and _end(tokens, position):
        return _group(tokens, position)
    if kind == "word":
        return _word(tokens, position)
    if kind == "number":
        return Piece(f"<mn>{text}</mn>", is_operand=True), position + 1
    if kind == "letter":
        is_article = text == "a" and _is_article(tokens, position)
        return Piece(_letter(text), word="a" if is_article else "", is_operand=not is_article), position + 1
    return Piece(_sign(text)), position + 1


def _word(tokens: list[Token], position: int) -> tuple[Piece, int]:
    """Return a word, with its argument in brackets if it is above or below the line of a fraction."""
    text, end = tokens[position][1], _text(tokens, position + 1) == "(" and _end(tokens, position + 1)
    html = f"<code>{escape(text.strip('`'))}</code>" if text.startswith("`") else escape(text)
    if end and (_is_slash(tokens, end + 1) or _is_slash(tokens, position - 3)):
        inside, after = _bracket(tokens, position + 1)
        return Piece(f"<mrow><mtext>{html}</mtext>{_bracketed('(', inside)}</mrow>", is_operand=True), after
    return Piece(f"<mtext>{html}</mtext>", word=html), position + 1


def _group(tokens: list[Token], position: int) -> tuple[Piece, int]:
    """Return a bracket with its content if a script or a fraction takes it, otherwise the opening bracket alone."""
    end = _end(tokens, position)
    has_script = end + 1 < len(tokens) and tokens[end + 1][0] in ("script", "raised", "lowered")
    is_free = position == 0 or tokens[position - 1][0] in ("space", "sign")
    if not has_script and not (is_free and (_is_slash(tokens, end + 1) or _is_slash(tokens, position - 3))):
        return Piece(_sign(tokens[position][1])), position + 1
    inside, after = _bracket(tokens, position)
    return Piece(_bracketed(tokens[position][1], inside), is_operand=True, inside=inside), after


def _is_slash(tokens: list[Token], position: int) -> bool:
    """Return whether a slash between spaces begins at a position."""
    near = tokens[max(position, 0) : position + 3]
    return [kind for kind, _ in near] == ["space", "sign", "space"] and near[1][1] == "/"


def _text(tokens: list[Token], position: int) -> str:
    return tokens[position][1] if position < len(tokens) else ""


def _end(tokens: list[Token], position: int) -> int:
    """Return the index of the bracket that closes one; 0 if the line has none."""
    opening, depth = tokens[position][1], 0
    for index in range(position, len(tokens)):
        depth += {opening: 1, CLOSING[opening]: -1}.get(tokens[index][1], 0)
        if depth == 0:
            return index
    return 0


def _bracket(tokens: list[Token], position: int) -> tuple[str, int]:
    """Return the MathML between two brackets, and the index behind them."""
    end = _end(tokens, position) or len(tokens) - 1
    inner = tokens[position + 1 : end]
    while inner and inner[0][0] == "space":
        inner = inner[1:]
    while inner and inner[-1][0] == "space":
        inner = inner[:-1]
    pieces = _fractions(list(_pieces(inner)))
    return "".join("<mspace width='0.25em'/>" if piece.markup == " " else piece.markup for piece in pieces), end + 1


def _bracketed(opening: str, inside: str) -> str:
    return f'<mrow><mo stretchy="false">{opening}</mo>{inside}<mo stretchy="false">{CLOSING[opening]}</mo></mrow>'


def _script(tokens: list[Token], position: int) -> tuple[str, str, int] | None:
    kind, text = tokens[position]
    if kind in ("raised", "lowered"):
        table = SUPERSCRIPTS if kind == "raised" else SUBSCRIPTS
        return kind, "".join(_letter(table[letter]) for letter in text), position + 1
    if kind != "script":
        return None
    name = "raised" if text[0] == "^" else "lowered"
    if text in ("_", "^"):
        inside, after = _bracket(tokens, position + 1)
        return name, inside, after
    return name, _script_text(text[1:].strip("{}")), position + 1


def _script_text(text: str) -> str:
    if re.fullmatch(r"[A-Za-z]{3,}|[A-Z]{2,}", text):
        return f"<mtext>{text}</mtext>"
    return "".join(_letter(letter) for letter in text)


def _with_scripts(piece: Piece, scripts: dict[str, str]) -> Piece:
    low, high = (f"<mrow>{scripts[kind]}</mrow>" if kind in scripts else "" for kind in ("lowered", "raised"))
    tag = "msubsup" if low and high else "msub" if low else "msup"
    return Piece(f"<{tag}>{piece.markup}{low}{high}</{tag}>", is_operand=piece.is_operand)


def _fractions(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with a fraction in place of `a / b` where spaces surround both and the slash."""
    done: list[Piece] = []
    index = 0
    while index < len(pieces):
        ahead = pieces[index : index + 4]
        is_free = len(done) == 1 or (len(done) > 1 and done[-2] == SPACE)
        if (
            ahead[:3] == [SPACE, Piece(_sign("/")), SPACE]
            and is_free
            and all(p.is_operand for p in (done[-1], ahead[-1]))
        ):
            above, below = done.pop(), ahead[-1]
            parts = "".join(f"<mrow>{part.inside or part.markup}</mrow>" for part in (above, below))
            done.append(Piece(f"<mfrac>{parts}</mfrac>", is_operand=True))
            index += 4
        else:
            done.append(pieces[index])
            index += 1
    return done


def _is_article(tokens: list[Token], position: int) -> bool:
    """Return whether the letter `a` is a word: between spaces, and before a word other than `of`."""
    before, after = tokens[max(position - 1, 0) : position], tokens[position + 1 : position + 3]
    is_between = all(kind == "space" for kind, _ in before) and [kind for kind, _ in after] == ["space", "word"]
    return is_between and after[1][1] != "of"


def _letter(text: str) -> str:
    base, accent = text[0], text[1:]
    if accent:
        sign = {"\u0302": "^", "\u0303": "~"}[accent]
        return f'<mover accent="true"><mi>{base}</mi><mo stretchy="false">{sign}</mo></mover>'
    if base.isdigit():
        return f"<mn>{base}</mn>"
    return f"<mi>{base}</mi>" if base.isalpha() else f"<mo>{base}</mo>"


def _sign(text: str) -> str:
    return f'<mo stretchy="false">{escape(text)}</mo>'
