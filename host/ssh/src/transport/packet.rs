//! RFC 4253 §6: packets. One half seals payloads into the output, the other opens them in the buffer that they were
//! read into.

use std::ops::Range;

use zeroize::Zeroize;

use crate::crypto::cipher::{Opener, Sealer};
use crate::crypto::random::Random;
use crate::error::{Error, Violation};
use crate::message::Encode;
use crate::transport::buffer::Input;
use crate::transport::compression::{Compressor, Decompressor};

/// The length field, RFC 4253 §6.
const LENGTH: usize = 4;
/// The least padding, RFC 4253 §6.
const PADDING: usize = 4;

/// A packet that was opened and stays in the input until it is closed.
#[derive(Debug)]
pub(super) struct Opened {
    /// The range of the payload in the input.
    payload: Range<usize>,
    /// The length of the packet in the input.
    whole: usize,
    /// Its sequence number, RFC 4253 §6.4.
    pub(super) sequence: u32,
}

/// What is known of the length of a packet.
enum Length {
    /// Its first four bytes have not come.
    Incomplete,
    /// `packet_length`, within bounds. It is not authenticated before the whole packet is.
    Is(usize),
    /// Out of bounds, or not a multiple of the block size.
    OutOfRange,
}

/// The receiving half.
pub(super) struct Incoming {
    pub(super) input: Input,
    opener: Opener,
    sequence: u32,
    /// `packet_length` of the packet that is being read, once its first four bytes have arrived.
    length: Option<usize>,
    /// The largest `packet_length`.
    limit: usize,
    /// The largest `packet_length` that is read without a grant.
    limit_without_grant: usize,
    /// The packet that is being read is larger than `limit_without_grant`, and the application has granted it.
    granted: bool,
    /// How many bytes to discard before the error is reported, once a packet with a hidden length has failed its check.
    bytes_to_discard: Option<usize>,
    /// Decompresses payloads, if the peer compresses them.
    decompressor: Option<Box<Decompressor>>,
    /// Input has arrived since this was last asked.
    heard: bool,
    /// Traffic since the last key exchange.
    pub(super) traffic: Traffic,
}

/// The traffic of one direction under one key.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Traffic {
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

impl Traffic {
    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.packets = self.packets.saturating_add(1);
    }
}

impl Incoming {
    pub(super) fn new(limit: usize) -> Incoming {
        Incoming {
            input: Input::default(),
            opener: Opener::clear(),
            sequence: 0,
            length: None,
            limit,
            limit_without_grant: limit,
            granted: false,
            bytes_to_discard: None,
            decompressor: None,
            heard: false,
            traffic: Traffic::default(),
        }
    }

    /// Whether there is room for more input.
    pub(super) fn wants_input(&self) -> bool {
        let packet = if self.granted { self.limit } else { self.limit_without_grant };
        // Besides the packet that is being read, as much as one read gives.
        self.ungranted().is_none() && self.input.len() < packet + self.input.most()
    }

    /// This many bytes were read into the input.
    pub(super) fn filled(&mut self, count: usize) {
        self.input.filled(count);
        self.heard |= count > 0;
    }

    /// Whether input has arrived since this was last asked.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// The user is authenticated: packets may be larger. With `asks`, each packet above the earlier limit needs a
    /// grant.
    pub(super) fn authenticated(&mut self, limit: usize, asks: bool) {
        self.limit = limit;
        if !asks {
            self.limit_without_grant = limit;
        }
        self.input.trust();
    }

    /// By how many bytes the packet that is being read exceeds the limit without a grant, unless it was granted.
    pub(super) fn ungranted(&self) -> Option<usize> {
        let excess = self.length?.checked_sub(self.limit_without_grant)?;
        (excess > 0 && !self.granted).then_some(excess)
    }

    /// Whether a packet that was granted is not closed yet.
    pub(super) fn holds_granted(&self) -> bool {
        self.granted
    }

    /// Grants the packet for which [`Incoming::ungranted`] returns a size.
    pub(super) fn grant(&mut self) {
        if self.ungranted().is_some() {
            self.granted = true;
            self.input.reserve(self.length.unwrap_or_default() + LENGTH + self.opener.tag_len());
        }
    }

