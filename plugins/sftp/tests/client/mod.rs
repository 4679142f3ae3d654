//! A client: requests as bytes, and replies as values.

/// Appends a field of a packet.
pub(crate) trait Put {
    fn number(self, value: u32) -> Self;
    fn long(self, value: u64) -> Self;
    fn string(self, bytes: impl AsRef<[u8]>) -> Self;
}

impl Put for Vec<u8> {
    fn number(mut self, value: u32) -> Self {
        self.extend(value.to_be_bytes());
        self
    }

    fn long(mut self, value: u64) -> Self {
        self.extend(value.to_be_bytes());
        self
    }

    fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut packet = self.number(u32::try_from(bytes.len()).unwrap());
        packet.extend(bytes);
        packet
    }
}

/// A packet with its length. `id`: the number of the request, or the version in INIT.
pub(crate) fn packet(kind: u8, id: u32, fields: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new().number(u32::try_from(fields.len() + 5).unwrap());
    packet.push(kind);
    let mut packet = packet.number(id);
    packet.extend(fields);
    packet
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Version(u32, Vec<(String, String)>),
    Status(u32, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

/// One name of a reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) line: String,
    pub(crate) attributes: Attributes,
}

/// The attributes of a file; zero if the reply has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Attributes {
    pub(crate) size: u64,
    pub(crate) owner: (u32, u32),
    pub(crate) mode: u32,
    pub(crate) accessed: u32,
    pub(crate) modified: u32,
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self) -> u32 {
        let (number, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        u32::from_be_bytes(*number)
    }

    fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.number() as usize;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn attributes(&mut self) -> Attributes {
        let flags = self.number();
        let mut found = Attributes::default();
        if flags & 1 != 0 {
            found.size = self.long();
        }
        if flags & 2 != 0 {
            found.owner = (self.number(), self.number());
        }
        if flags & 4 != 0 {
            found.mode = self.number();
        }
        if flags & 8 != 0 {
            (found.accessed, found.modified) = (self.number(), self.number());
        }
        assert_eq!(flags & !15, 0, "unknown attributes");
        found
    }
}

impl Reply {
    /// Takes the first packet from the bytes of the server: the number of its request, and what it says.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<(u32, Self)> {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        if bytes.len() < 4 + length {
            return None;
        }
        let packet: Vec<u8> = bytes.drain(..4 + length).skip(4).collect();
        let mut fields = Fields(&packet[1..]);
        let id = fields.number();
        let reply = match packet[0] {
            2 => {
                let mut extensions = Vec::new();
                while !fields.0.is_empty() {
                    extensions.push((fields.text(), fields.text()));
                }
                Self::Version(id, extensions)
            }
            101 => {
                let (status, message) = (fields.number(), fields.text());
                assert_eq!(fields.text(), "", "the language tag");
                Self::Status(status, message)
            }
            102 => Self::Handle(fields.bytes()),
            103 => Self::Data(fields.bytes()),
            104 => {
                let count = fields.number();
                let mut one = || Name { name: fields.text(), line: fields.text(), attributes: fields.attributes() };
                Self::Names((0..count).map(|_| one()).collect())
            }
            105 => Self::Attributes(fields.attributes()),
            201 => Self::Extended(std::mem::take(&mut fields.0).to_vec()),
            kind => panic!("a reply of type {kind}"),
        };
        assert!(fields.0.is_empty(), "{} bytes follow {reply:?}", fields.0.len());
        Some((id, reply))
    }
}
