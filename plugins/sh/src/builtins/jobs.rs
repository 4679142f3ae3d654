//! Jobs: `jobs`, `wait`, `fg`, `bg`, `kill`, `disown`.

use super::arguments::{options, write};
use crate::state::{Job, JobState, Run, Shell, status_of};
use crate::system::{Change, Errno, SIGNALS, signal_name, signal_number};

impl Shell {
    /// A line of `jobs`.
    pub(crate) fn job_line(&self, job: &Job, long: bool) -> String {
        let mark = match job.number {
            number if Some(number) == self.jobs.current(0) => '+',
            number if Some(number) == self.jobs.current(1) => '-',
            _ => ' ',
        };
        let state = match job.state() {
            JobState::Running => "Running".to_owned(),
            JobState::Stopped(signal) if self.posix() => format!("Stopped (SIG{signal})"),
            JobState::Stopped(_) => "Stopped".to_owned(),
            JobState::Done(0) => "Done".to_owned(),
            JobState::Done(status) if self.posix() => format!("Done({status})"),
            JobState::Done(status) => format!("Exit {status}"),
            JobState::Killed(signal) => signal_text(&signal).to_owned(),
        };
        let process = if long { format!("{} ", job.last_process()) } else { String::new() };
        let ampersand = if job.state() == JobState::Running { " &" } else { "" };
        format!("[{}]{mark}  {process}{state:<24}{}{ampersand}", job.number, job.text)
    }

    /// The job that `%..` means, or the message why there is none.
    fn job_of(&mut self, text: &str) -> Result<u32, String> {
        let rest = text.strip_prefix('%').unwrap_or(text);
        let none = || format!("{text}: no such job");
        let found = match rest {
            "" | "%" | "+" => self.jobs.current(0),
            "-" => self.jobs.current(1),
            _ if rest.bytes().all(|byte| byte.is_ascii_digit()) => {
                rest.parse().ok().filter(|number| self.jobs.get(*number).is_some())
            }
            _ => {
                let fits = |job: &&Job| match rest.strip_prefix('?') {
                    Some(part) => job.text.contains(part),
                    None => job.text.starts_with(rest),
                };
                let mut found = self.jobs.list.iter().filter(fits);
                let first = found.next().map(|job| job.number);
                if found.next().is_some() {
                    return Err(format!("{text}: ambiguous job spec"));
                }
                first
            }
        };
        found.ok_or_else(none)
    }
}

fn signal_text(signal: &str) -> &str {
    match signal {
        "HUP" => "Hangup",
        "INT" => "Interrupt",
        "QUIT" => "Quit",
        "ILL" => "Illegal instruction",
        "ABRT" => "Aborted",
        "FPE" => "Floating point exception",
        "KILL" => "Killed",
        "SEGV" => "Segmentation fault",
        "PIPE" => "Broken pipe",
        "ALRM" => "Alarm clock",
        "TERM" => "Terminated",
        other => other,
    }
}

pub(super) fn jobs(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "lprsn", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    shell.update_jobs();
    if let Some(with_user) = &shell.with_user {
        // Whoever has seen the list needs no warning.
        with_user.warned_by_line.set(true);
    }
    let mut status = 0;
    let mut chosen = Vec::new();
    for field in &fields[at..] {
        match shell.job_of(field) {
            Ok(number) => chosen.push(number),
            Err(message) => {
                shell.builtin_error(&message);
                status = 1;
            }
        }
    }
    if fields.len() == at {
        chosen = shell.jobs.list.iter().filter(|job| !job.disowned).map(|job| job.number).collect();
    }
    let mut text = String::new();
    for number in chosen {
        let Some(job) = shell.jobs.get(number).cloned() else { continue };
        let state = job.state();
        if has('r') && state != JobState::Running || has('s') && !matches!(state, JobState::Stopped(_)) {
            continue;
        }
        if has('p') {
            text.push_str(&format!("{}\n", job.group.unwrap_or(job.processes[0].0)));
        } else {
            text.push_str(&shell.job_line(&job, has('l')));
            text.push('\n');
        }
        if matches!(state, JobState::Done(_) | JobState::Killed(_)) {
            shell.jobs.remove(number);
        }
    }
    Ok(write(shell, &text).max(status))
}

