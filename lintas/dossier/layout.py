"""How a page looks: margins, headings, tables of facts; `reportlab` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any
from xml.sax.saxutils import escape

__all__ = ["Page", "facts", "heading", "paragraph", "table"]

_INK, _SOFT, _LINE, _BAND = "#16202b", "#5b6770", "#c9d1d8", "#eef2f5"
_ACCENT = "#0b5c7a"
_STYLES: dict[str, tuple[str, float, float, str, float, float]] = {
    # font, size, leading, colour, space before, space after
    "Title": ("Helvetica-Bold", 19, 23, _ACCENT, 0, 2),
    "Subtitle": ("Helvetica", 11.5, 15, _SOFT, 0, 10),
    "Heading": ("Helvetica-Bold", 13, 16, _ACCENT, 14, 5),
    "Small": ("Helvetica-Bold", 10.2, 13, _INK, 9, 3),
    "Body": ("Helvetica", 9.2, 12.4, _INK, 0, 4),
    "Cell": ("Helvetica", 8.2, 10.4, _INK, 0, 0),
    "Name": ("Helvetica", 8.2, 10.4, _SOFT, 0, 0),
    "Column": ("Helvetica-Bold", 8, 10, _INK, 0, 0),
}


def _style(name: str) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.styles import ParagraphStyle

    font, size, leading, colour, before, after = _STYLES[name]
    return ParagraphStyle(
        name,
        fontName=font,
        fontSize=size,
        leading=leading,
        textColor=HexColor(colour),
        spaceBefore=before,
        spaceAfter=after,
        splitLongWords=1,
    )


def paragraph(text: str, style: str = "Body", *, raw: bool = False) -> Any:
    """One paragraph; `raw` text carries marks of its own."""
    from reportlab.platypus import Paragraph

    plain = text if raw else escape(_drawable(text)).replace("\n", "<br/>")
    return Paragraph(plain, _style(style))


def heading(text: str, *, small: bool = False) -> list[Any]:
    """The title of a section, which never stands alone at the foot of a page."""
    from reportlab.lib.units import mm
    from reportlab.platypus import CondPageBreak

    return [CondPageBreak(32 * mm), paragraph(text, "Small" if small else "Heading")]


def facts(rows: Sequence[tuple[str, str]]) -> Any:
    """Names and what they are, one a line."""
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    cells = [[paragraph(name, "Name"), paragraph(value, "Cell")] for name, value in rows]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -2), 0.3, HexColor(_LINE)),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    return Table(cells, colWidths=[50 * mm, 128 * mm], style=style, hAlign="LEFT", splitInRow=1)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, widths: Sequence[float]) -> Any:
    """A table whose heading is repeated on each page; widths are in millimetres."""
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    cells = [[paragraph(name, "Column") for name in columns]]
    cells += [[paragraph(value, "Cell") for value in row] for row in rows]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BACKGROUND", (0, 0), (-1, 0), HexColor(_BAND)),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, HexColor(_LINE)),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
    ]
    return Table(cells, colWidths=[width * mm for width in widths], style=style, repeatRows=1, hAlign="LEFT")


@dataclass(frozen=True, slots=True)
class Page:
    """The frame of every page."""

    title: str
    page: str
    footer: str

    def write(self, target: IO[bytes], story: list[Any]) -> None:
        """Draw the story on as many pages as it needs; equal stories give equal bytes."""
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.units import mm
        from reportlab.platypus import SimpleDocTemplate

        document = SimpleDocTemplate(
            target,
            pagesize=A4,
            leftMargin=16 * mm - 6,  # the frame adds 6 points
            rightMargin=16 * mm - 6,
            topMargin=16 * mm,
            bottomMargin=18 * mm,
            title=self.title,
            author="Lintas",
            invariant=1,
        )
        document.build(story, onFirstPage=self._foot, onLaterPages=self._foot)

    def _foot(self, canvas: Any, document: Any) -> None:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.units import mm

        canvas.saveState()
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(HexColor(_SOFT))
        canvas.setStrokeColor(HexColor(_LINE))
        canvas.line(16 * mm, 13 * mm, 194 * mm, 13 * mm)
        canvas.drawString(16 * mm, 9 * mm, _drawable(self.footer))
        canvas.drawRightString(194 * mm, 9 * mm, self.page.format(page=document.page))
        canvas.restoreState()


def _drawable(text: str) -> str:
    """The text in the characters of the standard fonts; others become a question mark, never a blank."""
    plain = text.replace("→", "->").replace("≥", ">=")
    return plain.encode("cp1252", errors="replace").decode("cp1252")
