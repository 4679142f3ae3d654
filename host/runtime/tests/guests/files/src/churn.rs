//! Random operations on a few names, so that sessions conflict. Failures are ignored.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use crate::root;

/// xorshift: the same seed, the same work.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn name(&mut self) -> String {
        match self.below(3) {
            0 => format!("d{}", self.below(3)),
            1 => format!("d{}/f{}", self.below(3), self.below(4)),
            _ => format!("f{}", self.below(4)),
        }
    }
}

/// Runs this many random operations and returns how many were done.
pub(crate) fn churn(seed: u64, times: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut held: Vec<File> = Vec::new();
    let mut done = 0_u64;
    for _ in 0..times {
        let (name, size) = (dice.name(), dice.below(20_000));
        let succeeded = match dice.below(15) {
            0 | 1 => fs::write(&name, vec![1; size as usize]).is_ok(),
            2 => OpenOptions::new()
                .append(true)
                .open(&name)
                .and_then(|mut file| file.write_all(&vec![2; size as usize]))
                .is_ok(),
            3 => OpenOptions::new().write(true).open(&name).and_then(|file| file.set_len(size)).is_ok(),
            4 => OpenOptions::new()
                .write(true)
                .open(&name)
                .and_then(|mut file| {
                    file.seek(SeekFrom::Start(size))?;
                    file.write_all(b"sparse")
                })
                .is_ok(),
            5 => fs::create_dir(&name).is_ok(),
            6 => fs::remove_dir(&name).is_ok(),
            7 => fs::remove_file(&name).is_ok(),
            8 | 9 => fs::rename(&name, dice.name()).is_ok(),
            10 => root().symlink_at(&dice.name(), &name).is_ok(),
            14 => fs::hard_link(&name, dice.name()).is_ok(),
            11 => File::options().read(true).append(true).create(true).open(&name).map(|file| held.push(file)).is_ok(),
            12 => held.last_mut().is_some_and(|file| file.write_all(&vec![3; size as usize]).is_ok()),
            _ => {
                if held.len() > 5 || dice.below(3) == 0 {
                    held.clear();
                }
                true
            }
        };
        done += u64::from(succeeded);
    }
    done.to_string()
}