    /// The next packet, if all of it has arrived. It is authenticated as a whole before any field is read. The previous
    /// one must be closed.
    pub(super) fn open_next(&mut self) -> Result<Option<Opened>, Error> {
        if self.bytes_to_discard.is_some() {
            return self.discard_then_fail();
        }
        let length = match self.packet_length()? {
            Length::Incomplete => return Ok(None),
            Length::Is(length) => length,
            Length::OutOfRange => return self.refuse(0),
        };
        if self.ungranted().is_some() {
            return Ok(None);
        }
        let whole = LENGTH + length + self.opener.tag_len();
        let sequence = self.sequence;
        let Some(frame) = self.input.bytes_mut().get_mut(..whole) else { return Ok(None) };
        if self.opener.open(sequence, frame).is_err() {
            return self.refuse(whole);
        }
        let padding = usize::from(frame.get(LENGTH).copied().ok_or(Violation::PacketLength)?);
        let payload = length.checked_sub(1 + padding).ok_or(Violation::Padding)?;
        if padding < PADDING {
            return Err(Violation::Padding.into());
        }
        if payload == 0 {
            return Err(Violation::EmptyPayload.into());
        }
        let payload = LENGTH + 1..LENGTH + 1 + payload;
        if let Some(decompressor) = &mut self.decompressor {
            let compressed = self.input.bytes().get(payload.clone()).unwrap_or_default();
            decompressor.open(compressed, self.limit)?;
        }
        self.length = None;
        self.sequence = self.sequence.wrapping_add(1);
        self.traffic.count(whole);
        Ok(Some(Opened { payload, whole, sequence }))
    }

    /// Closes the packet that was opened last, and wipes it, so that no plaintext stays in the buffer.
    pub(super) fn close(&mut self, opened: Opened) {
        self.input.consume(opened.whole);
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.close();
        }
        if std::mem::take(&mut self.granted) {
            // The grant was for this packet alone.
            self.input.shrink();
        }
    }

    /// The length of the packet at the front, checked against the limit and the block size before anything waits for
    /// it.
    fn packet_length(&mut self) -> Result<Length, Error> {
        if let Some(length) = self.length {
            return Ok(Length::Is(length));
        }
        let Some(first) = self.input.bytes().first_chunk::<LENGTH>() else { return Ok(Length::Incomplete) };
        let length = usize::try_from(self.opener.length(self.sequence, *first)).unwrap_or(usize::MAX);
        let padded = if self.opener.length_is_padded() { length.saturating_add(LENGTH) } else { length };
        let sound = (1 + PADDING..=self.limit).contains(&length) && padded % self.opener.block_len() == 0;
        match sound {
            true => {
                self.length = Some(length);
                Ok(Length::Is(length))
            }
            // Under a key, an impossible length is answered exactly like a packet that fails its check. P10.
            false if self.opener.tag_len() > 0 => Ok(Length::OutOfRange),
            false => Err(Violation::PacketLength.into()),
        }
    }

    /// Refuses a packet that failed its check, of which `opened` bytes were decrypted. If the length is hidden, as many
    /// bytes as the largest packet has are taken first, so that the time of the error does not depend on the length.
    /// P10.
    fn refuse(&mut self, opened: usize) -> Result<Option<Opened>, Error> {
        if !self.opener.hides_length() {
            return Err(Error::Integrity);
        }
        let largest = LENGTH + self.limit + self.opener.tag_len();
        self.input.consume(opened);
        self.bytes_to_discard = Some(largest.saturating_sub(opened));
        self.length = None;
        if std::mem::take(&mut self.granted) {
            // The granted memory is released.
            self.input.shrink();
        }
        self.discard_then_fail()
    }

    /// Discards input until there were as many bytes as the largest packet has, and then fails.
    fn discard_then_fail(&mut self) -> Result<Option<Opened>, Error> {
        let Some(left) = self.bytes_to_discard else { return Ok(None) };
        let bytes = self.input.bytes_mut();
        let count = left.min(bytes.len());
        self.opener.discard(bytes.get_mut(..count).unwrap_or_default());
        self.input.consume(count);
        self.bytes_to_discard = Some(left - count);
        if left == count { Err(Error::Integrity) } else { Ok(None) }
    }

    /// The payload of the packet that was opened last.
    pub(super) fn payload(&self, opened: &Opened) -> &[u8] {
        match &self.decompressor {
            None => self.input.bytes().get(opened.payload.clone()).unwrap_or_default(),
            Some(decompressor) => decompressor.payload(),
        }
    }

    /// From the next packet on, decompresses payloads with a new stream, or not at all.
    pub(super) fn restart_compression(&mut self, compressed: bool) {
        self.decompressor = compressed.then(Decompressor::new);
    }

    /// Whether payloads are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.decompressor.is_some()
    }

    /// The count of decompressed bytes, which the caller sets to 0. `None` without compression.
    pub(super) fn decompressed(&mut self) -> Option<&mut u64> {
        self.decompressor.as_mut().map(|decompressor| &mut decompressor.work)
    }

    /// Releases the memory of empty buffers. Returns whether there is nothing more to release.
    pub(super) fn release_buffers(&mut self) -> bool {
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.release_buffers();
        }
        self.input.release_buffers()
    }

    /// Uses another key from the next packet on. Under strict key exchange the sequence numbers restart.
    pub(super) fn rekey(&mut self, opener: Opener, reset_sequence: bool) {
        self.opener = opener;
        self.traffic = Traffic::default();
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// Whether a sequence number has repeated under one key, which must never happen.
    pub(super) fn wrapped(&self) -> bool {
        self.traffic.packets > u64::from(u32::MAX)
    }
}

