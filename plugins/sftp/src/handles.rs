//! What a session has open, and the handles that its client uses for it.

use crate::status::Failure;

/// The most files and directories that a session has open. The host's limit `open_files` may be reached before.
pub const MAX_HANDLES: usize = 100;

/// Something open.
pub(crate) enum Open<File, Listing> {
    File(OpenFile<File>),
    Directory(OpenDirectory<Listing>),
}

/// An open file.
pub(crate) struct OpenFile<File> {
    pub(crate) file: File,
    /// Writes go to the end.
    pub(crate) append: bool,
    /// Where it was opened.
    pub(crate) path: Box<str>,
}

/// An open directory.
pub(crate) struct OpenDirectory<Listing> {
    /// Once all names were read, or one could not be: what every further READDIR is answered.
    pub(crate) listing: Result<Listing, Failure>,
}

struct Slot<File, Listing> {
    open: Option<Open<File, Listing>>,
    /// Incremented at each close, so that a closed handle never becomes valid again.
    generation: u32,
}

/// The open files and directories of a session.
pub(crate) struct Handles<File, Listing> {
    slots: Vec<Slot<File, Listing>>,
}

/// A handle on the wire: the slot and its generation, 4 bytes each. It is valid in its session only.
pub(crate) type HandleName = [u8; 8];

impl<File, Listing> Handles<File, Listing> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Fails if `MAX_HANDLES` files and directories are open.
    pub(crate) fn check_room(&self) -> Result<(), Failure> {
        let open = self.slots.iter().filter(|slot| slot.open.is_some()).count();
        if open < MAX_HANDLES { Ok(()) } else { Err(Failure::TOO_MANY_HANDLES) }
    }

    /// Inserts an open file or directory and returns its handle. Call [`check_room`](Self::check_room) before opening.
    pub(crate) fn insert(&mut self, open: Open<File, Listing>) -> HandleName {
        let free = self.slots.iter().position(|slot| slot.open.is_none());
        let at = free.unwrap_or_else(|| {
            self.slots.push(Slot { open: None, generation: 0 });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        slot.open = Some(open);
        name(at, slot.generation)
    }

    fn slot(&mut self, handle: &[u8]) -> Result<&mut Slot<File, Listing>, Failure> {
        let handle: HandleName = handle.try_into().map_err(|_| Failure::BAD_HANDLE)?;
        let at = u32::from_be_bytes([handle[0], handle[1], handle[2], handle[3]]);
        let at = usize::try_from(at).map_err(|_| Failure::BAD_HANDLE)?;
        let slot = self.slots.get_mut(at).filter(|slot| slot.open.is_some() && name(at, slot.generation) == handle);
        slot.ok_or(Failure::BAD_HANDLE)
    }

    /// What a handle names.
    pub(crate) fn get(&mut self, handle: &[u8]) -> Result<&mut Open<File, Listing>, Failure> {
        self.slot(handle)?.open.as_mut().ok_or(Failure::BAD_HANDLE)
    }

    /// The file that a handle names.
    pub(crate) fn file(&mut self, handle: &[u8]) -> Result<&mut OpenFile<File>, Failure> {
        match self.get(handle)? {
            Open::File(file) => Ok(file),
            Open::Directory(_) => Err(Failure::BAD_HANDLE),
        }
    }

    /// The directory that a handle names.
    pub(crate) fn directory(&mut self, handle: &[u8]) -> Result<&mut OpenDirectory<Listing>, Failure> {
        match self.get(handle)? {
            Open::Directory(directory) => Ok(directory),
            Open::File(_) => Err(Failure::BAD_HANDLE),
        }
    }

    /// Two different files.
    pub(crate) fn two_files(&mut self, one: &[u8], other: &[u8]) -> Result<[&mut OpenFile<File>; 2], Failure> {
        self.file(one)?;
        self.file(other)?;
        let at = |handle: &[u8]| handle.first_chunk().map_or(0, |at| u32::from_be_bytes(*at) as usize);
        let slots = self.slots.get_disjoint_mut([at(one), at(other)]).map_err(|_| Failure::SAME_FILE)?;
        match slots.map(|slot| slot.open.as_mut()) {
            [Some(Open::File(one)), Some(Open::File(other))] => Ok([one, other]),
            _ => Err(Failure::BAD_HANDLE),
        }
    }

    /// Forgets a handle; dropping what it named closes it.
    pub(crate) fn remove(&mut self, handle: &[u8]) -> Result<Open<File, Listing>, Failure> {
        let slot = self.slot(handle)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.open.take().ok_or(Failure::BAD_HANDLE)
    }
}

fn name(at: usize, generation: u32) -> HandleName {
    let [a, b, c, d] = u32::try_from(at).unwrap_or(u32::MAX).to_be_bytes();
    let [e, f, g, h] = generation.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(file: u8) -> Open<u8, ()> {
        Open::File(OpenFile { file, append: false, path: "/f".into() })
    }

    #[test]
    fn a_handle_names_one_file_until_it_is_closed_and_then_nothing() {
        let mut handles = Handles::new();
        let (one, two) = (handles.insert(file(1)), handles.insert(file(2)));
        assert_ne!(one, two);
        assert_eq!(handles.file(&two).map(|open| open.file), Ok(2));
        assert_eq!(handles.directory(&two).map(|_| ()), Err(Failure::BAD_HANDLE));
        assert!(handles.remove(&one).is_ok());
        assert!(handles.remove(&one).is_err());
        let three = handles.insert(file(3));
        assert_ne!(one, three);
        assert_eq!(handles.file(&one).map(|_| ()), Err(Failure::BAD_HANDLE));
        assert_eq!(handles.file(&three).map(|open| open.file), Ok(3));
    }

    #[test]
    fn other_bytes_name_nothing() {
        let mut handles = Handles::<u8, ()>::new();
        let one = handles.insert(file(1));
        for handle in [&[][..], &one[..7], &[0; 9], &[0xff; 8], &[0; 257], &[0, 0, 0, 1, 0, 0, 0, 0]] {
            assert_eq!(handles.get(handle).map(|_| ()), Err(Failure::BAD_HANDLE), "{handle:?}");
        }
    }

    #[test]
    fn two_files_are_two_handles() {
        let mut handles = Handles::<u8, ()>::new();
        let (one, two) = (handles.insert(file(1)), handles.insert(file(2)));
        let of = |files: [&mut OpenFile<u8>; 2]| files.map(|open| open.file);
        assert_eq!(handles.two_files(&two, &one).map(of), Ok([2, 1]));
        assert_eq!(handles.two_files(&two, &two).map(of), Err(Failure::SAME_FILE));
        assert_eq!(handles.two_files(&two, b"").map(of), Err(Failure::BAD_HANDLE));
    }

    #[test]
    fn at_most_max_handles_are_open() {
        let mut handles = Handles::<u8, ()>::new();
        let mut last = [0; 8];
        for _ in 0..MAX_HANDLES {
            assert_eq!(handles.check_room(), Ok(()));
            last = handles.insert(file(0));
        }
        assert_eq!(handles.check_room(), Err(Failure::TOO_MANY_HANDLES));
        handles.remove(&last).unwrap();
        assert_eq!(handles.check_room(), Ok(()));
    }
}
