//! P18, P19, generated: every message truncated at each byte, with extra bytes, and with each of its lengths and counts
//! changed.

use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::kex::KexMessage;

use crate::memory::peak;
use crate::pair::{Role, Setup};
use crate::raw::{FAILURE, Raw, encode};

/// A message under construction, with the positions of its lengths and counts.
#[derive(Clone)]
struct Form {
    payload: Vec<u8>,
    lengths: Vec<usize>,
    /// This many bytes must be there; what follows is read by others or not at all, and is not checked by this layer.
    fixed: Option<usize>,
}

/// A changed message, and a description of the change.
type Variant = (String, Vec<u8>);

fn form(number: u8) -> Form {
    Form { payload: vec![number], lengths: Vec::new(), fixed: None }
}

impl Form {
    fn bytes(mut self, bytes: &[u8]) -> Form {
        self.payload.extend_from_slice(bytes);
        self
    }

    fn count(mut self, count: u32) -> Form {
        self.lengths.push(self.payload.len());
        self.bytes(&count.to_be_bytes())
    }

    fn string(self, string: &[u8]) -> Form {
        self.count(string.len() as u32).bytes(string)
    }

    /// The rest of the message.
    fn rest(mut self) -> Form {
        self.fixed = Some(self.payload.len());
        self
    }

    /// Variants that must not be accepted as the message, and others that must only not break anything.
    fn variants(&self) -> (Vec<Variant>, Vec<Variant>) {
        let (mut wrong, mut strange) = (Vec::new(), Vec::new());
        let fixed = self.fixed.unwrap_or(self.payload.len());
        for length in 1..self.payload.len() {
            let cut = (format!("cut to {length}"), self.payload[..length].to_vec());
            if length < fixed { &mut wrong } else { &mut strange }.push(cut);
        }
        for at in &self.lengths {
            let length = u32::from_be_bytes(*self.payload[*at..].first_chunk().expect("four bytes of length"));
            for lie in [u32::MAX, 0x7fff_ffff, 0x1000_0000, length + 1, length.wrapping_sub(1)] {
                let mut payload = self.payload.clone();
                payload[*at..at + 4].copy_from_slice(&lie.to_be_bytes());
                // A length that is off by one may turn what follows into another well-formed message.
                let sure = *at < fixed && lie > 1 << 20;
                if sure { &mut wrong } else { &mut strange }.push((format!("{lie:#x} at {at}"), payload));
            }
        }
        for left_over in [&b"\0"[..], b"garbage", &[0xff; 1000]] {
            let payload = [&self.payload, left_over].concat();
            if self.fixed.is_none() { &mut wrong } else { &mut strange }.push(("left over".to_owned(), payload));
        }
        (wrong, strange)
    }
}

/// Gives each variant of `form` to a side of its own; one that survives gets the next one too.
fn try_all<A: Role>(form: &Form, fresh: impl Fn() -> Raw<A>) {
    let number = form.payload[0];
    let mut raw = fresh();
    let (wrong, strange) = form.variants();
    for (sure, (word, payload)) in wrong.iter().map(|it| (true, it)).chain(strange.iter().map(|it| (false, it))) {
        let most = peak(|| raw.send(payload));
        assert!(most < 100_000, "{number} {word}: {most} bytes");
        match &raw.error {
            Some(Error::Peer(Violation::Malformed { number: at, .. })) => assert_eq!(*at, number),
            ending if sure => panic!("{number} {word} ended with {ending:?}"),
            _ => {}
        }
        if raw.error.is_some() {
            raw = fresh();
        }
    }
    // And the message itself is accepted.
    raw.send(&form.payload);
    assert!(!matches!(raw.error, Some(Error::Peer(Violation::Malformed { .. }))), "{number}: {:?}", raw.error);
}

#[test]
fn malformed_key_exchange_messages_are_refused() {
    let setup = Setup::new(usize::MAX);
    let met = || {
        let mut raw = Raw::client(&setup);
        raw.identify();
        raw
    };
    let mut kexinit = form(20).bytes(&[7; 16]);
    let offer = met().offer();
    for list in [&offer.kex, &offer.host_keys, &offer.ciphers, &offer.ciphers, &offer.ciphers, &offer.ciphers] {
        kexinit = kexinit.string(list);
    }
    kexinit = kexinit.string(b"none").string(b"none").string(b"").string(b"").bytes(&[0; 5]);
    try_all(&kexinit, met);
    let begun = || {
        let mut raw = met();
        raw.init(&raw.offer());
        raw
    };
    try_all(&form(30).string(&[9; 32]), begun);
    try_all(&form(21), || {
        let mut raw = begun();
        let share = raw.share();
        raw.send(&share);
        raw.replies();
        raw
    });
    let waiting = || Raw::awaiting_reply(&setup).0;
    try_all(&form(31).string(&[1; 51]).string(&[9; 32]).string(&[2; 83]), waiting);
}

