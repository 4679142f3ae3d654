//! Integers and strings on the wire: RFC 4251 §5, which the draft refers to.

use crate::status::Failure;

/// The most bytes of a packet behind its length, in both directions. A packet of the client that announces more ends
/// the session. OpenSSH's limit, and 1 KiB for the rest of a request with 256 KiB of data.
pub const MAX_PACKET: usize = (256 << 10) + (1 << 10);
/// The most bytes of one read, and of one write of a client that asks for the limits. As OpenSSH's sftp-server.
pub const MAX_READ: usize = (256 << 10) - 1024;

/// The fields of a packet that were not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Failure::SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Failure::SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Failure> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A string of bytes.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], Failure> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Failure::SHORT)?)
    }

    /// A path or another name: UTF-8 without NUL.
    pub(crate) fn name(&mut self) -> Result<&'a str, Failure> {
        let bytes = self.string()?;
        if bytes.contains(&0) {
            return Err(Failure::NUL);
        }
        str::from_utf8(bytes).map_err(|_| Failure::NOT_UTF8)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends fields to a packet.
pub(crate) trait PutFields {
    fn put_u8(&mut self, value: u8);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_string(&mut self, bytes: &[u8]);
}

impl PutFields for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_string(&mut self, bytes: &[u8]) {
        self.put_u32(length(bytes.len()));
        self.extend_from_slice(bytes);
    }
}

/// A length on the wire. What the server sends is far shorter than 4 GiB.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_never_beyond_the_end() {
        let mut packet = Vec::new();
        packet.put_u8(7);
        packet.put_u32(0x0102_0304);
        packet.put_u64(0x0506_0708_090a_0b0c);
        packet.put_string(b"name");
        assert_eq!(packet[..6], [7, 1, 2, 3, 4, 5]);
        let mut fields = Fields(&packet);
        assert_eq!(fields.u8(), Ok(7));
        assert_eq!(fields.u32(), Ok(0x0102_0304));
        assert_eq!(fields.u64(), Ok(0x0506_0708_090a_0b0c));
        let before = fields;
        assert_eq!(fields.name(), Ok("name"));
        assert!(fields.is_empty());
        assert_eq!(fields.u8(), Err(Failure::SHORT));
        assert_eq!(Fields(&before.0[..7]).string(), Err(Failure::SHORT));
        assert_eq!(Fields(&[0xff; 4]).string(), Err(Failure::SHORT));
    }

    #[test]
    fn a_name_is_utf8_without_nul() {
        let name = |bytes: &[u8]| {
            let mut packet = Vec::new();
            packet.put_string(bytes);
            Fields(&packet).name().map(str::to_owned)
        };
        assert_eq!(name("漢/ä".as_bytes()).as_deref(), Ok("漢/ä"));
        assert_eq!(name(b"a\0b"), Err(Failure::NUL));
        assert_eq!(name(b"caf\xe9"), Err(Failure::NOT_UTF8));
    }
}
