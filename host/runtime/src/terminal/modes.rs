//! The modes of a terminal, by their opcodes of RFC 4254 §8 and RFC 8160.

/// A mode that is on or off, with its opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Flag {
    /// Ignore parity errors. No effect: a channel has none.
    Ignpar = 30,
    /// The byte 255 is read twice.
    Parmrk = 31,
    /// Check parity. No effect.
    Inpck = 32,
    /// Cut input to seven bits.
    Istrip = 33,
    /// Newline is read as carriage return.
    Inlcr = 34,
    /// Carriage return is dropped.
    Igncr = 35,
    /// Carriage return is read as newline.
    Icrnl = 36,
    /// Upper case is read as lower case, with `Iexten`.
    Iuclc = 37,
    /// The stop character holds output, the start character lets it go on.
    Ixon = 38,
    /// Any character lets output go on.
    Ixany = 39,
    /// Tell the client to stop. No effect: the channel's window does that.
    Ixoff = 40,
    /// Ring the bell when the input buffer is full. No effect, as under Linux.
    Imaxbel = 41,
    /// Input is UTF-8: erase whole characters.
    Iutf8 = 42,
    /// ControlKey characters make signals.
    Isig = 50,
    /// Input comes by lines, which can be edited.
    Icanon = 51,
    /// Case is shown by backslashes. No effect, as under Linux.
    Xcase = 52,
    /// Show what is typed.
    Echo = 53,
    /// Erasing removes characters from the screen.
    Echoe = 54,
    /// Killing a line shows a newline.
    Echok = 55,
    /// Show a newline even without `Echo`.
    Echonl = 56,
    /// Signals keep what was typed and what was not shown yet.
    Noflsh = 57,
    /// A background process that writes is stopped.
    Tostop = 58,
    /// The further control characters: word erase, literal next, reprint, second end of line.
    Iexten = 59,
    /// Show control characters as `^X`.
    Echoctl = 60,
    /// Killing a line removes it from the screen.
    Echoke = 61,
    /// Input that is pending is shown again. No effect, as under Linux.
    Pendin = 62,
    /// Process output.
    Opost = 70,
    /// Lower case is shown as upper case.
    Olcuc = 71,
    /// Newline is shown as carriage return and newline.
    Onlcr = 72,
    /// Carriage return is shown as newline.
    Ocrnl = 73,
    /// No carriage return is shown in column 0.
    Onocr = 74,
    /// Newline does what carriage return does.
    Onlret = 75,
    /// Seven bits. No effect.
    Cs7 = 90,
    /// Eight bits. No effect.
    Cs8 = 91,
    /// Parity. No effect.
    Parenb = 92,
    /// Odd parity. No effect.
    Parodd = 93,
}

/// A control character, with its opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ControlKey {
    /// Interrupts, `^C`.
    Intr = 1,
    /// Quits, `^\`.
    Quit = 2,
    /// Erases a character, DEL.
    Erase = 3,
    /// Erases the line, `^U`.
    Kill = 4,
    /// Ends the input, `^D`.
    Eof = 5,
    /// Ends a line besides newline.
    Eol = 6,
    /// Another that ends a line.
    Eol2 = 7,
    /// Lets output go on, `^Q`.
    Start = 8,
    /// Holds output, `^S`.
    Stop = 9,
    /// Suspends, `^Z`.
    Susp = 10,
    /// Suspends when it is read. No effect, as under Linux.
    Dsusp = 11,
    /// Shows the line again, `^R`.
    Reprint = 12,
    /// Erases a word, `^W`.
    Werase = 13,
    /// The next character is no control character, `^V`.
    Lnext = 14,
    /// Flushes output. No effect, as under Linux.
    Flush = 15,
    /// Switches shells. No effect, as under Linux.
    Swtch = 16,
    /// Shows the status of the system. No effect, as under Linux.
    Status = 17,
    /// Discards output. No effect, as under Linux.
    Discard = 18,
}