pub(super) fn wait(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "nf", "p") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let any = found.iter().any(|(letter, _)| *letter == 'n');
    let variable = found.into_iter().find(|(letter, _)| *letter == 'p').map(|(_, name)| name);
    let targets = &fields[at..];
    if any {
        return wait_any(shell, targets, variable.as_deref());
    }
    if targets.is_empty() {
        let live = shell.jobs.live();
        if let Some(status) = wait_all(shell, live)? {
            return Ok(status);
        }
        tell_user(shell);
        let done: Vec<u32> = shell.jobs.list.iter().map(|job| job.number).collect();
        done.into_iter().for_each(|number| shell.jobs.remove(number));
        shell.jobs.ended.clear();
        return Ok(0);
    }
    let mut status = 0;
    for target in targets {
        status = wait_one(shell, target, variable.as_deref())?;
    }
    Ok(status)
}

/// Tells a user at a terminal of the jobs that have ended, since those that were waited for are forgotten.
fn tell_user(shell: &mut Shell) {
    if shell.with_user.is_some() && shell.subshell == 0 {
        shell.tell_jobs();
    }
}

/// Waits until none of these processes runs any more. A status, if a trap was executed instead.
fn wait_all(shell: &mut Shell, processes: Vec<u32>) -> Run<Option<i32>> {
    let mut waiting = processes;
    while !waiting.is_empty() {
        match shell.system.wait(&waiting, true, true) {
            Ok(Some((process, change))) => {
                shell.jobs.note(process, &change);
                let stopped = matches!(change, Change::Stopped(_)) && shell.is_on("monitor");
                if matches!(change, Change::Exited(_) | Change::Killed(_)) || stopped {
                    waiting.retain(|other| *other != process);
                }
            }
            Ok(None) => {}
            Err(Errno::EINTR) => {
                if let Some(status) = interrupted(shell)? {
                    return Ok(Some(status));
                }
            }
            Err(_) => break,
        }
    }
    Ok(None)
}

/// Executes the traps of the signals that ended a wait: 128 and the number of the first.
fn interrupted(shell: &mut Shell) -> Run<Option<i32>> {
    let Some(signal) = shell.system.next_signal() else { return Ok(None) };
    let Some(crate::state::TrapAction::Run(text)) = shell.traps.get(signal).cloned() else { return Ok(None) };
    let status = 128 + signal_number(signal).unwrap_or(0);
    shell.run_trap(&text)?;
    shell.run_pending_traps()?;
    Ok(Some(status))
}

fn wait_one(shell: &mut Shell, target: &str, variable: Option<&str>) -> Run<i32> {
    let process = if target.starts_with('%') {
        match shell.job_of(target) {
            Ok(number) => shell.jobs.get(number).map_or(0, Job::last_process),
            Err(message) => {
                shell.builtin_error(&message);
                return Ok(127);
            }
        }
    } else {
        match target.parse::<u32>() {
            Ok(process) => process,
            Err(_) => {
                shell.builtin_error(&format!("`{target}': not a pid or valid job spec"));
                return Ok(if shell.posix() { 2 } else { 1 });
            }
        }
    };
    if let Some(variable) = variable {
        shell.set_text(variable, process.to_string());
    }
    if let Some(job) = shell.jobs.by_process(process) {
        let number = job.number;
        let whole = job.last_process() == process;
        let live: Vec<u32> =
            job.processes.iter().filter(|(_, change)| change.is_none()).map(|(process, _)| *process).collect();
        if let Some(status) = wait_all(shell, live)? {
            return Ok(status);
        }
        let Some(job) = shell.jobs.get(number) else { return Ok(127) };
        let own = job.processes.iter().find(|(other, _)| *other == process).and_then(|(_, change)| change.as_ref());
        let status = own.map_or(job.status(), status_of);
        let over = whole && !matches!(job.state(), JobState::Stopped(_));
        tell_user(shell);
        if over {
            shell.jobs.remove(number);
        }
        return Ok(status);
    }
    if let Some(at) = shell.jobs.ended.iter().position(|(ended, _)| *ended == process) {
        return Ok(shell.jobs.ended.remove(at).1);
    }
    if !shell.posix() {
        shell.builtin_error(&format!("pid {process} is not a child of this shell"));
    }
    Ok(127)
}

