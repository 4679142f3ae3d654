//! A window as a picture: SVG, with the colours of a dark terminal, so that it is readable on light and dark pages.

use std::fmt::Write as _;

use super::view::{Cell, Style, cells, width};
use crate::terminal::Window;

/// The size of the letters, and that of a cell, in pixels.
const LETTERS: usize = 14;
const ROW: usize = 19;
/// Tenths of pixels: monospaced fonts are about 0.6 times as wide as high.
const COLUMN: usize = 84;
/// The space around the text.
const MARGIN: usize = 16;

const BACKGROUND: &str = "#161b22";
const BORDER: &str = "#57606a";
const TEXT: &str = "#e6edf3";
/// The colours of the palette: black, red, green, yellow, blue, magenta, cyan, white.
const COLORS: [&str; 8] = ["#484f58", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#e6edf3"];

/// Draws a window of a size in columns and rows.
pub(super) fn svg(window: &Window, (columns, rows): (u32, u32)) -> String {
    let pixels = |count: u32| usize::try_from(count).expect("windows are small");
    let (width, height) = (pixels(columns) * COLUMN / 10 + 2 * MARGIN, pixels(rows) * ROW + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{BACKGROUND}\" \
         stroke=\"{BORDER}\"/>\n<g font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"{LETTERS}\" fill=\"{TEXT}\" xml:space=\"preserve\">\n",
        width - 1,
        height - 1
    );
    for (number, row) in cells(window).iter().enumerate() {
        draw_row(&mut svg, row, MARGIN + number * ROW + LETTERS);
    }
    if let Some((column, row)) = window.cursor {
        let (x, y) = (x_of(column), MARGIN + row * ROW + 1);
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"8.4\" height=\"17\" fill-opacity=\"0.7\"/>");
    }
    svg + "</g>\n</svg>\n"
}

/// The left edge of a column.
fn x_of(column: usize) -> String {
    let tenths = MARGIN * 10 + column * COLUMN;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Each part of a row that has one style. Blanks are not drawn: a part begins at its column.
fn draw_row(svg: &mut String, row: &[Cell], y: usize) {
    let mut column = 0;
    for part in row.chunk_by(|one, next| one.style == next.style && (one.text == ' ') == (next.text == ' ')) {
        let columns: usize = part.iter().map(|cell| width(cell.text)).sum();
        if part[0].text != ' ' {
            let text: String = part.iter().map(|cell| escaped(cell.text)).collect();
            let tenths = columns * COLUMN;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\" textLength=\"{}.{}\"{}>{text}</text>",
                x_of(column),
                tenths / 10,
                tenths % 10,
                attributes(part[0].style)
            );
        }
        column += columns;
    }
}

fn attributes(style: Style) -> String {
    let bold = if style.bold { " font-weight=\"bold\"" } else { "" };
    let color = style.foreground.and_then(|number| COLORS.get(usize::from(number)));
    color.map_or_else(|| bold.to_owned(), |color| format!("{bold} fill=\"{color}\""))
}

fn escaped(text: char) -> String {
    match text {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        text => text.to_string(),
    }
}
