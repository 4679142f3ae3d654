//! What the screen shows.

use super::operator::Area;
use super::state::{Editor, Mode};
use crate::columns::escape;
use crate::screen::{Cell, Row, Style};
use crate::text::{Position, next};

/// The columns of the ruler at the right end of the last row.
const RULER: usize = 18;

impl Editor {
    /// The bytes for the terminal that show what has changed.
    pub fn output(&mut self) -> Vec<u8> {
        if matches!(self.mode, Mode::Page) {
            return self.draw_page();
        }
        self.show_cursor();
        let mut rows = Vec::with_capacity(self.view.rows);
        let mut cursor = (0, 0);
        let (mut line, mut skip) = (self.view.top, self.view.top_row);
        while rows.len() < self.text_rows() {
            if line >= self.text.len() {
                rows.push(self.plain_row("~", Style::Faint));
                continue;
            }
            let left = self.text_rows() - rows.len();
            let count = self.rows_of(line) - skip.min(self.rows_of(line));
            // The beginning of a line that does not fit is shown only if the cursor is in it.
            if count > left && line != self.cursor.line && !rows.is_empty() {
                rows.push(self.plain_row("@", Style::Faint));
                continue;
            }
            let start = rows.len();
            self.line_rows(line, skip, left, &mut rows);
            if !self.settings.wrap {
                rows[start..].iter_mut().for_each(cut_halves);
            }
            if line == self.cursor.line {
                cursor = self.cursor_cell(start, skip, &mut rows);
            }
            line += 1;
            skip = 0;
        }
        rows.truncate(self.text_rows());
        let (last, prompt) = self.last_row();
        rows.push(last);
        if let Some(column) = prompt {
            cursor = (self.view.rows - 1, column);
        }
        self.screen.draw(rows, cursor).into_bytes()
    }

    /// The cell of the cursor. On a tab it is the last one, but not while text is typed.
    fn cursor_cell(&self, start: usize, skip: usize, rows: &mut Vec<Row>) -> (usize, usize) {
        let place = self.place_of(self.cursor);
        let on_tab = self.line()[self.cursor.column..].starts_with('\t') && !self.settings.list;
        let typing = matches!(self.mode, Mode::Insert(_)) || self.is_visual();
        let shift = if on_tab && !typing { place.width - 1 } else { 0 };
        let columns = self.text_columns();
        let at = place.column + shift;
        let row = start + (place.row + at / columns).saturating_sub(skip);
        if row >= rows.len() && rows.len() < self.text_rows() {
            rows.push(self.plain_row("", Style::Plain));
        }
        (row.min(self.text_rows() - 1), self.gutter() + (at % columns).saturating_sub(self.view.left))
    }

    fn plain_row(&self, text: &str, style: Style) -> Row {
        let mut row: Row = text.chars().map(|sign| Cell::new(sign, style)).collect();
        row.resize(self.view.columns, Cell::new(' ', Style::Plain));
        row
    }

    /// The bytes of a line that are marked: the selection, and matches with `:set hls`.
    fn marked(&self, line: usize) -> Vec<std::ops::Range<usize>> {
        let content = self.text.line(line);
        let mut found = Vec::new();
        if let Mode::Visual(visual) = self.mode {
            let area = self.selected(visual);
            found.push(match area {
                Area::Lines(first, last) if (first..=last).contains(&line) => 0..content.len().max(1),
                Area::Chars(start, end) if (start.line..=end.line).contains(&line) => {
                    let from = if line == start.line { start.column } else { 0 };
                    let to = if line == end.line { end.column } else { content.len() + 1 };
                    from..to.max(if line == end.line && end.column == 0 { from } else { from + 1 })
                }
                Area::Block { top, bottom, .. } if (top..=bottom).contains(&line) => self.block_part(area, line),
                _ => 0..0,
            });
        }
        if let Mode::Confirm(substitution) = &self.mode
            && substitution.line == line
            && let Some((start, end)) = substitution.current.as_ref().and_then(|groups| groups[0])
        {
            found.push(start..end);
        }
        if let Some(pattern) = self.search.pattern.as_ref().filter(|_| self.settings.hlsearch && self.search.shown) {
            let mut at = 0;
            while let Some((start, end)) = pattern.find_at(content, at) {
                found.push(start..end);
                at = end.max(next(content, start));
                if at >= content.len() {
                    break;
                }
            }
        }
        found
    }

