//! "Did you mean ...?"

/// The name that was probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The name that differs only in capitals, dashes and underscores.
pub(crate) fn alike<'n>(name: &str, mut known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = plain(name);
    known.find(|candidate| plain(candidate) == name)
}

/// A name in lower case, without dashes and underscores.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|character| !"-_".contains(*character)).flat_map(char::to_lowercase).collect()
}