/// The number of control characters and one.
const CONTROLS: usize = 19;
/// How a client says that there is no such control character. RFC 4254 §8.
const DISABLED: u32 = 255;
/// The opcodes of the speeds, bits per second.
const SPEEDS: [u8; 2] = [128, 129];

/// All modes of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// A bit for each flag, from opcode 30 on.
    flags: u64,
    /// By opcode; 0 is none.
    controls: [u8; CONTROLS],
    /// Input and output, bits per second.
    speeds: [u32; 2],
}

impl Default for Modes {
    /// A new terminal's under Linux.
    fn default() -> Modes {
        let mut modes = Modes { flags: 0, controls: [0; CONTROLS], speeds: [38_400; 2] };
        let input = [Flag::Icrnl, Flag::Ixon];
        let local = [Flag::Isig, Flag::Icanon, Flag::Echo, Flag::Echoe, Flag::Echok, Flag::Echoctl, Flag::Echoke];
        let others = [Flag::Iexten, Flag::Opost, Flag::Onlcr, Flag::Cs8];
        input.into_iter().chain(local).chain(others).for_each(|flag| modes.set(flag, true));
        let controls = [
            (ControlKey::Intr, 3),
            (ControlKey::Quit, 28),
            (ControlKey::Erase, 127),
            (ControlKey::Kill, 21),
            (ControlKey::Eof, 4),
            (ControlKey::Start, 17),
            (ControlKey::Stop, 19),
            (ControlKey::Susp, 26),
            (ControlKey::Reprint, 18),
            (ControlKey::Werase, 23),
            (ControlKey::Lnext, 22),
            (ControlKey::Discard, 15),
        ];
        controls.into_iter().for_each(|(control, byte)| modes.set_control(control, byte));
        modes
    }
}

impl Modes {
    /// A new terminal's, changed as a client asks: opcode and argument. RFC 4254 §8 lets a server ignore what it does
    /// not know.
    #[must_use]
    pub fn of_client(modes: &[(u8, u32)]) -> Modes {
        let mut all = Modes::default();
        for (opcode, argument) in modes {
            all.apply(*opcode, *argument);
        }
        all
    }