/// The sending half.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// How much of it the socket has taken.
    sent: usize,
    sealer: Sealer,
    sequence: u32,
    random: Box<dyn Random>,
    /// Compresses payloads, if that was agreed.
    compressor: Option<Box<Compressor>>,
    /// How many bytes the socket must still take until it has all of our latest KEXINIT.
    until_kexinit: usize,
    pub(super) traffic: Traffic,
    /// A packet could not be sealed: the key is used up, or the system gave no randomness.
    pub(super) exhausted: bool,
}

impl Outgoing {
    pub(super) fn new(random: Box<dyn Random>) -> Outgoing {
        Outgoing {
            bytes: Vec::new(),
            sent: 0,
            sealer: Sealer::clear(),
            sequence: 0,
            random,
            compressor: None,
            until_kexinit: 0,
            traffic: Traffic::default(),
            exhausted: false,
        }
    }

    /// The random cookie that makes each KEXINIT unique. RFC 4253 §7.1.
    pub(super) fn cookie(&mut self) -> [u8; 16] {
        let mut cookie = [0; 16];
        self.exhausted |= self.random.fill(&mut cookie).is_err();
        cookie
    }

    /// Writes bytes outside of packets: the identification line.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes a message as a packet into the output and seals it in place.
    pub(super) fn seal(&mut self, message: &dyn Encode) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH + 1]);
        match &mut self.compressor {
            None => message.encode(&mut self.bytes),
            Some(compressor) => self.exhausted |= !compressor.append(&mut self.bytes, |plain| message.encode(plain)),
        }
        let counted = self.bytes.len() - start - if self.sealer.length_is_padded() { 0 } else { LENGTH };
        let block = self.sealer.block_len();
        let padding = PADDING + (block - (counted + PADDING) % block) % block;
        let end = self.bytes.len() + padding;
        self.lengthen(end + self.sealer.tag_len());
        let Some((frame, tag)) =
            self.bytes.get_mut(start..).and_then(|packet| packet.split_at_mut_checked(end - start))
        else {
            return;
        };
        let length = u32::try_from(frame.len() - LENGTH).expect("a message of ours is far below 4 GiB");
        let padding_byte = u8::try_from(padding).expect("padding is at most a block and four");
        if let Some(head) = frame.first_chunk_mut::<{ LENGTH + 1 }>() {
            let [a, b, c, d] = length.to_be_bytes();
            *head = [a, b, c, d, padding_byte];
        }
        let filler = frame.len() - padding;
        self.exhausted |= self.random.fill(frame.get_mut(filler..).unwrap_or_default()).is_err();
        self.exhausted |= self.sealer.seal(self.sequence, frame, tag).is_err();
        self.sequence = self.sequence.wrapping_add(1);
        self.traffic.count(self.bytes.len() - start);
        self.exhausted |= self.traffic.packets > u64::from(u32::MAX);
    }

    /// Seals our KEXINIT.
    pub(super) fn seal_kexinit(&mut self, message: &dyn Encode) {
        self.seal(message);
        self.until_kexinit = self.len();
    }

    /// Whether part of our latest KEXINIT still waits for the socket.
    pub(super) fn holds_kexinit(&self) -> bool {
        self.until_kexinit > 0
    }

    /// Makes room for padding and tag behind a message that is not sealed yet, and leaves no copy of it behind.
    fn lengthen(&mut self, length: usize) {
        if length > self.bytes.capacity() {
            let mut larger = Vec::with_capacity(length.max(2 * self.bytes.capacity()));
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = larger;
        }
        self.bytes.resize(length, 0);
    }

    /// The bytes for the socket.
    pub(super) fn output(&self) -> &[u8] {
        // Nothing unsealed may be sent.
        if self.exhausted { &[] } else { self.bytes.get(self.sent..).unwrap_or_default() }
    }

    /// The socket has taken this many bytes.
    pub(super) fn sent(&mut self, count: usize) {
        self.until_kexinit = self.until_kexinit.saturating_sub(count);
        self.sent = (self.sent + count).min(self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent > self.bytes.len() / 2 {
            // With a slow socket, sent bytes must not pile up in front of unsent ones.
            self.bytes.copy_within(self.sent.., 0);
            self.bytes.truncate(self.bytes.len() - self.sent);
            self.sent = 0;
        }
    }

    /// How many bytes wait for the socket.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// From the next packet on, compresses payloads with a new stream, or not at all.
    pub(super) fn restart_compression(&mut self, compressed: bool) {
        self.compressor = compressed.then(Compressor::new);
    }

    /// Whether payloads are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressor.is_some()
    }

    /// The count of compressed bytes, which the caller sets to 0. `None` without compression.
    pub(super) fn compressed(&mut self) -> Option<&mut u64> {
        self.compressor.as_mut().map(|compressor| &mut compressor.work)
    }

    /// Uses another key from the next packet on. Under strict key exchange the sequence numbers restart.
    pub(super) fn rekey(&mut self, sealer: Sealer, reset_sequence: bool) {
        self.sealer = sealer;
        self.traffic = Traffic::default();
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// How many bytes of memory the buffer takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Releases the memory if the buffer is empty. Returns whether there is nothing more to release.
    pub(super) fn release_buffers(&mut self) -> bool {
        if let Some(compressor) = &mut self.compressor {
            compressor.release_buffers();
        }
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        self.bytes.capacity() == 0
    }
}