    /// Adds the rows of a line, without the first `skip`, and at most `most`.
    fn line_rows(&self, line: usize, skip: usize, most: usize, rows: &mut Vec<Row>) {
        let content = self.text.line(line);
        let (columns, gutter, width) = (self.text_columns(), self.gutter(), self.view.columns);
        let first = rows.len();
        let marked = self.marked(line);
        let blank = Cell::new(' ', Style::Plain);
        rows.push(self.numbered_row(line, skip == 0));
        let mut put = |row: usize, column: usize, cell: Cell| {
            if row < skip || row - skip >= most {
                return row < skip;
            }
            while rows.len() <= first + row - skip {
                rows.push(vec![blank.clone(); width]);
            }
            if let Some(column) = column.checked_sub(self.view.left).filter(|column| gutter + column < width) {
                rows[first + row - skip][gutter + column] = cell;
            }
            true
        };
        let mut end = 0;
        for (at, place) in self.walk(content) {
            let style = if marked.iter().any(|range| range.contains(&at)) { Style::Reverse } else { Style::Plain };
            let whole = &content[at..next(content, at)];
            end = place.row * columns + place.column + place.width;
            let cells = cells(whole, place.width, style, self.settings.list);
            for (offset, cell) in cells.into_iter().enumerate() {
                let column = place.column + offset;
                if !put(place.row + column / columns, column % columns, cell) {
                    return;
                }
            }
        }
        let behind = marked.iter().any(|range| range.contains(&content.len()));
        if self.settings.list {
            put(end / columns, end % columns, Cell::new('$', Style::Faint));
        } else if behind && end % columns < columns {
            put(end / columns, end % columns, Cell::new(' ', Style::Reverse));
        }
    }

    /// A row with the number of its line.
    fn numbered_row(&self, line: usize, first: bool) -> Row {
        let digits = self.gutter().saturating_sub(1);
        if digits == 0 || !first {
            return self.plain_row("", Style::Plain);
        }
        let number = match (self.settings.relativenumber, line.abs_diff(self.cursor.line)) {
            (false, _) => line + 1,
            (true, 0) if self.settings.number => line + 1,
            (true, distance) => distance,
        };
        self.plain_row(&format!("{number:>digits$}"), Style::Faint)
    }

    /// The last row, and the column of the cursor in it, if that is there.
    fn last_row(&self) -> (Row, Option<usize>) {
        let columns = self.view.columns;
        if let Mode::Prompt(prompt) = &self.mode {
            let mut row = self.plain_row(&prompt.sign.to_string(), Style::Plain);
            row.truncate(1);
            let mut cursor = 1;
            for (at, sign) in prompt.text.iter().enumerate() {
                if at == prompt.at {
                    cursor = row.len();
                }
                row.extend(text_cells(&sign.to_string(), Style::Plain));
            }
            if prompt.at == prompt.text.len() {
                cursor = row.len();
            }
            let hidden = (cursor + 1).saturating_sub(columns);
            row.drain(..hidden);
            row.resize(columns, Cell::new(' ', Style::Plain));
            return (row, Some(cursor - hidden));
        }
        let mode = self.mode_name();
        let recording = self.recording.as_ref().map(|(name, _)| format!("recording @{name}")).unwrap_or_default();
        let error = self.message.starts_with('E') && self.message[1..].starts_with(|sign: char| sign.is_ascii_digit());
        let (text, style) = match &self.mode {
            Mode::Confirm(_) => ("replace with it (y/n/a/q/l)?".to_owned(), Style::Bold),
            _ if !self.message.is_empty() => (self.message.clone(), if error { Style::Bold } else { Style::Plain }),
            _ => (format!("{mode}{recording}"), Style::Bold),
        };
        let mut row = text_cells(&text, style);
        let room = columns.saturating_sub(RULER);
        // A message that needs the whole row takes it.
        let fits = row.len() < room || self.message.is_empty();
        if self.settings.ruler && fits {
            row.truncate(room.saturating_sub(1));
            if row.last().is_some_and(|cell| cell.text.is_none()) {
                row.pop();
            }
            row.resize(room, Cell::new(' ', Style::Plain));
            let pending: String = self.pending.iter().filter(|sign| !sign.is_control()).collect();
            let ruler = format!(
                "{:RULER$}",
                format!("{}{}{}", self.ruler(), if pending.is_empty() { "" } else { " " }, pending)
            );
            row.extend(text_cells(&ruler, Style::Plain));
        }
        row.resize(columns, Cell::new(' ', Style::Plain));
        let cursor = matches!(self.mode, Mode::Confirm(_)).then_some(text.len() + 1).filter(|column| *column < columns);
        (row, cursor)
    }

