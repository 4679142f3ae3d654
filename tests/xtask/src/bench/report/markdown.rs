//! Tables and paragraphs of Markdown, of at most 120 columns where their contents permit that.

const COLUMNS: usize = 120;

/// A table, the first row of which has the heads. The first column is aligned left, the others right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") }
        });
        cells.collect::<String>() + "|\n"
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if column == 0 { format!("|{dashes}-") } else { format!("|{dashes}:") }
    });
    let mut lines = rows.iter().map(line);
    lines.next().unwrap_or_default() + &rule.collect::<String>() + "|\n" + &lines.collect::<String>()
}

/// A paragraph after an empty line.
pub(crate) fn paragraph(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => word.clone_into(line),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    format!("\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [["row", "a"], ["echo, us", "12.0"], ["µ", "1"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&rows),
            "| row      |    a |\n|----------|-----:|\n| echo, us | 12.0 |\n| µ        |    1 |\n"
        );
    }

    #[test]
    fn a_paragraph_breaks_where_a_line_is_full() {
        let word = "x".repeat(59);
        assert_eq!(paragraph(&format!("{word} {word} {word} y")), format!("\n{word} {word}\n{word} y\n"));
        assert_eq!(paragraph(&format!("{word} {word}x z")), format!("\n{word} {word}x\nz\n"));
    }
}