/// `wait -n`: the first that ends.
fn wait_any(shell: &mut Shell, targets: &[String], variable: Option<&str>) -> Run<i32> {
    let mut wanted = Vec::new();
    for target in targets {
        let process = if target.starts_with('%') {
            shell.job_of(target).ok().and_then(|number| shell.jobs.get(number)).map(Job::last_process)
        } else {
            target.parse().ok()
        };
        wanted.extend(process);
    }
    let counts = |process: u32| targets.is_empty() || wanted.contains(&process);
    if let Some(at) = shell.jobs.ended.iter().position(|(process, _)| counts(*process)) {
        let (process, status) = shell.jobs.ended.remove(at);
        if let Some(variable) = variable {
            shell.set_text(variable, process.to_string());
        }
        return Ok(status);
    }
    loop {
        let done =
            shell.jobs.list.iter().find(|job| {
                counts(job.last_process()) && matches!(job.state(), JobState::Done(_) | JobState::Killed(_))
            });
        if let Some(job) = done {
            let (number, process, status) = (job.number, job.last_process(), job.status());
            shell.jobs.remove(number);
            shell.jobs.ended.retain(|(ended, _)| *ended != process);
            if let Some(variable) = variable {
                shell.set_text(variable, process.to_string());
            }
            return Ok(status);
        }
        let live: Vec<u32> = shell.jobs.live();
        match shell.system.wait(&live, true, true) {
            Ok(Some((process, change))) => shell.jobs.note(process, &change),
            Ok(None) => {}
            Err(Errno::EINTR) => {
                if let Some(status) = interrupted(shell)? {
                    return Ok(status);
                }
            }
            Err(_) => return Ok(127),
        }
    }
}

fn no_job_control(shell: &mut Shell) -> bool {
    if shell.is_on("monitor") {
        return false;
    }
    shell.builtin_error("no job control");
    true
}

pub(super) fn fg(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if no_job_control(shell) {
        return Ok(1);
    }
    let target = fields.get(1).map_or("%+", String::as_str);
    let number = match shell.job_of(target) {
        Ok(number) => number,
        Err(message) => {
            shell.builtin_error(&message.replace("%+", "current"));
            return Ok(1);
        }
    };
    let Some(job) = shell.jobs.get(number).cloned() else { return Ok(1) };
    write(shell, &format!("{}\n", job.text));
    let group = job.group.unwrap_or(job.last_process());
    // Without a terminal there is no foreground.
    let _ = shell.system.set_foreground(group);
    if let Some(job) = shell.jobs.get_mut(number) {
        for (_, change) in &mut job.processes {
            if matches!(change, Some(Change::Stopped(_))) {
                *change = None;
            }
        }
    }
    // A process that has ended needs nothing.
    let _ = shell.system.kill(-i64::from(group), Some("CONT"));
    let live: Vec<u32> = job.processes.iter().map(|(process, _)| *process).collect();
    wait_all(shell, live)?;
    let _ = shell.system.set_foreground(shell.system.identity().group);
    let Some(job) = shell.jobs.get(number) else { return Ok(0) };
    let status = job.status();
    shell.after_foreground(&[status]);
    if matches!(job.state(), JobState::Stopped(_)) {
        shell.jobs.make_current(number);
    } else {
        shell.jobs.remove(number);
    }
    Ok(status)
}

pub(super) fn bg(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if no_job_control(shell) {
        return Ok(1);
    }
    let targets = if fields.len() > 1 { fields[1..].to_vec() } else { vec!["%+".to_owned()] };
    let mut status = 0;
    for target in targets {
        let number = match shell.job_of(&target) {
            Ok(number) => number,
            Err(message) => {
                shell.builtin_error(&message.replace("%+", "current"));
                status = 1;
                continue;
            }
        };
        let Some(job) = shell.jobs.get_mut(number) else { continue };
        for (_, change) in &mut job.processes {
            if matches!(change, Some(Change::Stopped(_))) {
                *change = None;
            }
        }
        let (group, text, last) = (job.group.unwrap_or(job.last_process()), job.text.clone(), job.last_process());
        shell.last_background = Some(last);
        shell.jobs.make_current(number);
        let _ = shell.system.kill(-i64::from(group), Some("CONT"));
        write(shell, &format!("[{number}]+ {text} &\n"));
    }
    Ok(status)
}

