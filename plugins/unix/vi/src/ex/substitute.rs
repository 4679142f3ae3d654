//! `:s`, `:&` and `:~`.

use super::line::{Line, Outcome};
use crate::editor::Editor;
use crate::pattern::Pattern;
use crate::replacement::{Flags, Substitution, Template};
use crate::system::INTERRUPTED;
use crate::text::Position;

/// Parts a substitution from the commands behind `|`, which may be in its pattern.
pub(super) fn split_bar(text: &str) -> (&str, Option<&str>) {
    let trimmed = text.trim_start();
    let Some(delimiter) = trimmed.chars().next().filter(|sign| is_delimiter(*sign)) else {
        return super::line::split_bar(text);
    };
    let offset = text.len() - trimmed.len() + delimiter.len_utf8();
    let (_, after) = super::address::delimited(&text[offset..], delimiter);
    let mut escaped = false;
    let start = text.len() - after.len();
    for (at, sign) in after.char_indices() {
        match sign {
            '\\' => escaped = !escaped,
            '|' if !escaped => return (&text[..start + at], Some(&after[at + 1..])),
            _ => escaped = false,
        }
    }
    (text, None)
}

fn is_delimiter(sign: char) -> bool {
    !sign.is_alphanumeric() && !sign.is_whitespace() && !matches!(sign, '"' | '|' | '\\' | '&')
}

impl Editor {
    pub(crate) fn substitute(&mut self, line: Line<'_>) -> Outcome {
        let (template, flags) = self.parts(line)?;
        let (mut first, mut last) = line.range.lines();
        if let Some(count) = flags.count {
            first = last;
            last = first.saturating_add(count - 1).min(self.text.last());
        }
        let text = self.search.text.clone();
        let ignores = flags.case.unwrap_or_else(|| self.settings.ignores_case(&text));
        let pattern = Pattern::new(&text, ignores)?;
        let all = flags.all != self.settings.gdefault;
        let substitution = Substitution {
            pattern,
            template,
            all,
            line: first,
            column: 0,
            last,
            count: 0,
            lines: 0,
            place: None,
            current: None,
        };
        if flags.count_only {
            return self.count_matches(&substitution);
        }
        if flags.confirm {
            if !self.text.tracked.is_empty() {
                return Err("The flag c of :s is not supported with :g".to_owned());
            }
            self.ask_next(Box::new(substitution));
            return Ok(());
        }
        if text == "\\n" && substitution.template.is_empty() && first < self.text.last() {
            self.join(first, (last + 1).min(self.text.last()), false);
            return Ok(());
        }
        let mut done = if text.contains("\\n") || text.contains("\\_") {
            self.over_lines(substitution)
        } else {
            self.line_by_line(substitution)
        };
        if self.stopped {
            return Err(INTERRUPTED.to_owned());
        }
        if done.count == 0 {
            return if flags.quiet || self.ex_depth > 1 {
                Ok(())
            } else {
                Err(format!("E486: Pattern not found: {text}"))
            };
        }
        done.lines = done.lines.max(1);
        self.end_substitution(&done);
        Ok(())
    }

    /// The pattern becomes the last one; the replacement and the flags.
    fn parts(&mut self, line: Line<'_>) -> Result<(Template, Flags), String> {
        let argument = line.argument;
        let delimiter = argument.chars().next().filter(|sign| is_delimiter(*sign) && line.name == "substitute");
        let Some(delimiter) = delimiter else {
            let Some((pattern, template, kept)) = self.last_substitution.clone() else {
                return Err("E35: No previous regular expression".to_owned());
            };
            let flags = read_flags(argument, kept)?;
            if line.name == "~" {
                self.set_pattern("")?;
            } else {
                self.set_pattern(&pattern)?;
            }
            self.last_substitution = Some((pattern, template.clone(), flags));
            return Ok((template, flags));
        };
        let (pattern, rest) = super::address::delimited(&argument[delimiter.len_utf8()..], delimiter);
        let (replacement, rest) = super::address::delimited(rest, delimiter);
        let before = self.last_substitution.as_ref();
        let template = Template::new(&replacement, before.map(|(_, template, _)| template))?;
        let flags = read_flags(rest, before.map(|(_, _, flags)| *flags).unwrap_or_default())?;
        self.set_pattern(&pattern)?;
        self.last_substitution = Some((self.search.text.clone(), template.clone(), flags));
        Ok((template, flags))
    }