/// A payload that is encoded already.
pub(super) struct Encoded<'p>(pub(super) &'p [u8]);

impl Encode for Encoded<'_> {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random::SystemRandom;
    use crate::message::transport::TransportMessage;

    /// P27: sequence numbers do not repeat under one key, with strict key exchange or without.
    #[test]
    fn a_direction_without_sequence_numbers_left_sends_nothing() {
        let message = TransportMessage::Ignore { data: b"" };
        let mut outgoing = Outgoing::new(Box::new(SystemRandom::new()));
        outgoing.sequence = u32::MAX;
        outgoing.traffic.packets = u64::from(u32::MAX) - 1;
        outgoing.seal(&message);
        let last = outgoing.output().to_vec();
        assert!(!last.is_empty() && !outgoing.exhausted);
        outgoing.seal(&message);
        assert!(outgoing.exhausted && outgoing.output().is_empty());

        let mut incoming = Incoming::new(1000);
        incoming.traffic.packets = u64::from(u32::MAX) - 1;
        for wrapped in [false, true] {
            incoming.input.space()[..last.len()].copy_from_slice(&last);
            incoming.input.filled(last.len());
            let opened = incoming.open_next().unwrap().unwrap();
            incoming.close(opened);
            assert_eq!(incoming.wrapped(), wrapped);
        }
    }
}
