//! Commands for files and other programs.

use super::line::{Line, Outcome};
use crate::editor::Editor;
use crate::encoding::{Ends, decode, encode};
use crate::system::{Finished, ReadError};
use crate::text::{Position, Text};

impl Editor {
    /// Opens the first of some files.
    pub fn open(&mut self, files: Vec<String>, read_only: bool) {
        self.settings.readonly = read_only;
        self.file.arguments = files;
        self.file.at = 0;
        if let Some(first) = self.file.arguments.first().cloned()
            && let Err(message) = self.load(&first)
        {
            self.report_error(message);
        }
        self.settings.readonly |= read_only;
        self.text.commit();
    }

    /// Edits a text that has no name yet.
    pub fn open_bytes(&mut self, bytes: &[u8]) {
        let (lines, ends) = decode(bytes);
        (self.settings.dos, self.settings.endofline) = (ends.dos, ends.last);
        self.text = Text::new(lines);
        self.text.set_modified();
    }

    /// Carries out a command of the command line of the program: `+N`, `+/x`, `-c x`.
    pub fn command(&mut self, command: &str) {
        self.text.begin(self.cursor);
        self.begin_command_budget();
        if command.is_empty() {
            self.go_to(self.text.last());
        } else {
            self.ex_command(command);
        }
        self.text.commit();
    }

    /// Puts what was edited into `FILE.save`, since the terminal is gone. The name of that file.
    ///
    /// # Errors
    /// A message.
    pub fn rescue(&mut self) -> Result<Option<String>, String> {
        if !self.text.is_modified() {
            return Ok(None);
        }
        /// The most bytes of a file's name to which more can be added.
        const LONGEST: usize = 240;
        let name = self.file.name.as_deref().unwrap_or("vi");
        let (folder, file) =
            name.rsplit_once('/').map_or(("", name), |(_, file)| name.split_at(name.len() - file.len()));
        let base = format!("{folder}{}", if file.len() > LONGEST { "vi" } else { file });
        let names =
            (0..100).map(|number| if number == 0 { format!("{base}.save") } else { format!("{base}.save.{number}") });
        let bytes = self.encoded(0, self.text.last());
        let free = names.into_iter().find(|name| !self.system.exists(name));
        let name = free.ok_or_else(|| format!("{base}.save: File exists"))?;
        self.system.write(&name, &bytes, false)?;
        Ok(Some(name))
    }

    fn ends(&self) -> Ends {
        Ends { dos: self.settings.dos, last: self.settings.endofline }
    }

    fn encoded(&self, first: usize, last: usize) -> Vec<u8> {
        let whole = last >= self.text.last();
        encode(self.text.lines(first, last + 1), Ends { last: self.settings.endofline || !whole, ..self.ends() })
    }

    /// Reads a file into the editor.
    fn load(&mut self, path: &str) -> Outcome {
        // Before the file is read, so that a change in between is noticed.
        let changed_at = self.system.changed_at(path);
        let (bytes, found) = match self.system.read(path) {
            Ok(bytes) => (bytes, true),
            Err(ReadError::NotFound) => (Vec::new(), false),
            Err(ReadError::Other(words)) => return Err(format!("E484: Can't open file {path}: {words}")),
        };
        let (lines, ends) = decode(&bytes);
        let before = self.file.name.replace(path.to_owned());
        if before.as_deref() != Some(path) {
            self.file.other = before.or(self.file.other.take());
        }
        self.file.changed_at = changed_at;
        (self.settings.dos, self.settings.endofline) = (ends.dos, ends.last);
        self.settings.readonly = found && !self.system.is_writable(path);
        let count = lines.len();
        self.text = Text::new(lines);
        self.view.top = 0;
        self.cursor = Position::default();
        self.want_here();
        let mut notes = String::new();
        if !found {
            notes.push_str(" [New]");
        }
        if self.settings.readonly {
            notes.push_str(" [readonly]");
        }
        if !ends.last {
            notes.push_str(" [noeol]");
        }
        if ends.dos {
            notes.push_str(" [dos]");
        }
        self.message =
            if found { format!("\"{path}\"{notes} {count}L, {}B", bytes.len()) } else { format!("\"{path}\"{notes}") };
        Ok(())
    }

