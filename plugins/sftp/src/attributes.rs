//! The attributes of a file: draft-ietf-secsh-filexfer-02 §5.

use crate::filesystem::{FileKind, Metadata, NewTimes};
use crate::status::Failure;
use crate::wire::{Fields, PutFields};

const SIZE: u32 = 0x0000_0001;
const OWNER: u32 = 0x0000_0002;
const PERMISSIONS: u32 = 0x0000_0004;
const TIMES: u32 = 0x0000_0008;
const EXTENDED: u32 = 0x8000_0000;

/// The owner and the group of every file: the number of the first user on most systems, so that a client that mounts
/// the files with checks of permissions lets its user write.
pub(crate) const OWNER_NUMBER: u32 = 1000;

/// The attributes that a client sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Numbers of the owner and of the group.
    pub owner: Option<(u32, u32)>,
    /// The mode of POSIX.
    pub permissions: Option<u32>,
    /// When the file was last read and written.
    pub times: Option<NewTimes>,
}

impl Attributes {
    /// Reads them. Extended attributes are skipped.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, Failure> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        let size = has(SIZE).then(|| fields.u64()).transpose()?;
        let owner = has(OWNER).then(|| Ok::<_, Failure>((fields.u32()?, fields.u32()?))).transpose()?;
        let permissions = has(PERMISSIONS).then(|| fields.u32()).transpose()?;
        let times = if has(TIMES) { Some(NewTimes { accessed: fields.u32()?, modified: fields.u32()? }) } else { None };
        if has(EXTENDED) {
            for _ in 0..fields.u32()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(Self { size, owner, permissions, times })
    }
}

/// The mode that a kind of file is shown with. The file system has none, so all of one kind have the same: `0644`,
/// directories `0755`, links `0777`, devices and the rest `0666`.
pub(crate) const fn mode(kind: FileKind) -> u32 {
    match kind {
        FileKind::Regular => 0o100_644,
        FileKind::Directory => 0o040_755,
        FileKind::Link => 0o120_777,
        FileKind::CharacterDevice => 0o020_666,
        FileKind::BlockDevice => 0o060_666,
        FileKind::Fifo => 0o010_666,
        FileKind::Socket => 0o140_666,
        FileKind::Unknown => 0o666,
    }
}

/// Writes the attributes of a file.
pub(crate) fn put_metadata(packet: &mut Vec<u8>, metadata: &Metadata) {
    // The protocol's times end in 2106.
    let time = |seconds| u32::try_from(seconds).unwrap_or(u32::MAX);
    packet.put_u32(SIZE | OWNER | PERMISSIONS | TIMES);
    packet.put_u64(metadata.size);
    packet.put_u32(OWNER_NUMBER);
    packet.put_u32(OWNER_NUMBER);
    packet.put_u32(mode(metadata.kind));
    packet.put_u32(time(metadata.accessed));
    packet.put_u32(time(metadata.modified));
}

/// Writes that no attributes are known.
pub(crate) fn put_none(packet: &mut Vec<u8>) {
    packet.put_u32(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_that_the_flags_name() {
        let mut packet = Vec::new();
        packet.put_u32(SIZE | OWNER | PERMISSIONS | TIMES | EXTENDED);
        packet.put_u64(1 << 40);
        [7, 8, 0o644, 10, 11].into_iter().for_each(|value| packet.put_u32(value));
        packet.put_u32(1);
        packet.put_string(b"name@example.org");
        packet.put_string(b"\0");
        let mut fields = Fields(&packet);
        let times = Some(NewTimes { accessed: 10, modified: 11 });
        let expected = Attributes { size: Some(1 << 40), owner: Some((7, 8)), permissions: Some(0o644), times };
        assert_eq!(Attributes::read(&mut fields), Ok(expected));
        assert!(fields.is_empty());
        for end in 0..packet.len() {
            assert_eq!(Attributes::read(&mut Fields(&packet[..end])), Err(Failure::SHORT), "{end}");
        }
        assert_eq!(Attributes::read(&mut Fields(&[0; 4])), Ok(Attributes::default()));
    }

    #[test]
    fn a_count_of_extended_attributes_that_are_not_there_is_refused() {
        let mut packet = Vec::new();
        packet.put_u32(EXTENDED);
        packet.put_u32(u32::MAX);
        assert_eq!(Attributes::read(&mut Fields(&packet)), Err(Failure::SHORT));
    }

    #[test]
    fn metadata_is_written_with_a_mode_and_an_owner() {
        let mut packet = Vec::new();
        let (kind, modified) = (FileKind::Regular, 1 << 40);
        put_metadata(&mut packet, &Metadata { kind, size: 5, links: 1, accessed: 6, modified });
        let times = Some(NewTimes { accessed: 6, modified: u32::MAX });
        let owner = Some((OWNER_NUMBER, OWNER_NUMBER));
        let expected = Attributes { size: Some(5), owner, permissions: Some(0o100_644), times };
        assert_eq!(Attributes::read(&mut Fields(&packet)), Ok(expected));
    }
}