    /// Whether a mode is on.
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & bit(flag as u8) != 0
    }

    /// Turns a mode on or off.
    pub fn set(&mut self, flag: Flag, on: bool) {
        if on {
            self.flags |= bit(flag as u8);
        } else {
            self.flags &= !bit(flag as u8);
        }
    }

    /// A control character; 0 is none.
    #[must_use]
    pub fn control(&self, control: ControlKey) -> u8 {
        self.controls[control as usize]
    }

    /// Sets a control character; 0 is none.
    pub fn set_control(&mut self, control: ControlKey, byte: u8) {
        self.controls[control as usize] = byte;
    }

    /// Whether `byte` is this control character.
    pub(super) fn is(&self, control: ControlKey, byte: u8) -> bool {
        byte != 0 && self.control(control) == byte
    }

    /// Whether bytes that are typed reach the program as they are, without echo or signals.
    #[must_use]
    pub fn pass_input(&self) -> bool {
        const CHANGES: [Flag; 10] = [
            Flag::Parmrk,
            Flag::Istrip,
            Flag::Inlcr,
            Flag::Igncr,
            Flag::Icrnl,
            Flag::Iuclc,
            Flag::Ixon,
            Flag::Isig,
            Flag::Icanon,
            Flag::Echo,
        ];
        !CHANGES.into_iter().any(|flag| self.has(flag))
    }

    /// Whether bytes that a program writes are shown as they are.
    #[must_use]
    pub fn pass_output(&self) -> bool {
        !self.has(Flag::Opost)
    }

    /// Turns off what changes bytes, makes signals or echoes, as cfmakeraw(3) does.
    pub fn make_raw(&mut self) {
        let input = [Flag::Parmrk, Flag::Istrip, Flag::Inlcr, Flag::Igncr, Flag::Icrnl, Flag::Ixon];
        let local = [Flag::Echo, Flag::Echonl, Flag::Icanon, Flag::Isig, Flag::Iexten];
        let others = [Flag::Opost, Flag::Cs7, Flag::Parenb];
        input.into_iter().chain(local).chain(others).for_each(|flag| self.set(flag, false));
        self.set(Flag::Cs8, true);
    }

    /// Sets the mode of this opcode. A flag is on unless the argument is 0; a control character is the low eight bits,
    /// and 255 is none. False, without an effect, if there is no such mode.
    pub fn apply(&mut self, opcode: u8, argument: u32) -> bool {
        if !is_known(opcode) {
            return false;
        }
        if let Some(speed) = SPEEDS.iter().position(|speed| *speed == opcode) {
            self.speeds[speed] = argument;
        } else if usize::from(opcode) < CONTROLS {
            let byte = u8::try_from(argument & 0xff).unwrap_or_default();
            self.controls[usize::from(opcode)] = if argument & 0xff == DISABLED { 0 } else { byte };
        } else if argument != 0 {
            self.flags |= bit(opcode);
        } else {
            self.flags &= !bit(opcode);
        }
        true
    }

    /// Every mode: opcode and argument, as [`apply`](Self::apply) takes them, by ascending opcodes.
    pub fn all(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        let argument = |opcode: u8| match SPEEDS.iter().position(|speed| *speed == opcode) {
            Some(speed) => self.speeds[speed],
            None if usize::from(opcode) < CONTROLS => match self.controls[usize::from(opcode)] {
                0 => DISABLED,
                byte => u32::from(byte),
            },
            None => u32::from(self.flags & bit(opcode) != 0),
        };
        (0..=u8::MAX).filter(|opcode| is_known(*opcode)).map(move |opcode| (opcode, argument(opcode)))
    }
}

/// Whether RFC 4254 §8, with IUTF8 of RFC 8160, defines a mode of this opcode.
#[must_use]
pub fn is_known(opcode: u8) -> bool {
    matches!(opcode, 1..=18 | 30..=42 | 50..=62 | 70..=75 | 90..=93 | 128 | 129)
}

/// The bit of a flag. Flags have opcodes 30 to 93.
fn bit(opcode: u8) -> u64 {
    1 << (opcode - 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_that_is_defined_is_kept_and_no_other() {
        let mut modes = Modes::default();
        for opcode in 0..=u8::MAX {
            for argument in [0, 1] {
                let known = modes.apply(opcode, argument);
                assert_eq!(known, is_known(opcode), "{opcode}");
                let kept = modes.all().find(|(one, _)| *one == opcode).map(|(_, argument)| argument);
                let shown = if (1..=18).contains(&opcode) && argument == 0 { DISABLED } else { argument };
                assert_eq!(kept, known.then_some(shown), "{opcode}");
            }
        }
        assert_eq!(modes.all().count(), 18 + 13 + 13 + 6 + 4 + 2);
    }

    #[test]
    fn what_all_modes_say_makes_the_same_modes() {
        let modes = Modes::default();
        let mut copy = Modes { flags: u64::MAX, controls: [9; CONTROLS], speeds: [1, 2] };
        for (opcode, argument) in modes.all() {
            assert!(copy.apply(opcode, argument));
        }
        assert_eq!(copy.all().collect::<Vec<_>>(), modes.all().collect::<Vec<_>>());
        assert!(modes.has(Flag::Icanon) && !modes.has(Flag::Iutf8));
        assert_eq!((modes.control(ControlKey::Intr), modes.control(ControlKey::Eol)), (3, 0));
    }

    #[test]
    fn the_argument_255_removes_a_control_character() {
        let mut modes = Modes::default();
        assert!(modes.apply(ControlKey::Intr as u8, 255));
        assert!(!modes.is(ControlKey::Intr, 3) && !modes.is(ControlKey::Intr, 0) && !modes.is(ControlKey::Intr, 255));
    }
}
