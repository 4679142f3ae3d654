//! The kernel's line discipline: a pseudo-terminal of which both ends are ours.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr, tcsetattr,
};
use whelk_runtime::terminal::{ControlKey, Flag, Modes};

/// The control characters that Linux knows.
pub(crate) const CONTROLS: [(ControlKey, SpecialCodeIndex); 14] = [
    (ControlKey::Intr, SpecialCodeIndex::VINTR),
    (ControlKey::Quit, SpecialCodeIndex::VQUIT),
    (ControlKey::Erase, SpecialCodeIndex::VERASE),
    (ControlKey::Kill, SpecialCodeIndex::VKILL),
    (ControlKey::Eof, SpecialCodeIndex::VEOF),
    (ControlKey::Eol, SpecialCodeIndex::VEOL),
    (ControlKey::Eol2, SpecialCodeIndex::VEOL2),
    (ControlKey::Start, SpecialCodeIndex::VSTART),
    (ControlKey::Stop, SpecialCodeIndex::VSTOP),
    (ControlKey::Susp, SpecialCodeIndex::VSUSP),
    (ControlKey::Reprint, SpecialCodeIndex::VREPRINT),
    (ControlKey::Werase, SpecialCodeIndex::VWERASE),
    (ControlKey::Lnext, SpecialCodeIndex::VLNEXT),
    (ControlKey::Discard, SpecialCodeIndex::VDISCARD),
];

const INPUT: [(Flag, InputModes); 13] = [
    (Flag::Ignpar, InputModes::IGNPAR),
    (Flag::Parmrk, InputModes::PARMRK),
    (Flag::Inpck, InputModes::INPCK),
    (Flag::Istrip, InputModes::ISTRIP),
    (Flag::Inlcr, InputModes::INLCR),
    (Flag::Igncr, InputModes::IGNCR),
    (Flag::Icrnl, InputModes::ICRNL),
    (Flag::Iuclc, InputModes::IUCLC),
    (Flag::Ixon, InputModes::IXON),
    (Flag::Ixany, InputModes::IXANY),
    (Flag::Ixoff, InputModes::IXOFF),
    (Flag::Imaxbel, InputModes::IMAXBEL),
    (Flag::Iutf8, InputModes::IUTF8),
];

const LOCAL: [(Flag, LocalModes); 13] = [
    (Flag::Isig, LocalModes::ISIG),
    (Flag::Icanon, LocalModes::ICANON),
    (Flag::Xcase, LocalModes::XCASE),
    (Flag::Echo, LocalModes::ECHO),
    (Flag::Echoe, LocalModes::ECHOE),
    (Flag::Echok, LocalModes::ECHOK),
    (Flag::Echonl, LocalModes::ECHONL),
    (Flag::Noflsh, LocalModes::NOFLSH),
    (Flag::Tostop, LocalModes::TOSTOP),
    (Flag::Iexten, LocalModes::IEXTEN),
    (Flag::Echoctl, LocalModes::ECHOCTL),
    (Flag::Echoke, LocalModes::ECHOKE),
    (Flag::Pendin, LocalModes::PENDIN),
];

const OUTPUT: [(Flag, OutputModes); 6] = [
    (Flag::Opost, OutputModes::OPOST),
    (Flag::Olcuc, OutputModes::OLCUC),
    (Flag::Onlcr, OutputModes::ONLCR),
    (Flag::Ocrnl, OutputModes::OCRNL),
    (Flag::Onocr, OutputModes::ONOCR),
    (Flag::Onlret, OutputModes::ONLRET),
];

/// The flags that Linux knows.
pub(crate) fn flags() -> impl Iterator<Item = Flag> {
    let (input, local, output) =
        (INPUT.map(|(flag, _)| flag), LOCAL.map(|(flag, _)| flag), OUTPUT.map(|(flag, _)| flag));
    input.into_iter().chain(local).chain(output)
}

/// A pseudo-terminal: the program reads and writes the slave, the client the master.
pub(crate) struct Kernel {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Kernel {
    pub(crate) fn new() -> Kernel {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        Kernel { master, slave }
    }

    pub(crate) fn set(&self, modes: &Modes) {
        let mut termios = tcgetattr(&self.slave).unwrap();
        termios.input_modes = InputModes::empty();
        termios.local_modes = LocalModes::empty();
        termios.output_modes = OutputModes::empty();
        INPUT.into_iter().for_each(|(flag, bit)| termios.input_modes.set(bit, modes.has(flag)));
        LOCAL.into_iter().for_each(|(flag, bit)| termios.local_modes.set(bit, modes.has(flag)));
        OUTPUT.into_iter().for_each(|(flag, bit)| termios.output_modes.set(bit, modes.has(flag)));
        termios.control_modes = ControlModes::CS8 | ControlModes::CREAD;
        for (control, index) in CONTROLS {
            termios.special_codes[index] = modes.control(control);
        }
        termios.special_codes[SpecialCodeIndex::VMIN] = 1;
        termios.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&self.slave, OptionalActions::Now, &termios).unwrap();
    }

    pub(crate) fn types(&self, keys: &[u8]) {
        assert_eq!(write(&self.master, keys), Ok(keys.len()));
    }

    /// The program writes. Output that is held is not taken.
    pub(crate) fn writes(&self, bytes: &[u8]) {
        match write(&self.slave, bytes) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What the program reads, one entry a read. Returns when all input was processed: a read of nothing flushes the
    /// work of the terminal's port.
    pub(crate) fn reads(&self, size: usize) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; size];
        let mut all = Vec::new();
        while let Some(count) = read_some(&self.slave, &mut buffer) {
            all.push(buffer[..count].to_vec());
        }
        all
    }

    pub(crate) fn shown(&self) -> Vec<u8> {
        let mut buffer = [0; 65536];
        let mut all = Vec::new();
        while let Some(count) = read_some(&self.master, &mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }
}

fn read_some(from: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    match read(from, buffer) {
        Ok(count) => Some(count),
        Err(Errno::AGAIN) => None,
        Err(error) => panic!("{error}"),
    }
}