    fn mode_name(&self) -> &'static str {
        if !self.settings.showmode {
            return "";
        }
        match &self.mode {
            Mode::Insert(insertion) if insertion.replace => "-- REPLACE --",
            Mode::Insert(_) => "-- INSERT --",
            Mode::Visual(visual) => match visual.kind {
                super::state::VisualKind::Chars => "-- VISUAL --",
                super::state::VisualKind::Lines => "-- VISUAL LINE --",
                super::state::VisualKind::Block => "-- VISUAL BLOCK --",
            },
            _ if self.interrupted.is_some() => "-- (insert) --",
            _ => "",
        }
    }

    /// The line, the column in bytes and on the screen, and how far down the text is.
    fn ruler(&self) -> String {
        let Position { line, column } = self.cursor;
        let shown = crate::columns::span(self.line(), column, self.tabs()).0 + 1;
        let column = match (self.line().is_empty(), column + 1) {
            (true, _) if shown == 1 => "0-1".to_owned(),
            (_, bytes) if bytes == shown => shown.to_string(),
            (_, bytes) => format!("{bytes}-{shown}"),
        };
        let (top, bottom) = self.visible_lines();
        let part = match (top == 0, bottom == self.text.last()) {
            (true, true) => "All".to_owned(),
            (true, false) => "Top".to_owned(),
            (false, true) => "Bot".to_owned(),
            (false, false) => format!("{}%", top * 100 / (self.text.len() - (bottom - top)).max(1)),
        };
        format!("{:<13} {part}", format!("{},{column}", line + 1))
    }

    /// A text that is shown until a key comes: its end, if it is long.
    fn draw_page(&mut self) -> Vec<u8> {
        let most = self.view.rows - 1;
        let skip = self.page.len().saturating_sub(most);
        let mut rows: Vec<Row> = Vec::new();
        for line in &self.page[skip..] {
            let mut row = text_cells(line, Style::Plain);
            row.resize(self.view.columns, Cell::new(' ', Style::Plain));
            rows.push(row);
        }
        rows.push(self.plain_row("Press ENTER or type command to continue", Style::Bold));
        let cursor = (rows.len() - 1, 39.min(self.view.columns - 1));
        rows.resize(self.view.rows, self.plain_row("", Style::Plain));
        self.screen.draw(rows, cursor).into_bytes()
    }
}

/// The cells of a character with its marks.
fn cells(whole: &str, width: usize, style: Style, list: bool) -> Row {
    let character = whole.chars().next().unwrap_or(' ');
    if character == '\t' && !list {
        return vec![Cell::new(' ', style); width];
    }
    if let Some(shown) = escape(character) {
        return shown
            .chars()
            .map(|sign| Cell::new(sign, if style == Style::Plain { Style::Faint } else { style }))
            .collect();
    }
    let base = if unicode_width::UnicodeWidthChar::width(character) == Some(0) { ' ' } else { character };
    let marks = if base == character { &whole[character.len_utf8()..] } else { whole };
    let mut row = vec![Cell { text: Some(base), marks: marks.to_owned(), style }];
    row.extend((1..width).map(|_| Cell { text: None, marks: String::new(), style }));
    row
}

/// Replaces halves of wide characters at the edges of the screen by blanks.
fn cut_halves(row: &mut Row) {
    let is_wide = |cell: &Cell| cell.text.and_then(unicode_width::UnicodeWidthChar::width) == Some(2);
    for at in 0..row.len() {
        let alone = match row[at].text {
            None => at == 0 || !is_wide(&row[at - 1]),
            Some(_) => is_wide(&row[at]) && row.get(at + 1).is_none_or(|right| right.text.is_some()),
        };
        if alone {
            row[at] = Cell::new(' ', row[at].style);
        }
    }
}

/// The cells of a text.
fn text_cells(text: &str, style: Style) -> Row {
    let tabs = crate::columns::Tabs { stop: 8, list: false };
    let (mut row, mut at) = (Row::new(), 0);
    while let Some(character) = text[at..].chars().next() {
        let after = next(text, at);
        let width = crate::columns::width(character, row.len(), tabs);
        row.extend(cells(&text[at..after], width, style, false));
        at = after;
    }
    row
}