    pub(super) fn file_command(&mut self, line: Line<'_>) -> Outcome {
        match line.name {
            "write" | "update" | "saveas" => self.write_command(line),
            "wq" | "wqall" => {
                self.write_command(line)?;
                self.quit(line.bang)
            }
            "xit" | "exit" | "xall" => {
                if self.text.is_modified() || !line.argument.is_empty() {
                    self.write_command(line)?;
                }
                self.quit(line.bang)
            }
            "wall" => {
                if self.text.is_modified() {
                    self.write_command(line)
                } else {
                    Ok(())
                }
            }
            "quit" | "qall" => self.quit(line.bang),
            "edit" | "enew" => self.edit_file(line),
            "read" => self.read_command(line),
            "file" => {
                if !line.argument.is_empty() {
                    self.file.other = self.file.name.replace(line.argument.to_owned());
                    self.file.changed_at = None;
                    self.text.set_modified();
                }
                self.tell_file();
                Ok(())
            }
            "args" => {
                let at = self.file.at;
                let names = self.file.arguments.iter().enumerate();
                let names = names.map(|(number, name)| if number == at { format!("[{name}]") } else { name.clone() });
                let text = names.collect::<Vec<_>>().join(" ");
                self.page.push(text);
                Ok(())
            }
            "wnext" => {
                self.write_command(Line { argument: "", ..line })?;
                self.other_argument("next", line.bang)
            }
            name => self.other_argument(name, line.bang),
        }
    }

    /// `:w`, also of a part, to another file or to a command.
    fn write_command(&mut self, line: Line<'_>) -> Outcome {
        let (first, last) = if line.range.given == 0 { (0, self.text.last()) } else { line.range.lines() };
        let mut argument = line.argument.trim();
        if let Some(command) = argument.strip_prefix('!').filter(|_| line.name == "write" && !line.bang) {
            let bytes = self.encoded(first, last);
            let done = self.filter(&self.expanded(command)?, Some(&bytes))?;
            self.show_output(&done.output);
            return Ok(());
        }
        let append = argument.starts_with(">>");
        argument = argument.trim_start_matches('>').trim_start();
        if line.name == "update" && !self.text.is_modified() {
            return Ok(());
        }
        let path = if argument.is_empty() {
            self.file.name.clone().ok_or("E32: No file name")?
        } else {
            self.expanded(argument)?
        };
        let own = self.file.name.as_deref() == Some(path.as_str());
        let whole = line.range.given == 0 || (first, last) == (0, self.text.last());
        self.check_write(&path, own, whole, append, line.bang)?;
        let new = !self.system.exists(&path);
        let bytes = self.encoded(first, last);
        self.system.write(&path, &bytes, append).map_err(|words| format!("E212: Can't write {path}: {words}"))?;
        let count = if self.text.is_empty() { 0 } else { last - first + 1 };
        let notes =
            format!("{}{}", if new { " [New]" } else { "" }, if self.settings.endofline { "" } else { " [noeol]" });
        self.message =
            format!("\"{path}\"{notes} {count}L, {}B {}", bytes.len(), if append { "appended" } else { "written" });
        let names_it = self.file.name.is_none() && whole && !append || line.name == "saveas";
        if names_it {
            self.file.other = self.file.name.replace(path.clone());
        }
        if (own || names_it) && whole && !append {
            self.text.commit();
            self.text.set_saved();
            self.settings.readonly = false;
        }
        if own || names_it {
            self.file.changed_at = self.system.changed_at(&path);
        }
        Ok(())
    }

    /// Refuses what would destroy something, unless `!` says so.
    fn check_write(&mut self, path: &str, own: bool, whole: bool, append: bool, bang: bool) -> Outcome {
        if bang || append {
            return Ok(());
        }
        if own && self.settings.readonly {
            return Err("E45: 'readonly' option is set (add ! to override)".to_owned());
        }
        if own && !whole {
            return Err("E140: Use ! to write partial buffer".to_owned());
        }
        // A file whose content was never read counts as another one. One that is gone may be written.
        if (!own || self.file.changed_at.is_none()) && self.system.exists(path) {
            return Err("E13: File exists (add ! to override)".to_owned());
        }
        let now = self.system.changed_at(path);
        if own && now.is_some() && now != self.file.changed_at {
            return Err("E13: The file has been changed since it was read (add ! to override)".to_owned());
        }
        Ok(())
    }

    fn quit(&mut self, bang: bool) -> Outcome {
        if !bang && self.text.is_modified() {
            return Err("E37: No write since last change (add ! to override)".to_owned());
        }
        self.ended = Some(0);
        Ok(())
    }