pub(super) fn disown(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "ahr", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let mut targets = fields[at..].to_vec();
    if has('a') || has('r') {
        let all = shell.jobs.list.iter().filter(|job| !has('r') || job.state() == JobState::Running);
        targets = all.map(|job| format!("%{}", job.number)).collect();
    } else if targets.is_empty() {
        targets.push("%+".to_owned());
    }
    let mut status = 0;
    for target in targets {
        let by_process = target.parse().ok().and_then(|process| shell.jobs.by_process(process)).map(|job| job.number);
        match by_process.map_or_else(|| shell.job_of(&target), Ok) {
            Ok(_) if has('h') => {}
            Ok(number) => {
                shell.jobs.list.retain(|job| job.number != number);
                shell.jobs.current.retain(|other| *other != number);
            }
            Err(message) => {
                shell.builtin_error(&message.replace("%+", "current"));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// The signal that a text names: a number, a name, with SIG or without. `"0"` is no signal.
pub(super) fn signal_of(text: &str) -> Option<&'static str> {
    if let Ok(number) = text.parse::<i32>() {
        return signal_name(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    signal_number(name).and_then(signal_name)
}

pub(super) fn kill(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let mut signal = Some("TERM");
    let mut at = 1;
    if let Some(option) =
        fields.get(1).and_then(|field| field.strip_prefix('-')).filter(|option| !option.is_empty() && *option != "-")
    {
        at = 2;
        if option == "l" || option == "L" {
            return Ok(list_signals(shell, &fields[2..]));
        }
        let name = if option == "s" || option == "n" {
            at = 3;
            fields.get(2).map_or("", String::as_str)
        } else {
            option.strip_prefix('s').filter(|name| name.len() > 2 && signal_of(option).is_none()).unwrap_or(option)
        };
        signal = signal_of(name);
        if signal.is_none() && !["0", "EXIT", "exit"].contains(&name) {
            shell.builtin_error(&format!("{name}: invalid signal specification"));
            return Ok(if shell.posix() { 2 } else { 1 });
        }
    }
    if fields.get(at).is_some_and(|field| field == "--") {
        at += 1;
    }
    if at >= fields.len() {
        shell.builtin_error("usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]");
        return Ok(2);
    }
    let mut status = 0;
    for target in &fields[at..] {
        let sent = if target.starts_with('%') {
            shell.job_of(target).map(|number| match shell.jobs.get(number) {
                Some(job) => job.group.map_or(i64::from(job.last_process()), |group| -i64::from(group)),
                None => 0,
            })
        } else {
            target.parse::<i64>().map_err(|_| format!("{target}: arguments must be process or job IDs"))
        };
        let result = sent.and_then(|number| {
            shell.system.kill(number, signal).map_err(|error| format!("({target}) - {}", error.text))
        });
        if let Err(message) = result {
            shell.builtin_error(&message);
            status = 1;
        }
    }
    Ok(status)
}

fn list_signals(shell: &mut Shell, names: &[String]) -> i32 {
    if names.is_empty() {
        let text = if shell.posix() {
            SIGNALS.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ") + "\n"
        } else {
            let line = |chunk: &[(i32, &str)]| {
                chunk
                    .iter()
                    .map(|(number, name)| format!("{number:2}) SIG{name}\t"))
                    .collect::<String>()
                    .trim_end()
                    .to_owned()
                    + "\n"
            };
            SIGNALS.chunks(5).map(line).collect()
        };
        return write(shell, &text);
    }
    let mut status = 0;
    let mut text = String::new();
    for name in names {
        let found = match name.parse::<i32>() {
            Ok(0) => Some("EXIT".to_owned()),
            Ok(number) => signal_name(if number > 128 { number - 128 } else { number }).map(str::to_owned),
            Err(_) if name.eq_ignore_ascii_case("EXIT") => Some("0".to_owned()),
            Err(_) => signal_of(name).and_then(signal_number).map(|number| number.to_string()),
        };
        match found {
            Some(found) => text.push_str(&(found + "\n")),
            None => {
                shell.builtin_error(&format!("{name}: invalid signal specification"));
                status = 1;
            }
        }
    }
    write(shell, &text).max(status)
}