/// A reply whose parts are right except for its inner lengths.
#[test]
fn malformed_host_keys_and_signatures_are_refused() {
    let setup = Setup::new(usize::MAX);
    let blobs = |victim: &mut Raw<_>, share: &[u8]| {
        let reply = victim.ecdh_reply(share);
        let Ok(KexMessage::EcdhReply { host_key, share, signature }) = KexMessage::decode(&reply) else { panic!() };
        (host_key.to_vec(), share.to_vec(), signature.to_vec())
    };
    let parts = |blob: &[u8]| form(blob[0]).bytes(&blob[1..]);
    let variants = |blob: &[u8]| {
        let mut form = parts(blob);
        form.lengths = vec![0, 15];
        let (wrong, strange) = form.variants();
        wrong.into_iter().chain(strange)
    };
    let (mut model, theirs) = Raw::awaiting_reply(&setup);
    let (key, _, signature) = blobs(&mut model, &theirs);
    let of_key = variants(&key).map(|(word, blob)| (word, Some(blob), None));
    let of_signature = variants(&signature).map(|(word, blob)| (word, None, Some(blob)));
    for (word, wrong_key, wrong_signature) in of_key.chain(of_signature) {
        let (mut raw, theirs) = Raw::awaiting_reply(&setup);
        let (key, share, signature) = blobs(&mut raw, &theirs);
        let (key, signature) = (wrong_key.unwrap_or(key), wrong_signature.unwrap_or(signature));
        raw.send(&encode(&KexMessage::EcdhReply { host_key: &key, share: &share, signature: &signature }));
        assert_eq!(raw.violation(), Some(Violation::HostKeySignature), "{word}");
    }
}

#[test]
fn malformed_transport_messages_are_refused() {
    let setup = Setup::new(usize::MAX);
    let keyed = || Raw::keyed(&setup);
    try_all(&form(5).string(b"ssh-userauth"), keyed);
    try_all(&form(7).count(2).string(b"a").string(b"b").string(b"").string(b"c"), keyed);
    try_all(&form(4).bytes(&[1]).string(b"note").string(b"en"), keyed);
    try_all(&form(1).bytes(&[0, 0, 0, 11]).string(b"bye").string(b""), keyed);
    try_all(&form(6).string(b"ssh-userauth"), || Raw::serving(&setup));
}

/// Two numbers are dropped unread in every phase in which they are allowed: their contents do not matter.
#[test]
fn ignore_and_unimplemented_are_dropped_whatever_they_contain() {
    let setup = Setup::new(usize::MAX);
    for victim in [Raw::keyed, Raw::serviced, Raw::entered] {
        let mut raw = victim(&setup);
        for number in [2, 3] {
            let (wrong, strange) = form(number).string(b"whatever").variants();
            for (_, payload) in wrong.iter().chain(&strange) {
                raw.send(payload);
            }
        }
        assert_eq!((raw.replies().len(), &raw.error), (0, &None));
    }
}

