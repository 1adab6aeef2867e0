"""Lines of cells as Markdown, LaTeX and CSV. The first line holds the titles of the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

Lines = Sequence[Sequence[str]]

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
}


def to_markdown(lines: Lines) -> str:
    r"""Return a table of Markdown; all columns but the first are aligned to the right.

    >>> print(to_markdown([["", "top1"], ["a|b", "91.0"]]), end="")
    |  | top1 |
    | --- | ---: |
    | a\|b | 91.0 |
    """
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    cells = [[_one_line(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in [cells[0], rule, *cells[1:]])


def to_latex(lines: Lines, caption: str = "") -> str:
    r"""Return a `table` of LaTeX with the rules of the package booktabs.

    >>> print(to_latex([["", "top1"], ["a_b", "91 ± 2"]]), end="")
    % \usepackage{booktabs}
    \begin{table}
    \centering
    \begin{tabular}{lr}
    \toprule
     & top1 \\
    \midrule
    a\_b & 91 $\pm$ 2 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    head, *body = [" & ".join(map(_latex, line)) + r" \\" for line in lines]
    texts = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        *([rf"\caption{{{_latex(caption)}}}"] * bool(caption)),
    ]
    texts += [rf"\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*texts, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def to_csv(lines: Lines) -> str:
    r"""Return comma-separated values, quoted where needed.

    >>> to_csv([["", "top1"], ["a, b", "91.0"]])
    ',top1\n"a, b",91.0\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