    fn count_matches(&mut self, substitution: &Substitution) -> Outcome {
        let found = (substitution.line..=substitution.last).filter_map(|at| substitution.in_line(self.text.line(at)));
        let (lines, count) = found.fold((0, 0), |(lines, count), (_, more)| (lines + 1, count + more));
        self.message = format!(
            "{count} match{} on {lines} line{}",
            if count == 1 { "" } else { "es" },
            if lines == 1 { "" } else { "s" }
        );
        Ok(())
    }

    fn line_by_line(&mut self, mut substitution: Substitution) -> Substitution {
        let mut line = substitution.line;
        while line <= substitution.last && self.goes_on() {
            let mut after = line;
            if let Some((new, count)) = substitution.in_line(self.text.line(line)) {
                self.text.begin(Position::new(line, 0));
                substitution.count += count;
                substitution.lines += 1;
                if new.contains('\n') {
                    let lines: Vec<String> = new.split('\n').map(str::to_owned).collect();
                    after += lines.len() - 1;
                    substitution.last += lines.len() - 1;
                    self.text.splice(line, 1, lines);
                } else {
                    self.text.edit(line, |content| *content = new);
                }
                substitution.place = Some(after);
            }
            line = after + 1;
        }
        substitution
    }

    /// Patterns with line ends are matched on all lines at once. Without the flag `g`, one match is replaced in each
    /// line that begins behind the last match.
    fn over_lines(&mut self, mut substitution: Substitution) -> Substitution {
        let (first, last) = (substitution.line, substitution.last);
        let text = self.text.copied(first, last + 1).join("\n") + "\n";
        let (mut out, mut copied, mut from) = (String::new(), 0, 0);
        while let Some(groups) = substitution.pattern.groups_at(&text, from) {
            let Some((start, end)) = groups[0].filter(|(start, _)| *start < text.len()) else { break };
            out.push_str(&text[copied..start]);
            out.push_str(&substitution.template.expand(&text, &groups));
            substitution.count += 1;
            substitution.place = Some(first + out.matches('\n').count());
            copied = end;
            from = end.max(crate::text::next(&text, start));
            if !substitution.all && !text[start..end].ends_with('\n') {
                from = text[from..].find('\n').map_or(text.len(), |at| from + at + 1);
            }
            if from >= text.len() {
                break;
            }
        }
        if substitution.count > 0 {
            out.push_str(&text[copied..]);
            // What was joined with the line behind the range goes on there.
            let ends = out.strip_suffix('\n');
            let mut lines: Vec<String> = ends.unwrap_or(&out).split('\n').map(str::to_owned).collect();
            let mut count = last - first + 1;
            if ends.is_none() && last < self.text.last() {
                let next = self.text.line(last + 1).to_owned();
                if let Some(end) = lines.last_mut() {
                    end.push_str(&next);
                }
                count += 1;
            }
            self.text.splice(first, count, lines);
            substitution.place = substitution.place.map(|place| place.min(self.text.last()));
        }
        substitution
    }
}

/// Reads flags. A `&` before them stands for those of the last substitution.
fn read_flags(text: &str, kept: Flags) -> Result<Flags, String> {
    let (mut flags, letters) = match text.strip_prefix('&') {
        Some(letters) => (Flags { count: None, ..kept }, letters),
        None => (Flags::default(), text),
    };
    let end = letters.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(letters.len());
    for flag in letters[..end].chars() {
        match flag {
            'g' => flags.all = !flags.all,
            'c' => flags.confirm = true,
            'e' => flags.quiet = true,
            'n' => flags.count_only = true,
            'i' => flags.case = Some(true),
            'I' => flags.case = Some(false),
            'p' | 'l' | 'r' => {}
            _ => return Err(format!("E488: Trailing characters: {}", text.trim())),
        }
    }
    match letters[end..].trim() {
        "" => {}
        count => match count.parse::<usize>() {
            Ok(count) if count > 0 => flags.count = Some(count),
            _ => return Err(format!("E488: Trailing characters: {count}")),
        },
    }
    Ok(flags)
}
