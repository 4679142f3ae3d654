//! Redirections (XCU 2.7).

use crate::state::{Run, Shell};
use crate::syntax::{FdRef, Redirect, RedirectOp};
use crate::system::{Errno, Fd, FileKind, OpenHow};
use crate::text;

/// What descriptors were before, the newest last.
pub(crate) type Saved = Vec<(u32, Option<Fd>)>;

/// The largest number of a descriptor that a script may name.
const MAX_FD: u32 = 1024;

impl Shell {
    /// Performs redirections in order. The inner error is that one failed and was reported; what was changed must be
    /// restored then too.
    pub(crate) fn redirect_all(&mut self, redirects: &[Redirect]) -> Run<Result<Saved, Saved>> {
        let mut saved = Vec::new();
        let mut done = true;
        for redirect in redirects {
            let performed = self.redirect(redirect, &mut saved);
            if !matches!(performed, Ok(true)) {
                done = false;
            }
            // What a process substitution opened is a duplicate now.
            let opened = self.fds_of_substitutions();
            self.close_substitutions(&opened);
            if let Err(stop) = performed {
                self.restore(saved);
                return Err(stop);
            }
            if !done {
                break;
            }
        }
        Ok(if done { Ok(saved) } else { Err(saved) })
    }

    pub(crate) fn restore(&mut self, saved: Saved) {
        for (number, fd) in saved.into_iter().rev() {
            match fd {
                Some(fd) => self.fds.insert(number, fd),
                None => self.fds.remove(&number),
            };
        }
    }

    fn set_fd(&mut self, number: u32, fd: Option<Fd>, saved: &mut Saved) {
        let before = match fd {
            Some(fd) => self.fds.insert(number, fd),
            None => self.fds.remove(&number),
        };
        saved.push((number, before));
    }

    fn redirect(&mut self, redirect: &Redirect, saved: &mut Saved) -> Run<bool> {
        let default = match redirect.op {
            RedirectOp::Output | RedirectOp::Clobber | RedirectOp::Append | RedirectOp::DupOutput => 1,
            RedirectOp::Both | RedirectOp::AppendBoth => 1,
            _ => 0,
        };
        let (number, variable) = match &redirect.fd {
            FdRef::Default => (default, None),
            FdRef::Number(number) => (*number, None),
            FdRef::Variable(name) => (self.free_number(), Some(name.clone())),
        };
        if number >= MAX_FD {
            self.report(&format!("{number}: {}", Errno::EBADF.text));
            return Ok(false);
        }
        if matches!(redirect.op, RedirectOp::DupInput | RedirectOp::DupOutput) {
            return self.duplicate(redirect, number, variable, saved);
        }
        let both = matches!(redirect.op, RedirectOp::Both | RedirectOp::AppendBoth);
        let (name, opened) = self.open_target(redirect)?;
        match opened {
            Ok(fd) => {
                if both {
                    self.set_fd(2, Some(fd.clone()), saved);
                }
                match variable {
                    Some(variable) => self.keep_fd(&variable, number, fd),
                    None => self.set_fd(number, Some(fd), saved),
                }
                Ok(true)
            }
            Err(message) => {
                self.report(&format!("{name}: {message}"));
                Ok(false)
            }
        }
    }

    /// `{name}>file`: the descriptor stays open.
    fn keep_fd(&mut self, variable: &str, number: u32, fd: Fd) {
        self.fds.insert(number, fd);
        if let Err(message) = self.assign(variable, None, number.to_string(), false) {
            self.report(&message);
        }
    }

    /// The smallest number from 10 on that is not in use.
    pub(crate) fn free_number(&self) -> u32 {
        (10..MAX_FD).find(|number| !self.fds.contains_key(number)).unwrap_or(MAX_FD)
    }

    fn open_target(&mut self, redirect: &Redirect) -> Run<(String, Result<Fd, String>)> {
        match redirect.op {
            RedirectOp::HereDoc { .. } => {
                let Some(here) = redirect.here.as_ref().and_then(|here| here.get()) else {
                    return Ok(("here-document".to_owned(), self.buffer("")));
                };
                let text = self.expand_quoted(&here.body)?;
                Ok(("here-document".to_owned(), self.buffer(&text)))
            }
            RedirectOp::HereString => {
                let text = self.expand_single(&redirect.target)?;
                Ok(("here-string".to_owned(), self.buffer(&(text + "\n"))))
            }
            op => {
                let Some(name) = self.target_name(redirect)? else {
                    return Ok((redirect.target.raw.clone(), Err("ambiguous redirect".to_owned())));
                };
                let opened = self.open_file(&name, op);
                Ok((name, opened))
            }
        }
    }

