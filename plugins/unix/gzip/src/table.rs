//! The table of `-l`.

/// Prints the sizes of compressed files.
#[derive(Debug, Default)]
pub(crate) struct Table {
    files: u64,
    compressed: u64,
    restored: u64,
}

impl Table {
    /// Prints a line, before the first one the heads of the columns.
    pub(crate) fn add(&mut self, name: &str, compressed: u64, restored: u64, quiet: bool) {
        if self.files == 0 && !quiet {
            println!("         compressed        uncompressed  ratio uncompressed_name");
        }
        self.files += 1;
        self.compressed += compressed;
        self.restored += restored;
        line(name, compressed, restored);
    }

    /// Prints the sums of several files.
    pub(crate) fn finish(&self, quiet: bool) {
        if self.files > 1 && !quiet {
            line("(totals)", self.compressed, self.restored);
        }
    }
}

fn line(name: &str, compressed: u64, restored: u64) {
    println!("{compressed:>19} {restored:>19} {:>6} {name}", ratio(compressed, restored));
}

/// How much smaller the compressed file is, without its head and its checksum.
pub(crate) fn ratio(compressed: u64, restored: u64) -> String {
    /// The bytes of the least head and of the checksum.
    const FRAME: u64 = 18;
    if restored == 0 {
        return "0.0%".to_owned();
    }
    let data = compressed.saturating_sub(FRAME);
    let saved = 1.0 - data as f64 / restored as f64;
    format!("{:.1}%", saved * 100.0)
}