    /// `:e`, `:enew`.
    fn edit_file(&mut self, line: Line<'_>) -> Outcome {
        if !line.bang && self.text.is_modified() {
            return Err("E37: No write since last change (add ! to override)".to_owned());
        }
        if line.name == "enew" {
            self.file.other = self.file.name.take();
            self.file.changed_at = None;
            self.text = Text::default();
            self.go_to(0);
            return Ok(());
        }
        let argument = line.argument.trim();
        let at = self.cursor.line;
        let same = argument.is_empty();
        let path = if same { self.file.name.clone().ok_or("E32: No file name")? } else { self.expanded(argument)? };
        self.load(&path)?;
        if same {
            self.go_to(at);
        }
        Ok(())
    }

    fn other_argument(&mut self, name: &str, bang: bool) -> Outcome {
        if !bang && self.text.is_modified() {
            return Err("E37: No write since last change (add ! to override)".to_owned());
        }
        let to = match name {
            "next" => self.file.at + 1,
            "previous" => self.file.at.checked_sub(1).ok_or("E164: Cannot go before first file")?,
            _ => 0,
        };
        let path = self.file.arguments.get(to).cloned().ok_or("E165: Cannot go beyond last file")?;
        self.load(&path)?;
        self.file.at = to;
        Ok(())
    }

    /// `:r`: a file, or the output of a command, below a line.
    fn read_command(&mut self, line: Line<'_>) -> Outcome {
        let argument = line.argument.trim();
        let bytes = if let Some(command) = argument.strip_prefix('!') {
            self.filter(&self.expanded(command)?, None)?.output
        } else {
            let path = if argument.is_empty() {
                self.file.name.clone().ok_or("E32: No file name")?
            } else {
                self.expanded(argument)?
            };
            match self.system.read(&path) {
                Ok(bytes) => bytes,
                Err(ReadError::NotFound) => return Err(format!("E484: Can't open file {path}")),
                Err(ReadError::Other(words)) => return Err(format!("E484: Can't open file {path}: {words}")),
            }
        };
        let (lines, _) = decode(&bytes);
        let (count, at) = (lines.len(), line.range.last);
        if count > 0 {
            self.text.splice(at, 0, lines);
            self.go_to(at);
        }
        self.tell_lines(count, "added");
        Ok(())
    }

    /// `:!`, alone or as a filter of lines.
    pub(super) fn shell_command(&mut self, line: Line<'_>) -> Outcome {
        let command = self.expanded(line.argument)?;
        if line.range.given == 0 {
            self.system.run(&command)?;
            self.screen.invalidate();
            return Ok(());
        }
        let (first, last) = line.range.lines();
        let input = encode(self.text.lines(first, last + 1), Ends { dos: false, last: true });
        let done = self.filter(&command, Some(&input))?;
        let (lines, _) = decode(&done.output);
        self.text.splice(first, last - first + 1, lines);
        self.go_to(first);
        self.tell_lines(last - first + 1, "filtered");
        if done.status != 0 {
            self.message = format!("shell returned {}", done.status);
        }
        Ok(())
    }

    /// Runs a command without the terminal. What was typed meanwhile may have been echoed.
    fn filter(&mut self, command: &str, input: Option<&[u8]>) -> Result<Finished, String> {
        let result = self.system.filter(command, input);
        self.screen.invalidate();
        result
    }

    fn show_output(&mut self, output: &[u8]) {
        self.page.extend(decode(output).0);
    }

    /// `%` and `#` are the names of this file and the one before, unless a backslash is before them.
    fn expanded(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text.chars().peekable();
        while let Some(sign) = rest.next() {
            match sign {
                '\\' if matches!(rest.peek(), Some('%' | '#')) => out.extend(rest.next()),
                '%' => out.push_str(self.file.name.as_deref().ok_or("E499: Empty file name for '%'")?),
                '#' => out
                    .push_str(self.file.other.as_deref().ok_or("E194: No alternate file name to substitute for '#'")?),
                other => out.push(other),
            }
        }
        Ok(out)
    }

    /// `C-g`
    pub(crate) fn tell_file(&mut self) {
        let name = self.file.name.as_deref().unwrap_or("[No Name]");
        let modified = if self.text.is_modified() { " [Modified]" } else { "" };
        let read_only = if self.settings.readonly { " [readonly]" } else { "" };
        let (count, line) = (self.text.len(), self.cursor.line + 1);
        self.message = if self.text.is_empty() {
            format!("\"{name}\"{modified}{read_only} --No lines in buffer--")
        } else {
            format!("\"{name}\"{modified}{read_only} line {line} of {count} --{}%--", line * 100 / count)
        };
    }
}