    fn buffer(&self, text: &str) -> Result<Fd, String> {
        self.system.buffer(&text::encode(text)).map_err(|error| error.text.to_owned())
    }

    /// The file that a redirection names: one field.
    fn target_name(&mut self, redirect: &Redirect) -> Run<Option<String>> {
        if self.posix() && !self.interactive {
            return self.expand_single(&redirect.target).map(Some);
        }
        let mut fields = Vec::new();
        self.expand_word(&redirect.target, &mut fields)?;
        Ok(if fields.len() == 1 { fields.pop() } else { None })
    }

    fn open_file(&mut self, name: &str, op: RedirectOp) -> Result<Fd, String> {
        if let Some(fd) = self.own_descriptor(name) {
            return fd.ok_or(Errno::ENOENT.text.to_owned());
        }
        let path = self.absolute(name);
        let read = matches!(op, RedirectOp::Input | RedirectOp::ReadWrite);
        let write = op != RedirectOp::Input;
        let append = matches!(op, RedirectOp::Append | RedirectOp::AppendBoth);
        let output = matches!(op, RedirectOp::Output | RedirectOp::Clobber | RedirectOp::Both);
        let mut how = OpenHow { read, write, append, create: write, exclusive: false, truncate: output };
        if self.is_on("noclobber") && matches!(op, RedirectOp::Output | RedirectOp::Both) {
            // What is there and no regular file, such as a terminal, is opened all the same.
            match self.system.status(&path, true) {
                Ok(status) if status.kind == FileKind::Regular => {
                    return Err("cannot overwrite existing file".to_owned());
                }
                Ok(_) => how.truncate = false,
                Err(_) => how.exclusive = true,
            }
        }
        self.system.open(&path, how).map_err(|error| error.text.to_owned())
    }

    /// The descriptor that `/dev/fd/N`, `/dev/stdin` and the like name. The inner none: not open.
    fn own_descriptor(&self, name: &str) -> Option<Option<Fd>> {
        let number = match name {
            "/dev/stdin" => 0,
            "/dev/stdout" => 1,
            "/dev/stderr" => 2,
            _ => name.strip_prefix("/dev/fd/")?.parse().ok()?,
        };
        Some(self.fds.get(&number).cloned())
    }

    /// `n>&m`, `n>&-`, `n>&m-`.
    fn duplicate(
        &mut self,
        redirect: &Redirect,
        number: u32,
        variable: Option<String>,
        saved: &mut Saved,
    ) -> Run<bool> {
        let mut fields = Vec::new();
        self.expand_word(&redirect.target, &mut fields)?;
        let [target] = fields.as_slice() else {
            self.report(&format!("{}: ambiguous redirect", redirect.target.raw));
            return Ok(false);
        };
        if target == "-" {
            // `{name}>&-` closes the descriptor whose number the variable holds.
            let number = match variable {
                None => Some(number),
                Some(name) => self.text_of(&name).and_then(|text| text.parse().ok()),
            };
            if let Some(number) = number {
                self.set_fd(number, None, saved);
            }
            return Ok(true);
        }
        let moves = target.strip_suffix('-');
        if let Ok(source) = moves.unwrap_or(target).parse::<u32>() {
            let Some(fd) = self.fds.get(&source).cloned() else {
                self.report(&format!("{source}: {}", Errno::EBADF.text));
                return Ok(false);
            };
            let (readable, writable) = fd.access();
            let fits = if redirect.op == RedirectOp::DupInput { readable } else { writable };
            if !fits && self.posix() {
                self.report(&format!("{source}: {}", Errno::EBADF.text));
                return Ok(false);
            }
            match variable {
                Some(variable) => self.keep_fd(&variable, number, fd),
                None => self.set_fd(number, Some(fd), saved),
            }
            if moves.is_some() && source != number {
                self.set_fd(source, None, saved);
            }
            return Ok(true);
        }
        // `>&word` is `&>word` in bash.
        if redirect.op == RedirectOp::DupOutput
            && (redirect.fd == FdRef::Default || redirect.fd == FdRef::Number(1))
            && !self.posix()
        {
            return Ok(self.redirect_both(target, saved));
        }
        let message = if self.posix() { Errno::EBADF.text } else { "ambiguous redirect" };
        self.report(&format!("{target}: {message}"));
        Ok(false)
    }

    fn redirect_both(&mut self, target: &str, saved: &mut Saved) -> bool {
        match self.open_file(target, RedirectOp::Both) {
            Ok(fd) => {
                self.set_fd(1, Some(fd.clone()), saved);
                self.set_fd(2, Some(fd), saved);
                true
            }
            Err(message) => {
                self.report(&format!("{target}: {message}"));
                false
            }
        }
    }
}