#[test]
fn malformed_authentication_messages_are_refused() {
    let setup = Setup::new(usize::MAX);
    let serviced = || Raw::serviced(&setup);
    let attempt = |method| form(50).string(b"alice").string(b"ssh-connection").string(method);
    try_all(&attempt(b"none"), serviced);
    try_all(&attempt(b"password").bytes(&[0]).string(b"secret"), serviced);
    try_all(&attempt(b"password").bytes(&[1]).string(b"secret").string(b"new"), serviced);
    let key = serviced().host_key.public().clone();
    let query = |signed| attempt(b"publickey").bytes(&[signed]).string(b"ssh-ed25519").string(key.blob());
    try_all(&query(0), serviced);
    try_all(&query(1).string(&[5; 83]), serviced);
    try_all(&attempt(b"keyboard-interactive").string(b"en").string(b"pam"), serviced);
    let prompted = || {
        let mut raw = serviced();
        raw.application.verdict = Verdict::Challenge(Challenge::secret("Password: "));
        raw.send(&attempt(b"keyboard-interactive").string(b"").string(b"").payload);
        assert_eq!(raw.reply()[0], 60);
        raw
    };
    // Another count is a violation of its own: U27.
    try_all(&form(61).bytes(&[0, 0, 0, 1]).string(b"secret"), prompted);
    try_all(&attempt(b"hostbased").rest().string(b"whatever").string(b"it says"), serviced);

    let asked = || Raw::asked(&setup);
    try_all(&form(51).string(b"publickey,password").bytes(&[1]), asked);
    try_all(&form(52), asked);
    try_all(&form(53).string(b"hello").string(b"en"), asked);
    // The meaning of message 60 depends on the request.
    let asked_by = |credential: ClientCredential<'_>| {
        let mut raw = asked();
        raw.send(FAILURE);
        raw.side.authenticate(credential);
        raw.flush();
        assert_eq!(raw.reply()[0], 50);
        raw
    };
    let query = || asked_by(ClientCredential::Key { algorithm: "ssh-ed25519", blob: key.blob(), ask: true });
    try_all(&form(60).string(b"ssh-ed25519").string(key.blob()), query);
    try_all(&form(60).string(b"Password expired").string(b""), || asked_by(ClientCredential::Password(b"x")));
    let prompts = form(60).string(b"name").string(b"text").string(b"").count(1).string(b"Password: ").bytes(&[0]);
    try_all(&prompts, || asked_by(ClientCredential::Interactive));
}

#[test]
fn malformed_channel_messages_are_refused() {
    let setup = Setup::new(usize::MAX);
    let opened = || Raw::opened(&setup);
    let on_channel = |number| form(number).bytes(&[0; 4]);
    let forms = [
        form(80).string(b"x@y").bytes(&[1]).rest().string(b"whatever"),
        form(81).rest().string(b"whatever"),
        // What an application of x/crypto puts behind it is not read.
        form(82).rest(),
        form(90).string(b"session").bytes(&[0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 1, 0]).rest().string(b"whatever"),
        on_channel(91).bytes(&[0; 12]).rest().string(b"whatever"),
        on_channel(92).bytes(&[0; 4]).string(b"no").string(b"en"),
        on_channel(93).bytes(&[0, 0, 0, 1]),
        on_channel(94).string(b"data"),
        on_channel(95).bytes(&[0, 0, 0, 1]).string(b"data"),
        on_channel(96),
        on_channel(97),
        on_channel(98).string(b"x@y").bytes(&[1]).rest().string(b"whatever"),
        on_channel(99),
        on_channel(100),
    ];
    for form in &forms {
        try_all(form, opened);
    }
    // What opens channels of ours: the same messages to a client that has one.
    let asking = || {
        let mut raw = Raw::let_in(&setup);
        let channel = raw.side.open_session().expect("a session");
        raw.application.born(channel);
        raw.flush();
        raw
    };
    for form in &forms[4..6] {
        try_all(form, asking);
    }
}

/// Requests of a known kind fail when they are malformed, and their channel survives.
#[test]
fn malformed_channel_requests_fail() {
    let setup = Setup::new(usize::MAX);
    let request = |kind| form(98).bytes(&[0; 4]).string(kind).bytes(&[1]).rest();
    let modes = form(53).count(1).bytes(&[0]);
    let forms = [
        request(b"pty-req").string(b"xterm").bytes(&[0; 16]).string(&modes.payload),
        request(b"env").string(b"LANG").string(b"C"),
        request(b"shell"),
        request(b"exec").string(b"id"),
        request(b"subsystem").string(b"sftp"),
        request(b"window-change").bytes(&[0; 16]),
        request(b"signal").string(b"TERM"),
        request(b"break").bytes(&[0; 4]),
    ];
    for form in forms {
        let mut raw = Raw::opened(&setup);
        let body = form.fixed.unwrap();
        let lengths = form.lengths.iter().copied().filter(|at| *at >= body).collect();
        let (_, strange) = Form { lengths, ..form.clone() }.variants();
        for (word, payload) in strange.iter().filter(|(_, payload)| payload.len() >= body) {
            let heard = raw.application.events.len();
            raw.send(payload);
            let reply = raw.reply();
            assert_eq!(raw.application.events.len() - heard, usize::from(reply[0] == 99), "{word}");
            // A length that is off by one leaves a byte over or lacks one, unless another field makes up for it: none
            // does.
            assert_eq!(reply[0], 100, "{} {word}", payload.escape_ascii());
        }
        raw.send(&form.payload);
        assert_eq!((raw.reply()[0], &raw.error), (99, &None));
    }
}
